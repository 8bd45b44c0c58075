import jsonschema
import pytest

from diptych.serving.api_models import (
    CompareRequest,
    EnrollRequest,
    IdentifyOptions,
    IdentifyRequest,
    validate_body,
)
from diptych.serving.http_errors import ApiError
from diptych.serving.metrics import ServiceMetrics
from diptych.serving.routes import Routes
from diptych.serving.version_watcher import VersionWatcher

IMAGE, VECTOR = {"b64": "iVBORw0KGgo="}, [5.1, 3, -0.2]


@pytest.fixture(scope="module")
def openapi(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    watcher = VersionWatcher(folder, lambda path: None, lambda model: None, lambda model: None)
    return Routes(watcher, ServiceMetrics(), None).create_app().openapi()


def request_schema(openapi, path, media_type="application/json"):
    return openapi["paths"][path]["post"]["requestBody"]["content"][media_type]["schema"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/compare", {"left": IMAGE, "right": IMAGE}),
        ("/compare", {"left": VECTOR, "right": VECTOR}),
        ("/identify", {"example": IMAGE}),
        ("/identify", {"example": VECTOR, "k": 3}),
        ("/enroll", {"label": "wren", "examples": [VECTOR, VECTOR]}),
        ("/v1/models/{name}:predict", {"instances": [VECTOR]}),
        ("/v1/models/{name}:predict", {"instances": [{"image": IMAGE}]}),
        ("/v1/models/{name}:predict", {"inputs": [IMAGE]}),
        (
            "/v1/models/{name}/versions/{version}:predict",
            {"signature_name": "compare", "inputs": {"left": [IMAGE], "right": [IMAGE]}},
        ),
    ],
)
def test_valid_requests_match_the_documented_schema(openapi, path, body):
    jsonschema.Draft202012Validator(request_schema(openapi, path)).validate(body)


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/compare", {"left": IMAGE}),
        ("/compare", {"left": "a.png", "right": IMAGE}),
        ("/identify", {"example": IMAGE, "k": 101}),
        ("/enroll", {"label": "", "examples": [VECTOR]}),
        ("/enroll", {"label": "wren", "examples": []}),
        ("/v1/models/{name}:predict", {"instances": 5}),
    ],
)
def test_invalid_requests_do_not_match_the_documented_schema(openapi, path, body):
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(request_schema(openapi, path)).validate(body)


def test_forms_are_documented(openapi):
    form = "multipart/form-data"
    assert set(request_schema(openapi, "/compare", form)["properties"]) == {"left", "right"}
    assert request_schema(openapi, "/identify", form)["required"] == ["picture"]
    assert request_schema(openapi, "/enroll", form)["required"] == ["label", "picture"]


@pytest.mark.parametrize(
    ("method", "path", "fields"),
    [
        ("post", "/compare", {"model", "version", "distance", "same", "threshold"}),
        ("post", "/identify", {"model", "version", "known", "candidates", "threshold"}),
        ("post", "/enroll", {"model", "version", "label", "added", "known", "contradictions"}),
        ("post", "/v1/models/{name}:predict", {"predictions", "outputs"}),
        ("get", "/v1/models/{name}", {"model_version_status"}),
        ("get", "/v1/models/{name}/metadata", {"model_spec", "metadata"}),
        ("get", "/healthz", {"status", "model", "versions", "refused"}),
    ],
)
def test_responses_are_documented(openapi, method, path, fields):
    content = openapi["paths"][path][method]["responses"]["200"]["content"]
    name = content["application/json"]["schema"]["$ref"].rpartition("/")[2]
    assert set(openapi["components"]["schemas"][name]["properties"]) == fields


def test_path_parameters_and_the_token_are_documented(openapi):
    path = "/v1/models/{name}/versions/{version}/metadata"
    route = openapi["paths"][path]["get"]
    assert [parameter["name"] for parameter in route["parameters"]] == ["name", "version"]
    assert route["security"] == [{"HTTPBearer": []}]
    assert "security" not in openapi["paths"]["/healthz"]["get"]


@pytest.mark.parametrize("k", [1, 100, "7"])
def test_k_is_an_integer_or_its_digits(k):
    assert validate_body(IdentifyOptions, {"k": k}).k == int(k)
    assert validate_body(IdentifyRequest, {"example": VECTOR}).k == 5


@pytest.mark.parametrize(
    ("body_type", "content", "message"),
    [
        (CompareRequest, {"left": VECTOR}, "The field 'right' is missing."),
        (EnrollRequest, {"examples": [VECTOR]}, "The field 'label' is missing."),
        (EnrollRequest, {"label": 5, "examples": []}, "label must be a string, got a number."),
        (EnrollRequest, {"label": " ", "examples": []}, "label: String should have at least 1"),
        *(
            (IdentifyOptions, {"k": k}, "k must be an integer from 1 to 100.")
            for k in (0, 101, -1, 5.0, True, None, "five", "", [5], "0005123", "5" * 5000)
        ),
    ],
)
def test_an_invalid_field_is_named(body_type, content, message):
    with pytest.raises(ApiError) as raised:
        validate_body(body_type, content)
    assert raised.value.status_code == 400
    assert raised.value.detail.startswith(message)


def test_the_label_of_a_request_is_normalized():
    request = validate_body(EnrollRequest, {"label": " Zoe\u0308 ", "examples": [VECTOR]})
    assert request.label == "Zo\u00eb"
