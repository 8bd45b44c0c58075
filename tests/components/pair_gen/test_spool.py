import os
import resource

import pyarrow as pa

from diptych.components.pair_gen.spool import (
    load_batch,
    load_batches,
    spill_batches,
    spill_keyed_batches,
)


def batch(*values):
    return pa.record_batch({"a": pa.array(values, pa.list_(pa.int32()))})


def test_spilled_batches_are_loaded_unchanged(tmp_path):
    batches = [batch([1], [], [2, 3]).slice(1), batch(), batch([4])]
    refs = spill_batches(iter(batches), str(tmp_path / "spool"))
    assert [rows for _, _, rows in refs] == [2, 0, 1]
    assert all(load_batch(ref).equals(given) for ref, given in zip(refs, batches, strict=True))


def test_spilled_batches_keep_their_keys(tmp_path):
    keyed = spill_keyed_batches(iter([(7, batch([1])), (3, batch([2]))]), str(tmp_path))
    assert [(key, load_batch(ref)["a"].to_pylist()) for key, ref in keyed] == [
        (7, [[1]]),
        (3, [[2]]),
    ]


def test_spilling_nothing_writes_no_file(tmp_path):
    assert spill_batches(iter([]), str(tmp_path / "spool")) == []
    assert not list(tmp_path.iterdir())


def test_more_files_than_can_be_open_are_loaded(tmp_path):
    refs = [
        spill_batches([batch([number]), batch([-number])], str(tmp_path)) for number in range(60)
    ]
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (len(os.listdir("/proc/self/fd")) + 20, limits[1]))
    try:
        rows = list(load_batches(ref for file_refs in refs for ref in file_refs[::-1]))
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)
    values = sorted(rows_of["a"].to_pylist()[0][0] for rows_of in rows)
    assert values == sorted([*range(60), *(-number for number in range(60))])
