"""TFX component PairGen."""
# No ``from __future__ import annotations`` here: TFX reads these annotations as objects.

import contextlib
import re
import shutil
from collections.abc import Iterable, Iterator
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

from diptych.components.pair_gen.spool import spool_folder
from diptych.components.pair_gen.transforms import MakePairs
from diptych.schemas.artifacts import Balance, Centroids, PairSet
from diptych.schemas.balance import SplitBalance
from diptych.schemas.cleanup import cleanup, cleanup_on_error
from diptych.schemas.config.pairs import PairsConfig
from diptych.schemas.errors import DataError
from diptych.schemas.files import PARTIAL_SUFFIX, empty_folder
from diptych.schemas.input_spec import InputSpec
from diptych.schemas.shards import SPLITS, SplitManifest


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
    """Generate the pairs within each split; pairs across splits would leak evaluation examples.

    Args:
      transformed_examples: Output of Transform.
      pairs: One folder of shards per split, see ``diptych.schemas.shards``.
      balance: One JSON file per split, see ``diptych.schemas.balance``.
      settings: ``PairsConfig`` as JSON.
      inputs: ``InputSpec`` as JSON.
      code_hash: Hash of the step's code; a new hash invalidates the cache.
      class_centroids: Centroids of the training split, for ``similar_classes``. Without rows,
        negatives are random.
      beam_pipeline: Provided by TFX.

    Raises:
      DataError: If a split has no positive or no negative pairs.
    """
    del code_hash
    folder = Path(pairs.uri)
    negatives, centroids_folder = resolve_negatives(class_centroids)
    # TFX fails if an output folder itself is missing, and would hide the error.
    with cleanup_on_error(lambda: empty_folder(folder), lambda: empty_folder(Path(balance.uri))):
        files = {name: _list_split_files(transformed_examples, name) for name in SPLITS}
        generate_pairs(
            beam_pipeline,
            files,
            folder,
            Path(balance.uri),
            PairsConfig.model_validate_json(settings),
            InputSpec.model_validate_json(inputs),
            centroids_folder,
        )
    manifests = {name: SplitManifest.read(folder / f"Split-{name}") for name in SPLITS}
    for name in ("num_examples", "num_batches", "num_pairs", "num_triplets"):
        total = sum(getattr(manifest, name) for manifest in manifests.values())
        pairs.set_int_custom_property(name, total)
    pairs.set_int_custom_property("num_classes", manifests["train"].num_classes)
    pairs.set_string_custom_property("negatives", negatives)
    training = SplitBalance.read(Path(balance.uri), "train")
    balance.set_float_custom_property("coverage", training.coverage)


def generate_pairs(
    pipeline: beam.Pipeline,
    files: dict[str, list[str]],
    folder: Path,
    balance: Path,
    settings: PairsConfig,
    inputs: InputSpec,
    centroids: str | None = None,
) -> None:
    """Run one Beam pipeline for all splits.

    Args:
      pipeline: Empty pipeline, which is run.
      files: Transformed examples of each split.
      folder: Parent of the folders ``Split-<name>``.
      balance: Folder of the balance reports.
      settings, inputs: Settings of the run.
      centroids: Folder of the class centroids, for training batches of similar classes.
    """
    with cleanup(lambda: _remove_spools(folder, files)), _translate_data_errors(), pipeline:
        for name, paths in files.items():
            # Evaluation pairs stay random, so that all models are evaluated on the same pairs.
            split_centroids = centroids if name == "train" else None
            split_uri = str(folder / f"Split-{name}")
            make_pairs = MakePairs(name, split_uri, settings, inputs, str(balance), split_centroids)
            pipeline | f"Files[{name}]" >> beam.Create(paths) | f"MakePairs[{name}]" >> make_pairs


@contextlib.contextmanager
def _translate_data_errors() -> Iterator[None]:
    """Raise the ``DataError`` of a worker again: runners report its exceptions as text."""
    try:
        yield
    except Exception as error:
        text = f"DataError: {error}" if isinstance(error, DataError) else str(error)
        match = re.search(r"DataError: (.+?)(?: \[while running|\n|$)", text)
        if match is None:
            raise
        raise DataError(match.group(1)) from error


def _remove_spools(folder: Path, splits: Iterable[str]) -> None:
    """Remove intermediate files, and partial files of workers that were killed."""
    for split in splits:
        split_folder = folder / f"Split-{split}"
        shutil.rmtree(spool_folder(str(split_folder)), ignore_errors=True)
        for partial in split_folder.glob(f"*{PARTIAL_SUFFIX}"):
            partial.unlink(missing_ok=True)


def resolve_negatives(centroids: Centroids | None) -> tuple[str, str | None]:
    """Return a description of the negatives, and the centroids folder if it has rows."""
    if centroids is None:
        return "random", None
    if not centroids.get_int_custom_property("num_classes"):
        return f"random: {centroids.get_string_custom_property('reason')}", None
    return "similar_classes", centroids.uri


def _list_split_files(examples: standard_artifacts.Examples, split: str) -> list[str]:
    """List the files of a split."""
    folder = Path(artifact_utils.get_split_uri([examples], split))
    paths = folder.iterdir() if folder.is_dir() else []
    files = sorted(str(path) for path in paths if not path.name.startswith((".", "_")))
    if not files:
        raise DataError(
            f"The {split} split has no files in {folder}. Give it a larger fraction "
            f"(split.{split})."
        )
    return files
