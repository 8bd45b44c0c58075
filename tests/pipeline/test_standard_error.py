import subprocess
import sys

import pytest

FAILING_PIPELINE = """
import contextlib, sys
import apache_beam as beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from diptych.pipeline.standard_error import tolerate_full_disk

options = PipelineOptions(direct_running_mode="multi_threading", direct_num_workers=2)

def fail(element):
    raise OSError(28, "No space left on device")

try:
    with tolerate_full_disk(), beam.Pipeline(FnApiRunner(), options) as pipeline:
        pipeline | beam.Create([1]) | beam.Map(fail)
except Exception as error:
    print("failed:", *str(error).split())
"""
WORDS = """
import sys
from diptych.pipeline.standard_error import tolerate_full_disk
before = sys.stderr
with tolerate_full_disk():
    print("one", file=sys.stderr)
    sys.stderr.write("two ä\\udcff")
assert sys.stderr is before
print("three", file=sys.stderr)
"""


def _run(code, stderr):
    return subprocess.run(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        encoding="utf-8",
        env={"PYTHONUTF8": "1"},
        timeout=60,
        check=False,
    )


def test_an_error_in_beam_is_reported_if_standard_error_is_on_a_full_disk():
    with open("/dev/full", "w") as full:
        result = _run(FAILING_PIPELINE, full)
    assert result.stdout.startswith("failed: ")
    assert "No space left on device" in result.stdout


@pytest.mark.parametrize("is_full", [False, True])
def test_standard_error_is_written_in_order_and_restored(is_full):
    if is_full:
        with open("/dev/full", "w") as full:
            assert _run(WORDS.replace('print("three"', "#"), full).returncode == 0
    else:
        assert _run(WORDS, subprocess.PIPE).stderr == "one\ntwo ä\\udcffthree\n"
