from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import anomalies_pb2, schema_pb2

from diptych.components.validation.component import describe_anomalies, drop_identity_domains


def test_domains_of_labels_and_ids_are_removed_and_others_kept():
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
    curated = drop_identity_domains(inferred)
    open_features = [f.name for f in curated.feature if f.WhichOneof("domain_info") is None]
    assert open_features == ["label", "source"]
    assert [domain.name for domain in curated.string_domain] == ["colour"]
    assert inferred.feature[0].domain == "label"  # the input is not modified


def test_each_anomaly_is_described_in_one_line():
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
        "data set: no examples",
    ]


def test_no_anomalies_give_no_lines():
    assert describe_anomalies(anomalies_pb2.Anomalies()) == []
