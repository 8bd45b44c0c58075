"""Compute the drift of the newest span with TensorFlow Data Validation."""

import dataclasses

import pyarrow as pa
import tensorflow_data_validation as tfdv
from tensorflow_data_validation.statistics.stats_impl import generate_statistics_in_memory
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from diptych.components.span_drift.sampling import EARLIER, NEWEST, PREVIOUS, select_groups

MIN_EXAMPLES = 50  # examples; with fewer, random variation resembles drift


@dataclasses.dataclass(frozen=True)
class FeatureDrift:
    """Distance of a feature's distribution in the newest span from its distribution in other spans.

    Attributes:
      feature: Name of the feature.
      reference: ``the previous span`` or ``the rest of the window``.
      metric: For labels, L-infinity: the largest difference of a label's relative frequency. For
        numbers, the Jensen-Shannon divergence of histograms. Both range from 0 (equal) to 1.
      value: Value of the metric; lower is more similar.
      threshold: Maximum value without drift.
    """

    feature: str
    reference: str
    metric: str
    value: float
    threshold: float

    @property
    def exceeds_threshold(self) -> bool:
        """True if the value is above the threshold."""
        return self.value > self.threshold

    def __str__(self) -> str:
        """Format the drift for messages."""
        return (
            f"{self.feature}, {self.metric} {self.value:.3f} from {self.reference} "
            f"(at most {self.threshold:g})"
        )


def compute_drift_anomalies(
    sample: pa.Table, limit: int, max_label_drift: float, max_value_drift: float
) -> anomalies_pb2.Anomalies | str:
    """Compare the newest span with the previous span and with the rest of the window.

    TFDV calls the two comparisons drift and skew.

    Args:
      sample: The three groups, as returned by ``take_first_per_group``.
      limit: Maximum number of rows of each group.
      max_label_drift: Threshold of L-infinity.
      max_value_drift: Threshold of the Jensen-Shannon divergence of each numeric feature.

    Returns:
      TFDV's anomalies with all drifts, or the reason why a comparison is impossible.
    """
    groups = {
        "the newest span": select_groups(sample, [NEWEST], limit),
        "the previous span": select_groups(sample, [PREVIOUS], limit),
        "the rest of the window": select_groups(sample, [PREVIOUS, EARLIER], limit),
    }
    for name, rows in groups.items():
        if rows.num_rows < MIN_EXAMPLES:
            return f"{name} has {rows.num_rows} examples, but needs at least {MIN_EXAMPLES}"
    newest, previous, rest = (_compute_statistics(rows) for rows in groups.values())
    schema = _make_drift_schema(groups["the newest span"].schema, max_label_drift, max_value_drift)
    return tfdv.validate_statistics(
        newest, schema, previous_statistics=previous, serving_statistics=rest
    )


def list_feature_drifts(anomalies: anomalies_pb2.Anomalies) -> list[FeatureDrift]:
    """List all measured drifts, starting with the one farthest above its threshold."""
    drifts = [
        FeatureDrift(
            ".".join(info.path.step),
            reference,
            _METRICS[measurement.type],
            measurement.value,
            measurement.threshold,
        )
        for info in anomalies.drift_skew_info
        for reference, measurements in (
            ("the previous span", info.drift_measurements),
            ("the rest of the window", info.skew_measurements),
        )
        for measurement in measurements
    ]
    return sorted(
        drifts, key=lambda drift: (drift.threshold - drift.value, drift.feature, drift.reference)
    )


_METRICS = {
    anomalies_pb2.DriftSkewInfo.Measurement.L_INFTY: "L-infinity",
    anomalies_pb2.DriftSkewInfo.Measurement.JENSEN_SHANNON_DIVERGENCE: "Jensen-Shannon divergence",
}


def _compute_statistics(rows: pa.RecordBatch) -> statistics_pb2.DatasetFeatureStatisticsList:
    # As one batch: sketches of TFDV depend on the division into batches.
    return generate_statistics_in_memory(rows)


def _make_drift_schema(
    columns: pa.Schema, max_label_drift: float, max_value_drift: float
) -> schema_pb2.Schema:
    schema = schema_pb2.Schema()
    for column in columns:
        is_text = pa.types.is_binary(column.type.value_type)
        feature = schema.feature.add(
            name=column.name, type=schema_pb2.BYTES if is_text else schema_pb2.FLOAT
        )
        for comparator in (feature.drift_comparator, feature.skew_comparator):
            if is_text:
                comparator.infinity_norm.threshold = max_label_drift
            else:
                comparator.jensen_shannon_divergence.threshold = max_value_drift
    return schema
