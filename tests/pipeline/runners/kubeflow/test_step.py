"""What the entry point of the containers makes of what the backend gives, and of what TFX says."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kfp.dsl.types.artifact_types import Artifact, convert_local_path_to_remote_path

from diptych.pipeline.runners.kubeflow.bucket_paths import bucket_address, local_path
from diptych.pipeline.runners.kubeflow.step import with_addresses, with_paths

_SCHEMES = st.sampled_from(["gs://", "s3://", "minio://"])
_NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1)
_MOUNTS = st.sampled_from(["", "/mnt", "/tmp/a b/gcs"])


@given(scheme=_SCHEMES, name=_NAMES)
def test_a_path_is_where_kubeflow_itself_says(scheme, name):
    address = scheme + name
    assert local_path(address) == Artifact(uri=address).path
    assert bucket_address(local_path(address)) == convert_local_path_to_remote_path(
        local_path(address)
    )


@given(scheme=_SCHEMES, name=_NAMES, mounts=_MOUNTS)
def test_there_and_back_is_the_same_address_whatever_its_name(scheme, name, mounts):
    assert bucket_address(local_path(scheme + name, mounts), mounts) == scheme + name


@given(mounts=_MOUNTS)
@pytest.mark.parametrize("text", ["", "/diptych/serving/7", "https://a/b", "gs:/a", "/gcsx/a", "a"])
def test_other_texts_stay_as_they_are(text, mounts):
    assert local_path(text, mounts) == text == bucket_address(text, mounts)


_MODEL = {"artifactType": {"instanceSchema": "title: tfx.Model\ntype: object\n"}}
_PAIRS = {"artifactType": {"schemaTitle": "diptych.PairSet"}}


def _given(**artifact):
    model = {"artifacts": [{"name": "7", "uri": "s3://b/model", **artifact}]}
    return {
        "inputs": {"artifacts": {"model": model}, "parameterValues": {"n": 3.0}},
        "outputs": {
            "artifacts": {"pairs": {"artifacts": [{"uri": "gs://b/pairs"}]}},
            "outputFile": "gs://b/output.json",
        },
        "unknownToUs": 1,
    }


def test_inputs_get_the_types_that_are_declared_and_everything_a_path():
    spec = json.dumps({"artifacts": {"model": _MODEL}})
    message = with_paths(json.dumps(_given(metadata={"of": "s3://b/x", "n": 2})), spec, "/m")
    (model,) = message.inputs.artifacts["model"].artifacts
    assert model.type.instance_schema == _MODEL["artifactType"]["instanceSchema"]
    assert (model.name, model.uri) == ("7", "/m/s3/b/model")
    assert dict(model.metadata) == {"of": "/m/s3/b/x", "n": 2}
    (pairs,) = message.outputs.artifacts["pairs"].artifacts
    assert pairs.uri == "/m/gcs/b/pairs"
    assert message.outputs.output_file == "/m/gcs/b/output.json"
    assert message.inputs.parameter_values["n"].number_value == 3


def test_a_type_that_came_is_kept():
    text = json.dumps(_given(type=_PAIRS["artifactType"]))
    message = with_paths(text, json.dumps({"artifacts": {"model": _MODEL}}), "")
    assert message.inputs.artifacts["model"].artifacts[0].type.schema_title == "diptych.PairSet"


def test_what_a_step_says_has_addresses_and_no_empty_properties():
    metadata = {"pushed_destination": "/m/gcs/b/1", "span": None, "blessed": 1, "why": "/a"}
    said = {"artifacts": {"pairs": {"artifacts": [{"uri": "/m/gcs/b/p", "metadata": metadata}]}}}
    message = with_addresses(json.dumps(said), "/m")
    (pairs,) = message.artifacts["pairs"].artifacts
    assert pairs.uri == "gs://b/p"
    assert dict(pairs.metadata) == {"pushed_destination": "gs://b/1", "blessed": 1, "why": "/a"}
