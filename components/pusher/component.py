"""TFX's Pusher with atomic version folders that contain a manifest."""

import datetime
import importlib.metadata
import logging
import shutil
import tempfile
from pathlib import Path
from typing import Any

from tfx.components.pusher import executor
from tfx.proto import pusher_pb2
from tfx.types import artifact, artifact_utils
from tfx.utils import json_utils, proto_utils

from diptych.schemas.blessing import BlessingDetails
from diptych.schemas.manifest import FileDigest, ModelManifest, compute_digests
from diptych.schemas.model_card import ModelCard
from diptych.schemas.versions import list_rolled_back, list_versions, newest_version

_PACKAGES = (
    "diptych",
    "tensorflow",
    "keras",
    "tfx",
    "apache-beam",
    "ray",
    "numpy",
    "pyarrow",
)
_STAGING_PREFIX = ".pushing-"
_logger = logging.getLogger("diptych")


class AtomicPusher(executor.Executor):
    """Write the version to a hidden staging folder, and rename it.

    TFX copies file by file into the folder of the version, so a server could load an incomplete
    model, and an incomplete model remains after a kill. The manifest is written before the rename.

    A model is pushed only once. If its files equal those of the newest version, for example after
    a kill between the rename and its record in ML Metadata, that version is recorded. A model that
    was rolled back is not pushed again; the artifact property ``rolled_back`` names its version.
    Only one process at a time may push to a folder.

    ``custom_config`` has the ``name`` of the pipeline and the ``configuration`` for the manifest.
    The blessing may have the properties of ``BlessingDetails``.
    """

    def Do(
        self,
        input_dict: dict[str, list[artifact.Artifact]],
        output_dict: dict[str, list[artifact.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Push the model if it is blessed."""
        destination = pusher_pb2.PushDestination()
        proto_utils.json_to_proto(exec_properties["push_destination"], destination)
        serving = Path(destination.filesystem.base_directory)
        serving.mkdir(parents=True, exist_ok=True)
        for leftover in serving.glob(f"{_STAGING_PREFIX}*"):  # of a killed process
            shutil.rmtree(leftover)
        pushed = artifact_utils.get_single_instance(output_dict["pushed_model"])
        if not self.CheckBlessing(input_dict):
            self._MarkNotPushed(pushed)
            return
        files = compute_digests(Path(self.GetModelPath(input_dict)))
        newest = newest_version(serving)
        if newest is not None and compute_digests(newest) == files:
            _logger.info("Version %s already has the files of this model", newest.name)
            self._MarkPushed(pushed, str(newest), newest.name)
            return
        rolled_back = [path for path in list_rolled_back(serving) if compute_digests(path) == files]
        if rolled_back:
            version_name = rolled_back[-1].name
            _logger.warning(
                "Not pushed: this model was version %s, which was rolled back", version_name
            )
            self._MarkNotPushed(pushed)
            pushed.set_string_custom_property("rolled_back", version_name)
            return
        staging = Path(tempfile.mkdtemp(prefix=_STAGING_PREFIX, dir=serving))
        try:
            destination.filesystem.base_directory = str(staging)
            push_to_staging = {"push_destination": proto_utils.proto_to_json(destination)}
            super().Do(input_dict, output_dict, {**exec_properties, **push_to_staging})
            written = staging / pushed.get_string_custom_property("pushed_version")
            version = _next_version(int(written.name), serving)
            manifest = _build_manifest(
                written,
                version,
                json_utils.loads(exec_properties["custom_config"]),
                artifact_utils.get_single_instance(input_dict["model_blessing"]),
                files,
            )
            manifest.write(written)
            manifest.verify(written)
            written.chmod(0o755)
            written.rename(serving / str(version))
            self._MarkPushed(pushed, str(serving / str(version)), str(version))
        finally:
            shutil.rmtree(staging, ignore_errors=True)


def _next_version(timestamp: int, serving: Path) -> int:
    """Return the timestamp, or the next free number if it is not above all versions.

    The clock may be set back, and two pushes may occur within a second.
    """
    versions = [*list_versions(serving), *list_rolled_back(serving)]
    return max([timestamp, *(int(path.name) + 1 for path in versions)])


def _build_manifest(
    folder: Path,
    version: int,
    custom_config: dict[str, Any],
    blessing: artifact.Artifact,
    files: dict[str, FileDigest],
) -> ModelManifest:
    card = ModelCard.read(folder)
    details = BlessingDetails.from_properties(
        {name: blessing.get_string_custom_property(name) for name in BlessingDetails.model_fields}
    )
    return ModelManifest(
        name=custom_config["name"],
        version=version,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        inputs=card.inputs,
        embedding_size=card.embedding_size,
        distance=card.distance,
        threshold=card.threshold,
        data=details.data,
        metrics=details.metrics,
        configuration=custom_config["configuration"],
        packages={name: importlib.metadata.version(name) for name in _PACKAGES},
        files=files,
    )
