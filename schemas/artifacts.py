"""The artifact types of ML Metadata that are Diptych's own.

Their counts are written as custom properties (``artifact.set_int_custom_property``), not as
declared ``PROPERTIES``: Kubeflow Pipelines v2 cannot read the latter.
"""

from tfx.types import artifact


class Rejected(artifact.Artifact):
    """Rows and images that could not be used: ``rejected-*.parquet`` (source, reason).

    Custom properties: ``num_rejected``, ``num_read``; where data come in spans, ``left_out``: the
    older spans of which nothing is used, nor counted here, and why, as JSON.
    """

    TYPE_NAME = "diptych.Rejected"


class Centroids(artifact.Artifact):
    """Where the classes lie in the embedding of the model in production; see ``schemas.centroids``.

    Custom properties: ``num_classes``, 0 where there was no model to embed with, and ``reason``,
    why so.
    """

    TYPE_NAME = "diptych.Centroids"


class PairSet(artifact.Artifact):
    """Pair shards, a folder ``Split-<name>`` a split; see ``diptych.schemas.shards``.

    Custom properties: ``num_examples``, ``num_classes``, ``num_batches``, ``num_pairs``,
    ``num_triplets``: sums over the splits, but for ``num_classes``, that of the training split;
    ``difficulty`` of the training pairs as it came out: ``random``, ``confusable``, or
    ``random: `` and why not confusable.
    """

    TYPE_NAME = "diptych.PairSet"


class Balance(artifact.Artifact):
    """How balanced the pairs came out, a JSON file a split; see ``diptych.schemas.balance``.

    Custom property: ``coverage``, of the training split.
    """

    TYPE_NAME = "diptych.Balance"


class TrainingLog(artifact.Artifact):
    """Learning curves: ``curves.json`` and TensorBoard events.

    Custom properties: ``epochs``, ``best_epoch``.
    """

    TYPE_NAME = "diptych.TrainingLog"


class Evaluation(artifact.Artifact):
    """``evaluation.json``, ``report.md``, and the tables of ``schemas.evaluation``.

    Custom properties: ``accuracy``, ``blessed`` and the verdict in words, ``reason``.
    """

    TYPE_NAME = "diptych.Evaluation"
