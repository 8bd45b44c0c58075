import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from diptych.schemas.config.data import PairTable, Table
from diptych.schemas.config.split import SplitConfig
from diptych.schemas.errors import DataError

BY_TIME = SplitConfig(by="time")


def days(row):
    return f"2026-{1 + row // 28:02}-{1 + row % 28:02}"


TIMES = {
    "numbers": lambda row: row - 20.5,
    "years": lambda row: 1990 + row,
    "dates": days,
    "timestamps": lambda row: f"{days(row)} 10:30:00",
    "zones": lambda row: f"{days(row)}T10:30:00+0{row % 3}:00",
}


def write(path, times, order):
    rows = "".join(f"{row % 3},{row / 7},{(row * 11) % 13},{times(row)}\n" for row in order)
    path.write_text("y,a,b,t\n" + rows)
    return Table(kind="table", path=str(path), label="y", time="t")


@pytest.mark.parametrize("kind", TIMES)
def test_training_data_are_older_than_test_data(tmp_path, ingest, kind):
    data = write(tmp_path / "t.csv", TIMES[kind], reversed(range(50)))
    run = ingest(data, BY_TIME)
    rows = {
        name: sorted(round(e["a"] * 7) for e in run.split(name))
        for name in ("train", "calibration", "test")
    }
    assert rows == {
        "train": list(range(30)),
        "calibration": list(range(30, 40)),
        "test": list(range(40, 50)),
    }
    assert all("t" not in example for example in run.all_examples())


def test_parquet_timestamps_and_csv_text_give_the_same_splits(tmp_path, ingest):
    data = write(tmp_path / "t.csv", TIMES["timestamps"], range(50))
    order = [(row * 7) % 50 for row in range(50)]
    table = pa.table(
        {
            "y": [row % 3 for row in order],
            "a": [row / 7 for row in order],
            "b": [(row * 11) % 13 for row in order],
            "t": pa.array([f"{days(row)} 10:30:00" for row in order]).cast(pa.timestamp("ns")),
        }
    )
    pq.write_table(table, tmp_path / "t.parquet")
    splits = [
        {round(e["a"] * 7): name for name in ("train", "test") for e in run.split(name)}
        for run in (
            ingest(data, BY_TIME),
            ingest(data.model_copy(update={"path": str(tmp_path / "t.parquet")}), BY_TIME),
        )
    ]
    assert splits[0] == splits[1]


def test_rows_without_a_time_are_rejected(tmp_path, ingest):
    data = write(tmp_path / "t.csv", lambda row: {3: "", 4: "soon"}.get(row, row), range(50))
    run = ingest(data.model_copy(update={"max_rejected": 0.1}), BY_TIME)
    assert run.reasons() == {
        "t.csv:5": "column 't' has no value",
        "t.csv:6": "column 't' is neither a number nor a date from 1678 to 2261, "
        "such as 2026-01-31",
    }


def test_dates_and_numbers_in_one_column_stop_the_run(tmp_path, ingest):
    data = write(tmp_path / "t.csv", lambda row: row if row % 2 else days(row), range(50))
    with pytest.raises(DataError, match=r"25 rows have a date and 25 a plain number"):
        ingest(data, BY_TIME)


def test_given_pairs_are_split_by_time(tmp_path, ingest):
    rows = "".join(f"{row % 2},{row},{row + 0.5},{days(row)}\n" for row in range(50))
    (tmp_path / "t.csv").write_text("same,left,right,when\n" + rows)
    options = {"same": "same", "left": ["left"], "right": ["right"], "time": "when"}
    run = ingest(PairTable(kind="pairs", path=str(tmp_path / "t.csv"), **options), BY_TIME)
    assert min(e["left"] for e in run.split("test")) == 40
