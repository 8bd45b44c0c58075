"""Pushed versions without a graph in them, for what looks only at folders and manifests."""

from diptych.schemas.input_spec import Column, Inputs
from diptych.schemas.manifest import ModelManifest, files_of


def make_version(serving, number, content=None, **figures):
    """A version as it is pushed; ``content`` is what tells its model from others."""
    folder = serving / str(number)
    (folder / "assets.extra").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(content or str(number).encode())
    ModelManifest(
        name="birds",
        version=number,
        created="2026-11-21T02:10:00+00:00",
        inputs=Inputs(kind="vector", columns=(Column(name="a"),)),
        embedding_size=4,
        distance="euclidean",
        threshold=0.5,
        data={},
        figures=figures,
        configuration={},
        packages={},
        files=files_of(folder),
    ).write(folder)
    return folder
