import base64
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.schemas.input_spec import Column, Inputs
from diptych.schemas.manifest import ModelManifest
from diptych.serving.http_errors import Refusal
from diptych.serving.predict_protocol import (
    answer_predict,
    metadata,
    parse_predict,
    status_of,
)
from diptych.serving.request_limits import MAX_EXAMPLES, Bounds, read_json

IMAGES = Inputs(kind="image", size=(8, 8), channels=1)
VECTORS = Inputs(kind="vector", columns=(Column(name="a", width=2), Column(name="b")))


def manifest(inputs):
    return ModelManifest(
        name="birds",
        version=3,
        created="2026-11-22T02:15:30+00:00",
        inputs=inputs,
        embedding_size=2,
        distance="euclidean",
        threshold=0.5,
        data={},
        figures={},
        configuration={},
        packages={},
        files={},
    )


def parse(content, inputs=VECTORS):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    bounds = Bounds.of(inputs, 2, 1000)
    return parse_predict(read_json(body, bounds), manifest(inputs))


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(10**300, 10**400)
    | st.floats()
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["image", "vector", "left", "right", "b64", "x"]), inner, max_size=3
        )
    ),
    max_leaves=12,
)


@given(
    content=st.fixed_dictionaries(
        {},
        optional={
            "instances": json_values,
            "inputs": json_values,
            "signature_name": st.sampled_from(["embed", "compare", "measure", ""]) | json_values,
        },
    ),
    inputs=st.sampled_from([IMAGES, VECTORS]),
)
def test_whatever_json_comes_is_taken_or_refused_with_a_reason(content, inputs):
    try:
        asked = parse(content, inputs)
    except Refusal as refusal:
        assert refusal.status in (400, 413)
        assert refusal.reason
    else:
        assert len({len(values) for values in asked.given.values()}) == 1


@given(body=st.binary(max_size=200) | st.text(alphabet='[]{}",:0123456789eE.+-tfn', max_size=200))
def test_whatever_bytes_come_are_an_object_or_refused(body):
    body = body if isinstance(body, bytes) else body.encode()
    try:
        assert isinstance(read_json(body, Bounds(body=1000, values=1000)), dict)
    except Refusal as refusal:
        assert refusal.status == 400


def refused(content, inputs=VECTORS):
    with pytest.raises(Refusal) as told:
        parse(content, inputs)
    return told.value.status, told.value.reason


@pytest.mark.parametrize(
    ("content", "inputs", "words"),
    [
        ({}, VECTORS, "either 'instances' or 'inputs', it has neither"),
        ({"instances": [], "inputs": []}, VECTORS, "it has both"),
        ({"instances": []}, VECTORS, "1 to 256 examples, it holds 0"),
        ({"instances": 5}, VECTORS, "instances must be an array, it is a number"),
        ({"instances": [[1, 2]]}, VECTORS, r"vector[0] must have 3 numbers, it has 2"),
        ({"instances": [[1, 2, "3"]]}, VECTORS, "it holds a string"),
        ({"instances": [[1, 2, True]]}, VECTORS, "it holds a boolean"),
        ({"instances": [[1, 2, None]]}, VECTORS, "it holds null"),
        ({"instances": [[1, 2, [3]]]}, VECTORS, "it holds an array"),
        ({"instances": [[1, 2, 1e39]]}, VECTORS, "too large for 32 bits"),
        ({"instances": [[1, 2, 10**400]]}, VECTORS, "too large for 32 bits"),
        (b'{"instances": [[1, 2, NaN]]}', VECTORS, "NaN is not a number"),
        (b'{"instances": [[1, 2, -Infinity]]}', VECTORS, "-Infinity is not a number"),
        ({"instances": ["abc"]}, IMAGES, 'image[0] must be {"b64": "..."}'),
        ({"instances": [{"b64": "a"}]}, IMAGES, "image[0] is not base64"),
        ({"instances": [{"b64": 7}]}, IMAGES, "must be"),
        ({"instances": [{"b64": "é"}]}, IMAGES, "is not base64"),
        ({"instances": [[1, 2, 3]], "signature_name": "x"}, VECTORS, 'Serving signature name: "x"'),
        ({"instances": [[1, 2, 3]], "signature_name": 3}, VECTORS, "must be a string"),
        ({"instances": [[1, 2, 3]], "signature_name": "compare"}, VECTORS, "left and right"),
        (
            {"inputs": {"left": [[1, 2]], "right": [[1, 2]] * 2}, "signature_name": "measure"},
            VECTORS,
            "must hold as many",
        ),
    ],
)
def test_a_refusal_says_what_was_needed_and_what_came(content, inputs, words):
    status, reason = refused(content, inputs)
    assert status == 400
    assert words in reason


def test_too_many_examples_are_refused():
    assert "257" in refused({"instances": [[1, 2, 3]] * (MAX_EXAMPLES + 1)})[1]
    assert len(parse({"instances": [[1, 2, 3]] * MAX_EXAMPLES}).given["vector"]) == MAX_EXAMPLES


@pytest.mark.parametrize("mark", [b"[],", b"{},", b"0,"])
def test_small_values_in_great_number_are_refused_before_they_are_read(mark):
    body = b'{"instances": [' + mark * 10_000 + b"0]}"
    assert refused(body)[0] == 413


def test_deep_nesting_is_refused():
    assert refused(b'{"instances": ' + b"[" * 1500)[0] == 400


def test_rows_and_columns_give_the_same_examples():
    rows = [[1, 2, 3], [4.5, 5, 6]]
    for content in (
        {"instances": rows},
        {"instances": [{"vector": row} for row in rows]},
        {"inputs": rows},
        {"inputs": {"vector": rows}},
        {"inputs": rows, "signature_name": "serving_default"},
    ):
        asked = parse(content)
        assert asked.signature == "embed"
        assert asked.given["vector"].tolist() == rows
        assert asked.given["vector"].dtype == np.float32


def test_bytes_come_as_base64():
    value = {"b64": base64.b64encode(b"\x00\xffpicture").decode()}
    assert parse({"instances": [value]}, IMAGES).given == {"image": [b"\x00\xffpicture"]}


def test_answers_are_in_rows_or_columns_as_the_question_was():
    pair = {"left": [[1, 2, 3]] * 2, "right": [[1, 2, 3]] * 2}
    rows = [{"left": [1, 2, 3], "right": [1, 2, 3]}] * 2
    outputs = {"distance": np.float32([0.5, 1]), "same": np.array([True, False])}
    asked = parse({"inputs": pair, "signature_name": "compare"})
    assert answer_predict(asked, outputs) == {
        "outputs": {"distance": [0.5, 1.0], "same": [True, False]}
    }
    asked = parse({"instances": rows, "signature_name": "compare"})
    assert answer_predict(asked, outputs) == {
        "predictions": [{"distance": 0.5, "same": True}, {"distance": 1.0, "same": False}]
    }
    embedding = {"embedding": np.float32([[1, 2], [3, 4]])}
    assert answer_predict(parse({"inputs": [[1, 2, 3]] * 2}), embedding) == {
        "outputs": [[1.0, 2.0], [3.0, 4.0]]
    }


def test_metadata_names_types_and_shapes():
    signatures = metadata(manifest(VECTORS))["metadata"]["signature_def"]["signature_def"]
    left = signatures["compare"]["inputs"]["left"]
    assert left["dtype"] == "DT_FLOAT"
    assert [dim["size"] for dim in left["tensor_shape"]["dim"]] == ["-1", "3"]
    embedding = signatures["embed"]["outputs"]["embedding"]
    assert [dim["size"] for dim in embedding["tensor_shape"]["dim"]] == ["-1", "2"]


def test_status_tells_of_broken_versions():
    _, broken = status_of([(2, ""), (3, "changed")])["model_version_status"]
    assert (broken["version"], broken["state"]) == ("3", "END")
    assert broken["status"] == {"error_code": "FAILED_PRECONDITION", "error_message": "changed"}
