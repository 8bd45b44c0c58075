"""Finds the model that a new one is compared with: the one blessed before it."""

from typing import Any

from tfx.dsl.components.common.resolver import ResolverStrategy
from tfx.types import artifact


class BlessedBefore(ResolverStrategy):
    """Resolves ``model`` to the latest blessed model that is not the ``candidate`` itself.

    TFX's own ``LatestBlessedModelStrategy`` returns the candidate when nothing has changed since
    it was blessed: the evaluation would then run again, against itself, and push a second time.
    """

    def resolve_artifacts(
        self, store: Any, input_dict: dict[str, list[artifact.Artifact]]
    ) -> dict[str, list[artifact.Artifact]]:
        """Takes and returns ``candidate``, ``model`` and ``model_blessing``."""
        candidates = {model.id for model in input_dict["candidate"]}
        blessings = {
            blessing.get_int_custom_property("current_model_id"): blessing
            for blessing in input_dict["model_blessing"]
            if blessing.get_int_custom_property("blessed") == 1
        }
        for model in sorted(input_dict["model"], key=lambda model: model.id, reverse=True):
            if model.id in blessings and model.id not in candidates:
                return {
                    "candidate": input_dict["candidate"],
                    "model": [model],
                    "model_blessing": [blessings[model.id]],
                }
        return {"candidate": input_dict["candidate"], "model": [], "model_blessing": []}
