"""Conversion of inputs and outputs in the container entry point of a step."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kfp.dsl.types.artifact_types import Artifact, convert_local_path_to_remote_path

from diptych.pipeline.runners.kubeflow.bucket_paths import bucket_uri, local_path
from diptych.pipeline.runners.kubeflow.step import to_bucket_output, to_local_input

_SCHEMES = st.sampled_from(["gs://", "s3://", "minio://"])
_NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)
_MOUNTS = st.sampled_from(["", "/mnt", "/tmp/a b/gcs"])


@given(scheme=_SCHEMES, name=_NAMES)
def test_paths_equal_those_of_kfp(scheme, name):
    uri = scheme + name
    assert local_path(uri) == Artifact(uri=uri).path
    assert bucket_uri(local_path(uri)) == convert_local_path_to_remote_path(local_path(uri))


@given(scheme=_SCHEMES, name=_NAMES, mounts=_MOUNTS)
def test_bucket_uri_is_the_inverse_of_local_path(scheme, name, mounts):
    assert bucket_uri(local_path(scheme + name, mounts), mounts) == scheme + name


@given(mounts=_MOUNTS)
@pytest.mark.parametrize("text", ["", "/diptych/serving/7", "https://a/b", "gs:/a", "/gcsx/a", "a"])
def test_other_texts_are_unchanged(text, mounts):
    assert local_path(text, mounts) == text == bucket_uri(text, mounts)


_MODEL = {"artifactType": {"instanceSchema": "title: tfx.Model\ntype: object\n"}}
_PAIRS = {"artifactType": {"schemaTitle": "diptych.PairSet"}}


def _executor_input(**artifact):
    model = {"artifacts": [{"name": "7", "uri": "s3://b/model", **artifact}]}
    return {
        "inputs": {"artifacts": {"model": model}, "parameterValues": {"n": 3.0}},
        "outputs": {
            "artifacts": {"pairs": {"artifacts": [{"uri": "gs://b/pairs"}]}},
            "outputFile": "gs://b/output.json",
        },
        "unknownToUs": 1,
    }


def test_inputs_get_their_declared_types_and_local_paths():
    spec = json.dumps({"artifacts": {"model": _MODEL}})
    message = to_local_input(
        json.dumps(_executor_input(metadata={"of": "s3://b/x", "n": 2})), spec, "/m"
    )
    (model,) = message.inputs.artifacts["model"].artifacts
    assert model.type.instance_schema == _MODEL["artifactType"]["instanceSchema"]
    assert (model.name, model.uri) == ("7", "/m/s3/b/model")
    assert dict(model.metadata) == {"of": "/m/s3/b/x", "n": 2}
    (pairs,) = message.outputs.artifacts["pairs"].artifacts
    assert pairs.uri == "/m/gcs/b/pairs"
    assert message.outputs.output_file == "/m/gcs/b/output.json"
    assert message.inputs.parameter_values["n"].number_value == 3


def test_a_given_type_is_kept():
    text = json.dumps(_executor_input(type=_PAIRS["artifactType"]))
    message = to_local_input(text, json.dumps({"artifacts": {"model": _MODEL}}), "")
    assert message.inputs.artifacts["model"].artifacts[0].type.schema_title == "diptych.PairSet"


def test_outputs_get_bucket_uris_and_no_empty_properties():
    metadata = {"pushed_destination": "/m/gcs/b/1", "span": None, "blessed": 1, "why": "/a"}
    output = {"artifacts": {"pairs": {"artifacts": [{"uri": "/m/gcs/b/p", "metadata": metadata}]}}}
    message = to_bucket_output(json.dumps(output), "/m")
    (pairs,) = message.artifacts["pairs"].artifacts
    assert pairs.uri == "gs://b/p"
    assert dict(pairs.metadata) == {"pushed_destination": "gs://b/1", "blessed": 1, "why": "/a"}
