import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from diptych.components.example_gen.infer_spec import infer_input_spec
from diptych.schemas.config.data import PairTable
from diptych.schemas.config.split import SplitConfig
from diptych.schemas.errors import ConfigError, DataError


def pair_table(path, **options):
    defaults = {"same": "same", "left": "left_*", "right": "right_*"}
    return PairTable(kind="pairs", path=str(path), **{**defaults, **options})


def write_table(path, same, columns):
    generator = np.random.default_rng(1)
    vectors = {name: generator.random(len(same)) for name in columns}
    pq.write_table(pa.table({**vectors, "same": same}), path)
    return path


LEFT_RIGHT = ["left_b", "left_a", "right_b", "right_a"]


def test_a_table_of_pairs_becomes_examples(tmp_path, ingest):
    path = write_table(tmp_path / "t.parquet", ["no", "yes"] * 30, LEFT_RIGHT)
    run = ingest(pair_table(path, same_value="yes"))
    source = pq.read_table(path).to_pylist()
    examples = run.all_examples()
    assert len(examples) == 60
    for example in examples:
        row = source[int(example["source"].decode().rpartition(":")[2]) - 1]
        assert set(example) == {*LEFT_RIGHT, "same", "id", "left_id", "right_id", "source"}
        assert all(example[name] == np.float32(row[name]) for name in LEFT_RIGHT)
        assert example["same"] == (row["same"] == "yes")
        assert example["left_id"] != example["right_id"]


def test_a_pair_of_an_example_with_itself_is_rejected(tmp_path, ingest):
    table = pa.table(
        {
            "left_a": [float(i) for i in range(60)] + [1.0, 2.0, 3.0],
            "left_b": [0.0] * 63,
            "right_a": [i + 0.5 for i in range(60)] + [1.0, 2.0, 3.0],
            "right_b": [0.0] * 60 + [-0.0, 0.0, 1.0],
            "same": [0, 1] * 30 + [1, 0, 1],
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    run = ingest(pair_table(tmp_path / "t.parquet", max_rejected=0.05))
    reason = "left and right are identical"
    assert run.reasons() == {"t.parquet:61": reason, "t.parquet:62": reason}
    assert len(run.all_examples()) == 61


def test_column_counts_select_the_first_and_second_half(tmp_path):
    path = write_table(tmp_path / "t.parquet", [0, 1, 1], [f"v{i}" for i in range(400)])
    inputs = infer_input_spec(pair_table(path, left=200, right=200), SplitConfig())
    assert [column.name for column in inputs.columns] == [f"v{i}" for i in range(200)]
    assert [column.name for column in inputs.right_columns] == [f"v{i}" for i in range(200, 400)]
    assert inputs.paired and inputs.shape.shape == (200,)


def test_column_counts_skip_columns_named_for_the_other_side(tmp_path):
    path = write_table(tmp_path / "t.parquet", [0, 1, 1], ["a", "b", "c", "d"])
    inputs = infer_input_spec(pair_table(path, left=2, right=["a", "c"]), SplitConfig())
    assert [column.name for column in inputs.columns] == ["b", "d"]


@pytest.mark.parametrize("same", [[0, 1, 1], [0.0, 1.0, 1.0], [False, True, True], ["0", "1", "1"]])
def test_same_value_matches_any_column_type(tmp_path, same):
    assert infer_input_spec(
        pair_table(write_table(tmp_path / "t.parquet", same, LEFT_RIGHT)), SplitConfig()
    ).paired


@pytest.mark.parametrize(
    ("same", "options", "error", "match"),
    [
        ([0, 0], {}, ConfigError, r"data.same_value: 1 never occurs.*values are: '0'"),
        ([1, 1], {}, DataError, "only one value"),
        ([1, 2, 3], {}, ConfigError, "more than two values"),
        ([0, 1], {"right": "right_a"}, ConfigError, "2 columns with 2 values and 1 columns"),
        ([0, 1], {"right": "left_a"}, ConfigError, "column 'left_a' is already data.left"),
        ([0, 1], {"right": ["right_a", "same"]}, ConfigError, "column 'same' is already data.same"),
        ([0, 1], {"same": "sane"}, ConfigError, "Did you mean 'same'"),
        (
            [0, 1],
            {"left": 3, "right": 3},
            ConfigError,
            "3 numeric columns requested, but only 1 are",
        ),
    ],
)
def test_invalid_columns_raise_an_error_before_the_run(tmp_path, same, options, error, match):
    path = write_table(tmp_path / "t.parquet", same, LEFT_RIGHT)
    with pytest.raises(error, match=match):
        infer_input_spec(pair_table(path, **options), SplitConfig())
