"""TFX's Pusher, with a version folder that appears whole or not at all, and describes itself."""

import datetime
import importlib.metadata
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from tfx.components.pusher import executor
from tfx.proto import pusher_pb2
from tfx.types import artifact, artifact_utils
from tfx.utils import json_utils, proto_utils

from diptych.components.exported import inputs_of, read_card
from diptych.schemas.manifest import ModelManifest, files_of

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


class AtomicPusher(executor.Executor):
    """Lets TFX write the version into a hidden folder beside, and renames it.

    TFX copies file by file into the version's own folder: a server that looks in between, or a
    process that is killed, finds or leaves half a model. The manifest is written before the rename.

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
        beside = Path(tempfile.mkdtemp(prefix=".pushing-", dir=serving))
        try:
            destination.filesystem.base_directory = str(beside)
            staged = {"push_destination": proto_utils.proto_to_json(destination)}
            super().Do(input_dict, output_dict, {**exec_properties, **staged})
            pushed = artifact_utils.get_single_instance(output_dict["pushed_model"])
            if not pushed.get_int_custom_property("pushed"):
                return
            version = int(pushed.get_string_custom_property("pushed_version"))
            written = beside / str(version)
            # Two pushes within a second would carry the same version.
            while (serving / str(version)).exists():
                version += 1
            manifest = _describe(
                written,
                version,
                json_utils.loads(exec_properties["custom_config"]),
                artifact_utils.get_single_instance(input_dict["model_blessing"]),
            )
            manifest.write(written)
            written.chmod(0o755)
            written.rename(serving / str(version))
            self._MarkPushed(pushed, str(serving / str(version)), str(version))
        finally:
            shutil.rmtree(beside, ignore_errors=True)


def _describe(
    folder: Path, version: int, of_pipeline: dict[str, Any], blessing: artifact.Artifact
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
        files=files_of(folder),
    )
