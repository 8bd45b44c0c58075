"""Artifact types that Diptych adds to those of TFX.

Counts are written as custom properties (``artifact.set_int_custom_property``), not as declared
``PROPERTIES``, which Kubeflow Pipelines v2 cannot read.
"""

from tfx.types import artifact


class Rejected(artifact.Artifact):
    """Rejected rows and images, in ``rejected-*.parquet``; see ``schemas.rejected_rows``.

    Custom properties: ``num_rejected``, ``num_read``. For data in spans, also ``skipped_spans``: a
    JSON object from span to reason. Skipped spans are excluded from both counts.
    """

    TYPE_NAME = "diptych.Rejected"


class DataReportArtifact(artifact.Artifact):
    """Duplicates, conflicting labels and leaks; see ``schemas.data_report``.

    Custom properties: ``num_leaked``, ``num_conflicts``.
    """

    TYPE_NAME = "diptych.DataReportArtifact"


class Centroids(artifact.Artifact):
    """Mean embedding of each class, by the model in production; see ``schemas.centroids``.

    Custom properties: ``num_classes``, 0 if no model is in production, and ``reason``: why it is 0.
    """

    TYPE_NAME = "diptych.Centroids"


class PairSet(artifact.Artifact):
    """Pair shards, in one folder ``Split-<name>`` per split; see ``schemas.shards``.

    Custom properties: ``num_examples``, ``num_batches``, ``num_pairs`` and ``num_triplets`` (sums
    over the splits); ``num_classes`` (of the training split); ``negatives``, which negative pairs
    the training split contains: ``random``, ``similar_classes``, or ``random: `` and the reason why
    similar classes could not be used.
    """

    TYPE_NAME = "diptych.PairSet"


class Balance(artifact.Artifact):
    """Class balance of the pairs, one JSON file per split; see ``schemas.balance``.

    Custom property: ``coverage``, of the training split.
    """

    TYPE_NAME = "diptych.Balance"


class TrainingLog(artifact.Artifact):
    """Learning curves: ``curves.json`` (see ``schemas.learning_curves``) and TensorBoard events.

    Custom properties: ``epochs``, ``best_epoch``.
    """

    TYPE_NAME = "diptych.TrainingLog"


class Evaluation(artifact.Artifact):
    """``evaluation.json``, ``report.md`` and Parquet tables; see ``schemas.evaluation``.

    Custom properties: ``accuracy``, ``blessed``, and ``reason``: the text of the verdict.
    """

    TYPE_NAME = "diptych.Evaluation"
