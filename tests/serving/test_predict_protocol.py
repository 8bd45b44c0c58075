import base64
import json
import textwrap

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.inference.raw_images import limits_of_model
from diptych.schemas.input_spec import Column, InputSpec
from diptych.schemas.manifest import ModelManifest
from diptych.serving.http_errors import ApiError
from diptych.serving.predict_protocol import (
    format_model_metadata,
    format_model_status,
    format_predictions,
    parse_predict,
)
from diptych.serving.request_limits import MAX_EXAMPLES, RequestLimits, parse_json_object

IMAGES = InputSpec(kind="image", size=(8, 8), channels=1)
VECTORS = InputSpec(kind="vector", columns=(Column(name="a", width=2), Column(name="b")))


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
        metrics={},
        configuration={},
        packages={},
        files={},
    )


def parse(content, inputs=VECTORS):
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    limits = RequestLimits.for_model(inputs, 2, 1000)
    return parse_predict(parse_json_object(body, limits), manifest(inputs))


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
def test_any_json_is_parsed_or_rejected_with_a_message(content, inputs):
    try:
        call = parse(content, inputs)
    except ApiError as error:
        assert error.status_code in (400, 413)
        assert error.detail
    else:
        assert len({len(values) for values in call.inputs.values()}) == 1


@given(body=st.binary(max_size=200) | st.text(alphabet='[]{}",:0123456789eE.+-tfn', max_size=200))
def test_any_bytes_are_parsed_as_an_object_or_rejected(body):
    body = body if isinstance(body, bytes) else body.encode()
    limits = RequestLimits(max_body_bytes=1000, max_json_values=1000)
    try:
        assert isinstance(parse_json_object(body, limits), dict)
    except ApiError as error:
        assert error.status_code == 400


def test_half_of_a_surrogate_pair_is_rejected():
    limits = RequestLimits(max_body_bytes=1000, max_json_values=1000)
    for body in (rb'{"a": "\ud800"}', rb'{"\uDFFF": 1}', rb'{"a": [{"b": "\udc00\ud800"}]}'):
        with pytest.raises(ApiError, match=r"400: .*not valid Unicode"):
            parse_json_object(body, limits)
    pair = rb'{"a": "\ud83e\udd9c \\ud800"}'
    assert parse_json_object(pair, limits) == {"a": "\U0001f99c \\ud800"}


def error_of(content, inputs=VECTORS):
    with pytest.raises(ApiError) as raised:
        parse(content, inputs)
    return raised.value.status_code, raised.value.detail


@pytest.mark.parametrize(
    ("content", "inputs", "message"),
    [
        ({}, VECTORS, "either 'instances' or 'inputs', it has neither"),
        ({"instances": [], "inputs": []}, VECTORS, "it has both"),
        ({"instances": []}, VECTORS, "1 to 256 examples, it contains 0"),
        ({"instances": 5}, VECTORS, "instances must be an array, got a number"),
        ({"instances": [[1, 2]]}, VECTORS, r"vector[0] must have 3 numbers, it has 2"),
        ({"instances": [[1, 2, "3"]]}, VECTORS, "it contains a string"),
        ({"instances": [[1, 2, True]]}, VECTORS, "it contains a boolean"),
        ({"instances": [[1, 2, None]]}, VECTORS, "it contains null"),
        ({"instances": [[1, 2, [3]]]}, VECTORS, "it contains an array"),
        ({"instances": [[1, 2, 1e39]]}, VECTORS, "too large for float32"),
        ({"instances": [[1, 2, 10**400]]}, VECTORS, "too large for float32"),
        (b'{"instances": [[1, 2, NaN]]}', VECTORS, "NaN is not a valid number"),
        (b'{"instances": [[1, 2, -Infinity]]}', VECTORS, "-Infinity is not a valid number"),
        ({"instances": ["abc"]}, IMAGES, 'image[0] must be {"b64": "..."}'),
        ({"instances": [{"b64": "a"}]}, IMAGES, "image[0] is not valid base64"),
        ({"instances": [{"b64": 7}]}, IMAGES, "must be"),
        ({"instances": [{"b64": "é"}]}, IMAGES, "is not valid base64"),
        ({"instances": [{"b64": "data:image/png,abc"}]}, IMAGES, "is a data URL without base64"),
        ({"instances": [[1, 2, 3]], "signature_name": "x"}, VECTORS, 'Serving signature name: "x"'),
        ({"instances": [[1, 2, 3]], "signature_name": 3}, VECTORS, "must be a string"),
        ({"instances": [[1, 2, 3]], "signature_name": "compare"}, VECTORS, "left and right"),
        (
            {"inputs": {"left": [[1, 2]], "right": [[1, 2]] * 2}, "signature_name": "measure"},
            VECTORS,
            "must contain the same number",
        ),
    ],
)
def test_an_error_states_what_was_expected_and_what_was_sent(content, inputs, message):
    status_code, detail = error_of(content, inputs)
    assert status_code == 400
    assert message in detail


def test_too_many_examples_are_rejected():
    assert "257" in error_of({"instances": [[1, 2, 3]] * (MAX_EXAMPLES + 1)})[1]
    assert len(parse({"instances": [[1, 2, 3]] * MAX_EXAMPLES}).inputs["vector"]) == MAX_EXAMPLES


@pytest.mark.parametrize("mark", [b"[],", b"{},", b"0,"])
def test_a_large_number_of_small_values_is_rejected_before_parsing(mark):
    body = b'{"instances": [' + mark * 10_000 + b"0]}"
    assert error_of(body)[0] == 413


def test_deep_nesting_is_rejected():
    assert error_of(b'{"instances": ' + b"[" * 1500)[0] == 400


def test_rows_and_columns_give_the_same_examples():
    rows = [[1, 2, 3], [4.5, 5, 6]]
    for content in (
        {"instances": rows},
        {"instances": [{"vector": row} for row in rows]},
        {"inputs": rows},
        {"inputs": {"vector": rows}},
        {"inputs": rows, "signature_name": "serving_default"},
    ):
        call = parse(content)
        assert call.signature == "embed"
        assert call.inputs["vector"].tolist() == rows
        assert call.inputs["vector"].dtype == np.float32


def test_images_are_decoded_from_base64():
    value = {"b64": base64.b64encode(b"\x00\xffimage").decode()}
    assert parse({"instances": [value]}, IMAGES).inputs == {"image": [b"\x00\xffimage"]}


def test_images_are_decoded_from_a_data_url_with_wrapped_lines():
    encoded = base64.encodebytes(b"\x00\xffimage" * 100).decode()
    value = {"b64": f"data:image/png;base64,{encoded}"}
    assert parse({"instances": [value]}, IMAGES).inputs == {"image": [b"\x00\xffimage" * 100]}


def test_an_image_above_the_limit_is_rejected_before_decoding():
    limit = limits_of_model(manifest(IMAGES)).max_bytes
    value = {"b64": base64.b64encode(bytes(limit + 1)).decode()}
    call = {"instances": [{"b64": "QQ"}, value]}
    with pytest.raises(ApiError, match=rf"image\[1\] is larger than {limit} bytes"):
        parse_predict(call, manifest(IMAGES))


def test_the_limits_allow_two_images_with_wrapped_lines():
    limits = RequestLimits.for_model(IMAGES, 2, max_image_bytes=200_000)
    encoded = base64.b64encode(bytes(200_000)).decode()
    lines = "\r\n".join(textwrap.wrap(encoded, 64))
    body = json.dumps({"left": {"b64": lines}, "right": {"b64": f"data:;base64,{lines}"}})
    assert len(body) <= limits.max_body_bytes
    assert set(parse_json_object(body.encode(), limits)) == {"left", "right"}


def test_responses_are_in_rows_or_columns_like_the_request():
    pair = {"left": [[1, 2, 3]] * 2, "right": [[1, 2, 3]] * 2}
    rows = [{"left": [1, 2, 3], "right": [1, 2, 3]}] * 2
    outputs = {"distance": np.float32([0.5, 1]), "same": np.array([True, False])}
    call = parse({"inputs": pair, "signature_name": "compare"})
    assert format_predictions(call, outputs) == {
        "outputs": {"distance": [0.5, 1.0], "same": [True, False]}
    }
    call = parse({"instances": rows, "signature_name": "compare"})
    assert format_predictions(call, outputs) == {
        "predictions": [{"distance": 0.5, "same": True}, {"distance": 1.0, "same": False}]
    }
    embedding = {"embedding": np.float32([[1, 2], [3, 4]])}
    assert format_predictions(parse({"inputs": [[1, 2, 3]] * 2}), embedding) == {
        "outputs": [[1.0, 2.0], [3.0, 4.0]]
    }


def test_metadata_contain_types_and_shapes():
    signatures = format_model_metadata(manifest(VECTORS))["metadata"]["signature_def"][
        "signature_def"
    ]
    left = signatures["compare"]["inputs"]["left"]
    assert left["dtype"] == "DT_FLOAT"
    assert [dim["size"] for dim in left["tensor_shape"]["dim"]] == ["-1", "3"]
    embedding = signatures["embed"]["outputs"]["embedding"]
    assert [dim["size"] for dim in embedding["tensor_shape"]["dim"]] == ["-1", "2"]


def test_the_status_contains_broken_versions():
    _, broken = format_model_status([(2, ""), (3, "changed")])["model_version_status"]
    assert (broken["version"], broken["state"]) == ("3", "END")
    assert broken["status"] == {"error_code": "FAILED_PRECONDITION", "error_message": "changed"}
