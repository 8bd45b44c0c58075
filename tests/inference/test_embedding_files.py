import numpy as np
import pyarrow.parquet as pq
import pytest

from diptych.inference import embedding_files
from diptych.inference.embedding_files import write_embeddings
from diptych.inference.pushed_model import PushedModel
from diptych.inference.raw_batch import RawBatch
from diptych.schemas.errors import DataError
from diptych.schemas.manifest import manifest_digest


@pytest.fixture(scope="session")
def model(number_model):
    return PushedModel(number_model)


def batches(sizes, labels=True):
    start = 0
    for size in sizes:
        rows = range(start, start + size)
        yield RawBatch(
            values=np.array([(row, 0.5) for row in rows], np.float32).reshape(-1, 2),
            sources=tuple(f"t.csv:{row}" for row in rows),
            labels=tuple("odd" if row % 2 else "" for row in rows) if labels else None,
            rejected=((f"bad:{start}", "has no value"),),
        )
        start += size


def test_every_row_has_an_embedding_a_source_and_a_label(model, number_model, tmp_path):
    out, rejected = tmp_path / "e.parquet", tmp_path / "r.parquet"
    batch_sizes = []
    result = write_embeddings(model, batches([3, 0, 2]), out, rejected, batch_sizes.append)
    table = pq.read_table(out)
    assert table.schema.names == ["source", "label", "embedding"]
    assert table["source"].to_pylist() == [f"t.csv:{row}" for row in range(5)]
    assert table["label"].to_pylist() == [None, "odd", None, "odd", None]
    assert table["embedding"].to_pylist() == [[row, 0.5] for row in range(5)]
    assert str(table.schema.field("embedding").type) == "fixed_size_list<element: float>[2]"
    assert table.schema.metadata == {
        b"diptych.model": b"birds",
        b"diptych.version": b"1",
        b"diptych.manifest_sha256": manifest_digest(number_model).encode(),
        b"diptych.distance": b"euclidean",
        b"diptych.threshold": b"1.0",
    }
    assert pq.read_table(rejected)["source"].to_pylist() == ["bad:0", "bad:3", "bad:3"]
    assert (result.num_embedded, result.num_rejected, sum(batch_sizes)) == (5, 3, 8)


def test_row_groups_have_a_limited_size_and_contain_all_rows(model, tmp_path, monkeypatch):
    monkeypatch.setattr(embedding_files, "_ROW_GROUP_BYTES", 4000)
    out = tmp_path / "e.parquet"
    write_embeddings(model, batches([100] * 10, labels=False), out, tmp_path / "r.parquet")
    file = pq.ParquetFile(out)
    assert file.metadata.num_row_groups > 2
    assert file.schema_arrow.names == ["source", "embedding"]
    assert file.read()["source"].to_pylist() == [f"t.csv:{row}" for row in range(1000)]


def test_an_interrupted_write_leaves_no_files(model, tmp_path, monkeypatch):
    monkeypatch.setattr(embedding_files, "_ROW_GROUP_BYTES", 1)

    def damaged_batches():
        yield from batches([3])
        raise DataError("the rest is damaged")

    with pytest.raises(DataError, match="damaged"):
        write_embeddings(model, damaged_batches(), tmp_path / "e.parquet", tmp_path / "r.parquet")
    assert list(tmp_path.iterdir()) == []
