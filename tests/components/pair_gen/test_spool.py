import os
import resource

import pyarrow as pa

from diptych.components.pair_gen.spool import load, load_all, spill, spill_by_key


def batch(*values):
    return pa.record_batch({"a": pa.array(values, pa.list_(pa.int32()))})


def test_pieces_hold_what_was_spilled_slices_and_empty_ones_too(tmp_path):
    batches = [batch([1], [], [2, 3]).slice(1), batch(), batch([4])]
    pieces = spill(iter(batches), str(tmp_path / "spool"))
    assert [rows for _, _, rows in pieces] == [2, 0, 1]
    assert all(load(piece).equals(given) for piece, given in zip(pieces, batches, strict=True))


def test_pieces_keep_their_keys(tmp_path):
    keyed = spill_by_key(iter([(7, batch([1])), (3, batch([2]))]), str(tmp_path))
    assert [(key, load(piece)["a"].to_pylist()) for key, piece in keyed] == [(7, [[1]]), (3, [[2]])]


def test_nothing_leaves_no_file(tmp_path):
    assert spill(iter([]), str(tmp_path / "spool")) == []
    assert not list(tmp_path.iterdir())


def test_pieces_of_more_files_than_may_be_open_are_read_together(tmp_path):
    pieces = [spill([batch([number]), batch([-number])], str(tmp_path)) for number in range(60)]
    most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 20, most[1]))
    try:
        rows = list(load_all(piece for of_file in pieces for piece in of_file[::-1]))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, most)
    values = sorted(rows_of["a"].to_pylist()[0][0] for rows_of in rows)
    assert values == sorted([*range(60), *(-number for number in range(60))])
