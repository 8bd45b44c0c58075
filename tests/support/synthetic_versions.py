"""Pushed versions without a graph, for tests that read only folders and manifests."""

from diptych.schemas.input_spec import Column, InputSpec
from diptych.schemas.manifest import ModelManifest, compute_digests


def make_version(serving, number, content=None, **metrics):
    """Create a version as the Pusher does; the model file is ``content``, else the number."""
    folder = serving / str(number)
    (folder / "assets.extra").mkdir(parents=True)
    (folder / "saved_model.pb").write_bytes(content or str(number).encode())
    ModelManifest(
        name="birds",
        version=number,
        created="2026-11-21T02:10:00+00:00",
        inputs=InputSpec(kind="vector", columns=(Column(name="a"),)),
        embedding_size=4,
        distance="euclidean",
        threshold=0.5,
        data={},
        metrics=metrics,
        configuration={},
        packages={},
        files=compute_digests(folder),
    ).write(folder)
    return folder
