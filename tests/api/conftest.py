import numpy as np
import pytest
import yaml
from PIL import Image
from pushed_model import push_images

import diptych


@pytest.fixture(scope="session")
def workplace(tmp_path_factory):
    """A folder with a table of three classes, a configuration, and three plain grey images."""
    folder = tmp_path_factory.mktemp("api")
    generator = np.random.default_rng(0)
    labels = np.repeat(["x", "y", "z"], 40)
    centers = {"x": 0.0, "y": 3.0, "z": 6.0}
    rows = [f"{a},{b},{label}" for label in labels for a, b in [_point(centers[label], generator)]]
    (folder / "data.csv").write_text("\n".join(["a,b,label", *rows]) + "\n")
    config = {
        "name": "toy",
        "data": {"kind": "table", "path": "data.csv", "label": "label"},
        "pairs": {"classes_per_batch": 3, "rounds": 1, "num_shards": 2},
        "model": {"embedding_size": 4},
        "train": {"num_workers": 0, "epochs": 3},
        # The plain distance separates the classes, and one epoch gains nothing.
        "evaluate": {"requirements": {"accuracy": 0, "beats_baseline": False}, "bootstrap": 10},
    }
    (folder / "diptych.yaml").write_text(yaml.safe_dump(config))
    for name, brightness in (("a", 0), ("b", 255), ("asked", 20)):
        Image.new("L", (12, 9), brightness).save(folder / f"{name}.png")
    return folder


def _point(center, generator):
    return np.round(center + generator.normal(scale=0.3, size=2), 4)


@pytest.fixture(scope="session")
def finished_run(workplace):
    return diptych.run(
        workplace / "diptych.yaml", root=workplace / "root", overrides={"train.epochs": 1}
    )


@pytest.fixture(scope="session")
def image_model(tmp_path_factory):
    """A model of images; the distance of plain grey images is twice their brightness difference."""
    return diptych.load_model(push_images(tmp_path_factory.mktemp("images") / "serving").parent)
