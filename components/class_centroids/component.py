"""TFX component ClassCentroids."""
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
from diptych.schemas.input_spec import InputSpec

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
    """Compute the centroids of the training classes in the embedding of the model in production.

    Args:
      examples: Raw examples; the model includes its preprocessing.
      centroids: See ``diptych.schemas.centroids``; without rows if no model is in production, or
        the model does not accept these inputs.
      production: A model version, or a folder of versions, of which the newest is used.
      inputs: ``InputSpec`` as JSON.
      code_hash: Hash of the step's code; a new hash invalidates the cache.
      beam_pipeline: Provided by TFX.
    """
    del code_hash
    from diptych.components.class_centroids.centroid_sums import make_empty_centroid_table
    from diptych.components.class_centroids.transforms import ComputeCentroids
    from diptych.schemas.centroids import count_centroids, write_centroids
    from diptych.schemas.model_card import ModelCard
    from diptych.schemas.versions import newest_version

    input_spec, folder = InputSpec.model_validate_json(inputs), Path(centroids.uri)
    model_path = newest_version(Path(production))
    reason = ""
    if model_path is None:
        reason = "no model is in production yet"
    elif not ModelCard.read(model_path).accepts_inputs(input_spec):
        reason = "the model in production does not accept these inputs"
    if reason:
        write_centroids(folder, make_empty_centroid_table())
        _PROGRESS.info("%s: negative pairs are random", reason)
    else:
        split_folder = Path(artifact_utils.get_split_uri([examples], "train"))
        files = sorted(str(file) for file in split_folder.glob("[!._]*"))
        with beam_pipeline as pipeline:
            pipeline | beam.Create(files) | ComputeCentroids(model_path, input_spec, folder)
    num_classes = count_centroids(folder)
    if num_classes:
        _PROGRESS.info("%d class centroids computed with the model in production", num_classes)
    centroids.set_int_custom_property("num_classes", num_classes)
    centroids.set_string_custom_property("reason", reason)
