"""Request and response bodies of the HTTP API, as described by ``/openapi.json``."""

from typing import Annotated, Any, TypeVar

import pydantic
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    Field,
    StringConstraints,
    WithJsonSchema,
)

from diptych.components.common.label_text import normalize_text
from diptych.serving.http_errors import ApiError
from diptych.serving.request_limits import MAX_EXAMPLES, json_type_name

_IMAGE_SCHEMA = {
    "title": "Image",
    "type": "object",
    "description": "Bytes of a PNG, JPEG, GIF, BMP, WebP, TIFF or PNM file, for a model of images.",
    "properties": {
        "b64": {
            "type": "string",
            "contentEncoding": "base64",
            "description": "Base64, also URL-safe, unpadded or with line breaks; or a data URL.",
        }
    },
    "required": ["b64"],
    "additionalProperties": False,
}
_VECTOR_SCHEMA = {
    "title": "Vector",
    "type": "array",
    "description": "Values of one example, for a model of table rows.",
    "items": {"type": "number"},
}
_EXAMPLE_SCHEMA = {"title": "Example", "anyOf": [_IMAGE_SCHEMA, _VECTOR_SCHEMA]}
_EXAMPLES_SCHEMA = {
    "type": "array",
    "items": _EXAMPLE_SCHEMA,
    "minItems": 1,
    "maxItems": MAX_EXAMPLES,
}
_NAMED_INPUTS_SCHEMA = {"type": "object", "additionalProperties": _EXAMPLES_SCHEMA}
_OUTPUT_VALUES_SCHEMA = {
    "anyOf": [
        {"title": "Embeddings", "type": "array", "items": _VECTOR_SCHEMA},
        {
            "title": "Named outputs",
            "type": "object",
            "additionalProperties": {"type": "array"},
        },
    ]
}
_OUTPUT_ROWS_SCHEMA = {
    "type": "array",
    "items": {
        "anyOf": [
            {"title": "Embedding", "type": "array", "items": {"type": "number"}},
            {
                "title": "Verdict",
                "type": "object",
                "properties": {
                    "distance": {"type": "number"},
                    "same": {"type": "boolean"},
                    "threshold": {"type": "number"},
                },
            },
        ]
    },
}

# pydantic only documents examples. ``json_examples`` validates them, because the valid form depends
# on the model, and a second pass over the numbers of 1,000 vectors takes 12 to 35 % more time.
JsonExample = Annotated[Any, WithJsonSchema(_EXAMPLE_SCHEMA)]
JsonExamples = Annotated[Any, WithJsonSchema(_EXAMPLES_SCHEMA)]

_MAX_K = 100
_MAX_DIGITS = 100  # int() rejects thousands of digits with another message


def _parse_k(value: object) -> int:
    """Convert a number or its decimal digits, as in a form; 5.0 and true are not accepted."""
    text = str(value)
    is_number = text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS
    if not is_number or not 1 <= int(text) <= _MAX_K:
        raise ValueError(f"k must be an integer from 1 to {_MAX_K}.")
    return int(text)


class CompareRequest(BaseModel):
    """Two examples."""

    left: JsonExample
    right: JsonExample


class IdentifyOptions(BaseModel):
    """Fields of ``/identify`` without the example."""

    k: Annotated[
        int,
        Field(ge=1, le=_MAX_K, description="Number of nearest classes to return."),
        BeforeValidator(_parse_k),
    ] = 5


class IdentifyRequest(IdentifyOptions):
    """An example to find in the gallery."""

    example: JsonExample


class EnrollOptions(BaseModel):
    """Fields of ``/enroll`` without the examples."""

    label: Annotated[
        str,
        StringConstraints(strict=True, strip_whitespace=True, min_length=1),
        AfterValidator(normalize_text),
        Field(description="Name of the class."),
    ]


class EnrollRequest(EnrollOptions):
    """Examples of one class."""

    examples: JsonExamples


class PredictRequest(BaseModel):
    """Request of TensorFlow Serving: either ``instances`` (rows) or ``inputs`` (columns)."""

    signature_name: Annotated[
        str,
        Field(strict=True, description="embed (default), compare or measure."),
    ] = ""
    instances: Annotated[
        Any,
        WithJsonSchema(
            {
                "type": "array",
                "maxItems": MAX_EXAMPLES,
                "description": "Rows: examples, or objects with one example per input.",
                "items": {
                    "anyOf": [
                        _EXAMPLE_SCHEMA,
                        {
                            "title": "Named inputs",
                            "type": "object",
                            "additionalProperties": _EXAMPLE_SCHEMA,
                        },
                    ]
                },
            }
        ),
    ] = None
    inputs: Annotated[
        Any,
        WithJsonSchema(
            {
                "description": "Columns: an object with the examples of each input, or the "
                "examples of the only input.",
                "anyOf": [_NAMED_INPUTS_SCHEMA, _EXAMPLES_SCHEMA],
            }
        ),
    ] = None

    @pydantic.model_validator(mode="after")
    def _check_either(self) -> "PredictRequest":
        given = self.model_fields_set & {"instances", "inputs"}
        if len(given) != 1:
            got = "both" if given else "neither"
            raise ValueError(f"The request needs either 'instances' or 'inputs', it has {got}.")
        return self


class _ModelVersionResponse(BaseModel):
    model: str
    version: int


class CompareResponse(_ModelVersionResponse):
    """Verdict on two examples: ``same`` is ``distance <= threshold``."""

    distance: float
    same: bool
    threshold: float


class CandidateResponse(BaseModel):
    """A class with the distance to its nearest example, and the source of that example."""

    label: str
    distance: float
    same: bool
    source: str


class IdentifyResponse(_ModelVersionResponse):
    """The nearest classes, nearest first; ``known`` is the verdict on the first."""

    known: bool
    candidates: list[CandidateResponse]
    threshold: float


class ContradictionResponse(BaseModel):
    """An example that the gallery contains with another label."""

    source: str
    known_as: str


class EnrollResponse(_ModelVersionResponse):
    """Numbers of added and of already known examples, and the examples that were not added."""

    label: str
    added: int
    known: int
    contradictions: list[ContradictionResponse]


class PredictResponse(BaseModel):
    """``predictions`` if the request had ``instances``, ``outputs`` if it had ``inputs``."""

    predictions: Annotated[Any, WithJsonSchema(_OUTPUT_ROWS_SCHEMA)] = None
    outputs: Annotated[Any, WithJsonSchema(_OUTPUT_VALUES_SCHEMA)] = None


class VersionError(BaseModel):
    """``OK``, or the reason why a version is not served."""

    error_code: str
    error_message: str


class VersionStatus(BaseModel):
    """Status of one version; ``state`` is ``AVAILABLE`` or ``END``."""

    version: str
    state: str
    status: VersionError


class ModelStatusResponse(BaseModel):
    """Status of the versions, as in TensorFlow Serving."""

    model_version_status: list[VersionStatus]


class ModelSpec(BaseModel):
    """Name and version of a model, as in TensorFlow Serving."""

    name: str
    signature_name: str
    version: str


class ModelMetadataResponse(BaseModel):
    """Signatures of a version, as in TensorFlow Serving."""

    model_spec: ModelSpec
    metadata: dict[str, Any]


class HealthResponse(BaseModel):
    """Served versions, and refused newer versions."""

    status: str
    model: str
    versions: list[int]
    refused: dict[str, str]


class ErrorResponse(BaseModel):
    """Body of every response with a status other than 200."""

    error: str


BodyT = TypeVar("BodyT", bound=BaseModel)


def validate_body(body_type: type[BodyT], content: dict[str, Any]) -> BodyT:
    """Validate the fields of a request.

    Raises:
      ApiError: With status 400 and the first invalid field.
    """
    try:
        return body_type.model_validate(content)
    except pydantic.ValidationError as error:
        raise ApiError(400, _describe_invalid_field(error)) from None


def _describe_invalid_field(error: pydantic.ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    name = ".".join(map(str, first["loc"]))
    if first["type"] == "value_error":
        return str(first["ctx"]["error"])
    if first["type"] == "missing":
        return f"The field {name!r} is missing."
    if first["type"] == "string_type":
        return f"{name} must be a string, got {json_type_name(first['input'])}."
    return f"{name}: {first['msg']}."
