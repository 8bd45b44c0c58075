"""Worker processes write the same embeddings as the in-process runner, byte by byte."""

import numpy as np
import pandas as pd
import pytest
from apache_beam import Pipeline
from apache_beam.runners.portability.fn_api_runner import FnApiRunner
from PIL import Image
from pushed_model import push_images, push_vectors

from diptych.inference import raw_images
from diptych.inference.beam_transforms import FAILED, REJECTED, EmbedPartitions
from diptych.inference.raw_examples import find_partitions
from diptych.schemas.manifest import ModelManifest


@pytest.fixture(scope="module", params=["images", "rows"])
def task(request, tmp_path_factory):
    """A model and the partitions of its data, some of which are invalid."""
    folder = tmp_path_factory.mktemp(request.param)
    data = folder / "data"
    data.mkdir()
    generator = np.random.default_rng(0)
    if request.param == "images":
        model = push_images(folder / "serving")
        for number in range(70):
            pixels = generator.integers(0, 256, (9, 9), dtype=np.uint8)
            Image.fromarray(pixels).save(data / f"{number:02}.png")
        (data / "notes.png").write_text("a wren")
    else:
        model = push_vectors(folder / "serving")
        for number in range(4):
            table = pd.DataFrame(generator.normal(size=(500, 2)), columns=["a", "b"])
            table.loc[7, "a"] = np.nan
            table.to_parquet(data / f"{number}.parquet")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(raw_images, "_PARTITION_FILES", 20)
        parts = find_partitions(data, ModelManifest.read(model))
    return model, parts


def written_by(pipeline, task, folder):
    for name in ("", REJECTED, FAILED):
        (folder / name).mkdir(exist_ok=True, parents=True)
    model, parts = task
    with pipeline:
        _ = pipeline | EmbedPartitions(model, parts, folder)
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_worker_processes_write_the_same_bytes_as_this_process(task, portable_beam, tmp_path):
    in_process = written_by(Pipeline(runner=FnApiRunner()), task, tmp_path / "in_process")
    assert len(in_process) > len(task[1]) >= 4
    assert in_process == written_by(portable_beam.pipeline(), task, tmp_path / "service")
    assert in_process == written_by(portable_beam.pipeline_with_workers(2), task, tmp_path / "two")
