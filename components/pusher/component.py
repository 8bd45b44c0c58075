"""TFX's Pusher, with a version folder that appears whole or not at all, and describes itself."""

import datetime
import importlib.metadata
import json
import logging
import shutil
import tempfile
from pathlib import Path
from typing import Any

from tfx.components.pusher import executor
from tfx.proto import pusher_pb2
from tfx.types import artifact, artifact_utils
from tfx.utils import json_utils, proto_utils

from diptych.components.common.exported_model import inputs_of, read_card
from diptych.schemas.manifest import File, ModelManifest, files_of
from diptych.schemas.versions import newest, rolled_back, versions

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
_BESIDE = ".pushing-"
_log = logging.getLogger("diptych")


class AtomicPusher(executor.Executor):
    """Lets TFX write the version into a hidden folder beside, and renames it.

    TFX copies file by file into the version's own folder: a server that looks in between, or a
    process that is killed, finds or leaves half a model. The manifest is written before the rename.

    A model is pushed once. One that is the newest version already, as after a kill between the
    rename and the record of it, is recorded as that version. One that was rolled back is not
    pushed again; the property ``rolled_back`` of the artifact is its version. One process at a time
    pushes into a folder.

    ``custom_config`` has the ``name`` of the pipeline and the ``configuration`` to put down in the
    manifest; the blessing may carry ``figures`` and ``data``, each a JSON object.
    """

    def Do(
        self,
        input_dict: dict[str, list[artifact.Artifact]],
        output_dict: dict[str, list[artifact.Artifact]],
        exec_properties: dict[str, Any],
    ) -> None:
        """Pushes the model if it is blessed."""
        destination = pusher_pb2.PushDestination()
        proto_utils.json_to_proto(exec_properties["push_destination"], destination)
        serving = Path(destination.filesystem.base_directory)
        serving.mkdir(parents=True, exist_ok=True)
        for left in serving.glob(f"{_BESIDE}*"):  # by a process that was killed
            shutil.rmtree(left)
        pushed = artifact_utils.get_single_instance(output_dict["pushed_model"])
        if not self.CheckBlessing(input_dict):
            self._MarkNotPushed(pushed)
            return
        files = files_of(Path(self.GetModelPath(input_dict)))
        present = newest(serving)
        if present is not None and files_of(present) == files:
            _log.info("Version %s has the files of this model already", present.name)
            self._MarkPushed(pushed, str(present), present.name)
            return
        undone = [path for path in rolled_back(serving) if files_of(path) == files]
        if undone:
            _log.warning("Not pushed: version %s was this model, and rolled back", undone[-1].name)
            self._MarkNotPushed(pushed)
            pushed.set_string_custom_property("rolled_back", undone[-1].name)
            return
        beside = Path(tempfile.mkdtemp(prefix=_BESIDE, dir=serving))
        try:
            destination.filesystem.base_directory = str(beside)
            staged = {"push_destination": proto_utils.proto_to_json(destination)}
            super().Do(input_dict, output_dict, {**exec_properties, **staged})
            written = beside / pushed.get_string_custom_property("pushed_version")
            version = _number(int(written.name), serving)
            manifest = _describe(
                written,
                version,
                json_utils.loads(exec_properties["custom_config"]),
                artifact_utils.get_single_instance(input_dict["model_blessing"]),
                files,
            )
            manifest.write(written)
            manifest.check(written)
            written.chmod(0o755)
            written.rename(serving / str(version))
            self._MarkPushed(pushed, str(serving / str(version)), str(version))
        finally:
            shutil.rmtree(beside, ignore_errors=True)


def _number(now: int, serving: Path) -> int:
    """The time, or the first number after all versions: of a clock set back, of one second."""
    others = [*versions(serving), *rolled_back(serving)]
    return max([now, *(int(path.name) + 1 for path in others)])


def _describe(
    folder: Path,
    version: int,
    of_pipeline: dict[str, Any],
    blessing: artifact.Artifact,
    files: dict[str, File],
) -> ModelManifest:
    card = read_card(folder)
    return ModelManifest(
        name=of_pipeline["name"],
        version=version,
        created=datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        inputs=inputs_of(card),
        embedding_size=card["embedding_size"],
        distance=card["distance"],
        threshold=card["threshold"],
        # Another evaluator's blessing has none.
        data=json.loads(blessing.get_string_custom_property("data") or "{}"),
        figures=json.loads(blessing.get_string_custom_property("figures") or "{}"),
        configuration=of_pipeline["configuration"],
        packages={name: importlib.metadata.version(name) for name in _PACKAGES},
        files=files,
    )
