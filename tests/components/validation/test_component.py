from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2

from diptych.components.validation.component import describe_anomalies, without_domains


def test_labels_and_ids_are_open_and_other_domains_stay():
    inferred = text_format.Parse(
        """
        feature { name: "label" type: BYTES domain: "label" }
        feature { name: "source" type: BYTES string_domain { value: "a.csv" } }
        feature { name: "colour" type: BYTES domain: "colour" }
        string_domain { name: "label" value: "ant" }
        string_domain { name: "colour" value: "red" }
        """,
        schema_pb2.Schema(),
    )
    curated = without_domains(inferred)
    open_ones = [f.name for f in curated.feature if f.WhichOneof("domain_info") is None]
    assert open_ones == ["label", "source"]
    assert [domain.name for domain in curated.string_domain] == ["colour"]
    assert inferred.feature[0].domain == "label"  # the input is left as it was


def test_every_anomaly_is_a_line():
    anomalies = text_format.Parse(
        """
        anomaly_info { key: "b" value { description: "Out of range" } }
        anomaly_info { key: "a" value { short_description: "Missing" } }
        data_missing: true
        """,
        anomalies_pb2.Anomalies(),
    )
    assert describe_anomalies(anomalies) == [
        "a: Missing",
        "b: Out of range",
        "data set: there are no examples",
    ]


def test_no_anomaly_is_no_line():
    assert describe_anomalies(anomalies_pb2.Anomalies()) == []
