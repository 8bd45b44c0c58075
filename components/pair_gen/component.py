"""PairGen, the TFX component."""
# No ``from __future__ import annotations`` here: TFX reads these annotations as objects.

import re
import shutil
from pathlib import Path

import apache_beam as beam
from tfx.dsl.component.experimental.annotations import (
    BeamComponentParameter,
    InputArtifact,
    OutputArtifact,
    Parameter,
)
from tfx.dsl.component.experimental.decorators import component
from tfx.types import artifact_utils, standard_artifacts

from diptych.components.pair_gen.spool import spool_of
from diptych.components.pair_gen.transforms import MakePairs
from diptych.schemas.artifacts import Balance, Centroids, PairSet
from diptych.schemas.balance import SplitBalance
from diptych.schemas.config.pairs import Pairs
from diptych.schemas.errors import DataError
from diptych.schemas.files import HALF
from diptych.schemas.input_spec import Inputs
from diptych.schemas.shards import SPLITS, Manifest


@component(use_beam=True)
def PairGen(
    transformed_examples: InputArtifact[standard_artifacts.Examples],
    pairs: OutputArtifact[PairSet],
    balance: OutputArtifact[Balance],
    settings: Parameter[str],
    inputs: Parameter[str],
    code_hash: Parameter[str],
    class_centroids: InputArtifact[Centroids] = None,
    beam_pipeline: BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    """Draws the pairs of each split within itself: a pair across two would leak its examples.

    Args:
      transformed_examples: what Transform wrote.
      pairs: a folder of shards a split, see ``diptych.schemas.shards``.
      balance: a JSON file a split, see ``diptych.schemas.balance``.
      settings: ``config.Pairs`` as JSON.
      inputs: ``inputs.Inputs`` as JSON.
      code_hash: of our code; a new one runs the step anew.
      class_centroids: of the training split, for ``confusable``; without rows, it is as random.
      beam_pipeline: given by TFX.

    Raises:
      DataError: a split has no same or no different pairs.
    """
    del code_hash
    folder = Path(pairs.uri)
    difficulty, known = difficulty_of(class_centroids)
    try:
        files = {name: _files(transformed_examples, name) for name in SPLITS}
        make_all(
            beam_pipeline,
            files,
            folder,
            Path(balance.uri),
            Pairs.model_validate_json(settings),
            Inputs.model_validate_json(inputs),
            known,
        )
    except BaseException:
        for name in SPLITS:
            shutil.rmtree(folder / f"Split-{name}", ignore_errors=True)
        shutil.rmtree(balance.uri, ignore_errors=True)
        raise
    manifests = {name: Manifest.read(folder / f"Split-{name}") for name in SPLITS}
    for name in ("num_examples", "num_batches", "num_pairs", "num_triplets"):
        total = sum(getattr(manifest, name) for manifest in manifests.values())
        pairs.set_int_custom_property(name, total)
    pairs.set_int_custom_property("num_classes", manifests["train"].num_classes)
    pairs.set_string_custom_property("difficulty", difficulty)
    training = SplitBalance.read(Path(balance.uri), "train")
    balance.set_float_custom_property("coverage", training.coverage)


def make_all(
    pipeline: beam.Pipeline,
    files: dict[str, list[str]],
    folder: Path,
    balance: Path,
    settings: Pairs,
    inputs: Inputs,
    centroids: str | None = None,
) -> None:
    """Runs one Beam pipeline for all splits.

    Args:
      pipeline: empty; it is run.
      files: of transformed examples, for each split.
      folder: gets a folder ``Split-<name>`` for each.
      balance: folder that gets a report of each.
      settings, inputs: of the run.
      centroids: folder of the classes' centroids, for batches of similar classes in training.
    """
    try:
        with pipeline:
            for name, paths in files.items():
                # Evaluation stays random, so that models are compared on the same pairs.
                near = centroids if name == "train" else None
                split = str(folder / f"Split-{name}")
                made = MakePairs(name, split, settings, inputs, str(balance), near)
                pipeline | f"Files[{name}]" >> beam.Create(paths) | f"MakePairs[{name}]" >> made
    except Exception as error:
        # Runners report what a worker raised as text.
        text = f"DataError: {error}" if isinstance(error, DataError) else str(error)
        found = re.search(r"DataError: (.+?)(?: \[while running|\n|$)", text)
        if found is None:
            raise
        raise DataError(found.group(1)) from error
    finally:
        for name in files:
            made_in = folder / f"Split-{name}"
            shutil.rmtree(spool_of(str(made_in)), ignore_errors=True)
            for half in made_in.glob(f"*{HALF}"):  # of a worker that was killed
                half.unlink(missing_ok=True)


def difficulty_of(centroids: Centroids | None) -> tuple[str, str | None]:
    """The difficulty in words, and the folder of the centroids if there are some."""
    if centroids is None:
        return "random", None
    if not centroids.get_int_custom_property("num_classes"):
        return f"random: {centroids.get_string_custom_property('reason')}", None
    return "confusable", centroids.uri


def _files(examples: standard_artifacts.Examples, split: str) -> list[str]:
    folder = Path(artifact_utils.get_split_uri([examples], split))
    paths = folder.iterdir() if folder.is_dir() else []
    files = sorted(str(path) for path in paths if not path.name.startswith((".", "_")))
    if not files:
        raise DataError(
            f"The {split} split has no files in {folder}. Give it a larger share (split.{split})."
        )
    return files
