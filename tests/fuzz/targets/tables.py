"""Tables of every format: the profile of ``diptych init``, and ExampleGen on what it proposes."""

from diptych.components.example_gen.pair_tables import read_pair_table
from diptych.components.example_gen.tables import read_vector_table
from diptych.schemas.errors import DiptychError
from diptych.schemas.input_spec import LABEL, SAME, SOURCE

from .profiles import follow_profile
from .scratch import check_message, folder_of_input

TOKENS = (b"label", b"species", b"split", b"train", b"same", b"left_x", b"right_x", b"PAR1")
TOKENS += (b"ARROW1", b'\\"', b'""', b"\r\n", b";", b"\t", b"1,5", b"\xef\xbb\xbf", b"\xff\xfe")
TOKENS += (b"2026-01-02T03:04:05", b"1e999", b"nan", b"\\ud800", b"null", b'{"label": "a", "x": [1')
_EXTENSIONS = (".csv", ".jsonl", ".parquet", ".feather", ".csv.gz", ".jsonl.bz2", ".tsv.zst")


def check(data):
    """Refusals: ``DiptychError``; a row that cannot be used has a reason instead.

    The first byte chooses the extension of the file.
    """
    name = f"birds{_EXTENSIONS[data[0] % len(_EXTENSIONS) if data else 0]}"
    with folder_of_input() as folder:
        (folder / name).write_bytes(data[1:])
        try:
            _ingest(folder, name)
        except DiptychError as error:
            check_message(str(error))


def _ingest(folder, name):
    config, split, inputs = follow_profile(folder / name)
    if inputs.kind != "vector":
        return
    read = read_pair_table if config.kind == "pairs" else read_vector_table
    sources, rejected = [], set()
    for batch in read(folder, name, None, config, inputs, split):
        sources += batch.features.column(SOURCE).flatten().to_pylist()
        assert len(batch.split_keys) == batch.features.num_rows
        for source, reason in batch.rejected:
            rejected.add(source.encode())  # may repeat: rows that an open quote has swallowed
            check_message(reason)
        key = SAME if config.kind == "pairs" else LABEL
        assert batch.features.column(key).flatten().null_count == 0
    assert len(set(sources)) == len(sources) and not rejected & set(sources)
