"""The output of PairGen does not depend on the runner or on the division of its input."""

import hashlib

import apache_beam as beam
import numpy as np
import pytest
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from diptych.components.pair_gen.component import generate_pairs
from diptych.schemas.config.pairs import PairsConfig
from diptych.schemas.input_spec import Column, InputSpec
from diptych.schemas.shards import SPLITS

LABELLED = InputSpec(kind="image", size=(3, 2), channels=1)
PAIRED = InputSpec(
    kind="vector", columns=(Column(name="a", width=2),), right_columns=(Column(name="b", width=2),)
)
SETTINGS = PairsConfig(classes_per_batch=3, num_shards=3, sampling="oversample")
SIZES = {"train": [400, 90, 30, 7, 4, 2, 1], "calibration": [40, 9, 1], "test": [25, 14, 3]}


def make_labelled(split):
    for class_index, size in enumerate(SIZES[split]):
        for index in range(size):
            digest = hashlib.blake2b(f"{split} {class_index} {index}".encode(), digest_size=16)
            yield {
                "id": [digest.hexdigest().encode()],
                "label": [b"class %d" % class_index],
                "class": [class_index],
                "x": [digest.digest()[:6]],
            }


def make_given_pairs(split):
    for number in range(5 * len(split) * len(split)):
        left, right = number, number + 1 + number % 3
        yield {
            "id": [b"%032x" % (7000 + number)],
            "left_id": [b"%032x" % left],
            "right_id": [b"%032x" % right],
            "same": [int(number % 3 == 0)],
            "left": [float(left)] * 2,
            "right": [float(right)] * 2,
        }


ROWS = {"labelled": (make_labelled, LABELLED), "paired": (make_given_pairs, PAIRED)}


@pytest.fixture(scope="module", params=list(ROWS))
def made(request, tmp_path_factory, write_records):
    """A function that runs PairGen on divided input, and the output for undivided input."""
    rows, inputs = ROWS[request.param]
    root = tmp_path_factory.mktemp(request.param)

    def make(name, pipeline, parts=1):
        files = {}
        for split in SPLITS:
            examples = list(rows(split))
            if parts > 1:
                np.random.default_rng(parts).shuffle(examples)
            files[split] = [
                write_records(root / name / split / f"{part}.gz", examples[part::parts])
                for part in range(parts)
            ]
        folder = root / name / "out"
        generate_pairs(pipeline, files, folder, folder / "balance", SETTINGS, inputs)
        paths = sorted(path for path in folder.rglob("*") if path.is_file())
        return {str(path.relative_to(folder)): path.read_bytes() for path in paths}

    return make, make("in process", beam.Pipeline(runner=FnApiRunner()))


def test_two_threads_write_the_same_bytes(made):
    make, expected = made
    options = PipelineOptions(direct_num_workers=2, direct_running_mode="multi_threading")
    pipeline = beam.Pipeline(runner=FnApiRunner(), options=options)
    assert make("threads", pipeline, parts=5) == expected


def test_a_job_service_and_its_worker_write_the_same_bytes(made, portable_beam):
    make, expected = made
    with portable_beam.watch_memory() as peaks:
        assert make("job service", portable_beam.pipeline(), parts=3) == expected
    assert len(peaks) == 1


def test_two_workers_write_the_same_bytes(made, portable_beam):
    make, expected = made
    with portable_beam.watch_memory() as peaks:
        assert make("two workers", portable_beam.pipeline_with_workers(2), parts=4) == expected
    assert len(peaks) == 2
