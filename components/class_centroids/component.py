"""ClassCentroids, the TFX component."""
# No ``from __future__ import annotations`` here: TFX reads these annotations as objects.

import logging
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

from diptych.schemas.artifacts import Centroids
from diptych.schemas.input_spec import Inputs

_PROGRESS = logging.getLogger("diptych.progress")


@component(use_beam=True)
def ClassCentroids(
    examples: InputArtifact[standard_artifacts.Examples],
    centroids: OutputArtifact[Centroids],
    production: Parameter[str],
    inputs: Parameter[str],
    code_hash: Parameter[str],
    beam_pipeline: BeamComponentParameter[beam.Pipeline] = None,
) -> None:
    """Finds where the classes of the training split lie in the embedding of a model.

    Args:
      examples: raw ones; the model has its preprocessing inside.
      centroids: see ``diptych.schemas.centroids``; without rows if there is no model, or one that
        takes other inputs than these examples have.
      production: the model: a version, or a folder of them, of which the newest is taken.
      inputs: ``inputs.Inputs`` as JSON.
      code_hash: of our code; a new one runs the step anew.
      beam_pipeline: given by TFX.
    """
    del code_hash
    from diptych.components.class_centroids.sums import no_centroids
    from diptych.components.class_centroids.transforms import FindCentroids
    from diptych.components.common.exported_model import read_card, takes
    from diptych.schemas.centroids import count_centroids, write_centroids
    from diptych.schemas.versions import newest

    raw, folder = Inputs.model_validate_json(inputs), Path(centroids.uri)
    path = newest(Path(production))
    reason = ""
    if path is None:
        reason = "no model is in production yet"
    elif not takes(read_card(path), raw):
        reason = "the model in production takes other inputs"
    if reason:
        write_centroids(folder, no_centroids())
        _PROGRESS.info("%s: pairs stay random", reason)
    else:
        split = Path(artifact_utils.get_split_uri([examples], "train"))
        files = sorted(str(file) for file in split.glob("[!._]*"))
        with beam_pipeline as pipeline:
            pipeline | beam.Create(files) | FindCentroids(path, raw, folder)
    num_classes = count_centroids(folder)
    if num_classes:
        _PROGRESS.info("%d classes placed by the model in production", num_classes)
    centroids.set_int_custom_property("num_classes", num_classes)
    centroids.set_string_custom_property("reason", reason)
