"""TFX's Pusher, with a version folder that appears whole or not at all."""

import shutil
import tempfile
from pathlib import Path
from typing import Any

from tfx.components.pusher import executor
from tfx.proto import pusher_pb2
from tfx.types import artifact, artifact_utils
from tfx.utils import proto_utils


class AtomicPusher(executor.Executor):
    """Lets TFX write the version into a hidden folder beside, and renames it.

    TFX copies file by file into the version's own folder: a server that looks in between, or a
    process that is killed, finds or leaves half a model.
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
            written.chmod(0o755)
            written.rename(serving / str(version))
            self._MarkPushed(pushed, str(serving / str(version)), str(version))
        finally:
            shutil.rmtree(beside, ignore_errors=True)
