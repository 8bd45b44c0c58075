"""How far the newest span is from others, by TensorFlow Data Validation."""

import dataclasses

import pyarrow as pa
import tensorflow_data_validation as tfdv
from tensorflow_data_validation.statistics.stats_impl import generate_statistics_in_memory
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2, statistics_pb2

from diptych.components.span_drift.sampling import BEFORE, EARLIER, NEWEST, rows_of

AT_LEAST = 50  # examples; of fewer, chance alone looks like drift


@dataclasses.dataclass(frozen=True)
class Distance:
    """How far a feature of the newest span is from the same of others.

    Attributes:
      feature: its name.
      others: ``the span before`` or ``the rest of the window``.
      measure: of labels L-infinity, the largest difference of the shares of a label; of numbers the
        Jensen-Shannon divergence of their histograms. Both from 0, alike, to 1.
      value: of the measure.
      threshold: what it may be.
    """

    feature: str
    others: str
    measure: str
    value: float
    threshold: float

    @property
    def too_far(self) -> bool:
        """Whether it is above the threshold."""
        return self.value > self.threshold

    def __str__(self) -> str:
        """For people."""
        return (
            f"{self.feature}, {self.measure} {self.value:.3f} from {self.others} "
            f"(at most {self.threshold:g})"
        )


def compare(
    sample: pa.Table, limit: int, max_label_drift: float, max_value_drift: float
) -> anomalies_pb2.Anomalies | str:
    """Compares the newest span with the one before it and with the rest of the window.

    TFDV's names for the two are drift and skew.

    Args:
      sample: of the three groups, as ``first_of_each_group`` gives it.
      limit: rows of each of the three.
      max_label_drift: threshold of L-infinity.
      max_value_drift: threshold of the Jensen-Shannon divergence of each feature of numbers.

    Returns:
      TFDV's anomalies with all distances; or why nothing can be compared.
    """
    groups = {
        "the newest span": rows_of(sample, [NEWEST], limit),
        "the span before": rows_of(sample, [BEFORE], limit),
        "the rest of the window": rows_of(sample, [BEFORE, EARLIER], limit),
    }
    for name, rows in groups.items():
        if rows.num_rows < AT_LEAST:
            return f"{name} has {rows.num_rows} examples, of the {AT_LEAST} that it takes"
    newest, before, rest = (_statistics(rows) for rows in groups.values())
    schema = _schema(groups["the newest span"].schema, max_label_drift, max_value_drift)
    return tfdv.validate_statistics(
        newest, schema, previous_statistics=before, serving_statistics=rest
    )


def distances(anomalies: anomalies_pb2.Anomalies) -> list[Distance]:
    """All that was measured, the farthest above its threshold first."""
    found = [
        Distance(
            ".".join(info.path.step),
            others,
            _MEASURES[measurement.type],
            measurement.value,
            measurement.threshold,
        )
        for info in anomalies.drift_skew_info
        for others, measurements in (
            ("the span before", info.drift_measurements),
            ("the rest of the window", info.skew_measurements),
        )
        for measurement in measurements
    ]
    return sorted(found, key=lambda one: (one.threshold - one.value, one.feature, one.others))


_MEASURES = {
    anomalies_pb2.DriftSkewInfo.Measurement.L_INFTY: "L-infinity",
    anomalies_pb2.DriftSkewInfo.Measurement.JENSEN_SHANNON_DIVERGENCE: "Jensen-Shannon divergence",
}


def _statistics(rows: pa.RecordBatch) -> statistics_pb2.DatasetFeatureStatisticsList:
    # In one piece: TFDV's sketches depend on how the rows are cut up.
    return generate_statistics_in_memory(rows)


def _schema(columns: pa.Schema, max_label: float, max_value: float) -> schema_pb2.Schema:
    schema = schema_pb2.Schema()
    for column in columns:
        is_text = pa.types.is_binary(column.type.value_type)
        feature = schema.feature.add(
            name=column.name, type=schema_pb2.BYTES if is_text else schema_pb2.FLOAT
        )
        for comparator in (feature.drift_comparator, feature.skew_comparator):
            if is_text:
                comparator.infinity_norm.threshold = max_label
            else:
                comparator.jensen_shannon_divergence.threshold = max_value
    return schema
