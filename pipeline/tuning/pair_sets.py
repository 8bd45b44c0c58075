"""The pairs that trials train on and are judged on."""

import logging
from pathlib import Path

from diptych.components.common.production import resolve_production
from diptych.components.example_gen.infer_spec import infer_input_spec
from diptych.pipeline.graph import build_pipeline
from diptych.pipeline.runners.local import run_locally
from diptych.pipeline.runs.records import TUNING_RUN_PREFIX, read_run
from diptych.pipeline.tuning.space import Trial, format_values
from diptych.pipeline.workspace import serving_folder
from diptych.schemas.config.config import Config

_LAST_STEP = "PairGen"
_progress = logging.getLogger("diptych.progress")


class PairSets:
    """Runs the pipeline as far as the pairs, once for each of the settings that they depend on.

    Args:
      config: the configuration itself, whose calibration pairs all trials are judged on.
      root: of the runs of this pipeline, so that ``diptych run`` shares its cache.
      call: the name of this call of ``diptych tune``, from which its runs have theirs.
    """

    def __init__(self, config: Config, root: Path, call: str) -> None:
        self._config = config
        self._root = root
        self._call = call
        self._made: dict[str, Path] = {}

    def needed(self, trials: list[Trial]) -> dict[str, Config]:
        """What to make for these trials: configurations, by what is special about them."""
        needed = {_settings(self._config): ("as configured", self._config)}
        for trial in trials:
            for config, sections in (
                (trial.config, ("data.", "pairs.")),
                (self._judged_on(trial), ("data.",)),
            ):
                own = {key: of for key, of in trial.values.items() if key.startswith(sections)}
                needed.setdefault(_settings(config), (format_values(own), config))
        return dict(needed.values())

    def make(self, config: Config) -> None:
        """Draws the pairs of a configuration, or takes them from the cache."""
        inputs = infer_input_spec(config.data, config.split)
        production = resolve_production(serving_folder(config, self._root))
        pipeline = build_pipeline(config, inputs, self._root, production)
        run = f"{TUNING_RUN_PREFIX}{self._call}-{len(self._made) + 1}"
        run_locally(pipeline, run, _progress.info, lambda name, outcome: None, _LAST_STEP)
        found = read_run(self._root, run).output(_LAST_STEP, "pairs")
        assert found is not None  # it has come to its end
        self._made[_settings(config)] = found.path

    def of(self, config: Config) -> Path:
        """The folder with the pairs of a configuration; they have been made."""
        return self._made[_settings(config)]

    def link(self, trial: Trial, folder: Path) -> None:
        """Lays training pairs of the trial and calibration pairs of the configuration side by side.

        The pairs of every split depend on P, K and the ratio. Judged on its own calibration pairs,
        a trial with 3 different pairs to a same one would be right in 3 of 4 by saying "different".
        """
        folder.mkdir(parents=True, exist_ok=True)
        sources = {
            "Split-train": self.of(trial.config),
            "Split-calibration": self.of(self._judged_on(trial)),
        }
        for split, source in sources.items():
            (folder / split).unlink(missing_ok=True)
            (folder / split).symlink_to(source / split)

    def _judged_on(self, trial: Trial) -> Config:
        return trial.config.model_copy(update={"pairs": self._config.pairs})


def _settings(config: Config) -> str:
    return config.data.model_dump_json() + config.pairs.model_dump_json()
