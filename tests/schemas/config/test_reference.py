"""The documentation of the configuration: descriptions, reference page and JSON Schema."""

import json
from pathlib import Path
from typing import get_args

import jsonschema
import pydantic
import pytest
import yaml

from diptych.cli.config_template import write_config_template
from diptych.schemas.config.config import Config
from diptych.schemas.config.json_schema import config_schema
from diptych.schemas.config.reference import render_reference
from diptych.schemas.config.section import Section

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = config_schema()
DATA = {"kind": "images", "path": "pictures"}


def sections_in(annotation):
    """Section classes in a type annotation, at any depth."""
    if isinstance(annotation, type) and issubclass(annotation, Section):
        return {annotation}
    return {section for part in get_args(annotation) for section in sections_in(part)}


def all_sections(section=Config):
    nested = {
        inner for field in section.model_fields.values() for inner in sections_in(field.annotation)
    }
    return {section}.union(*(all_sections(inner) for inner in nested))


def is_valid(tree):
    # Through JSON, because the keys of YAML may be numbers.
    instance = json.loads(json.dumps(tree))
    return jsonschema.Draft202012Validator(SCHEMA).is_valid(instance)


def test_the_reference_page_is_up_to_date():
    page = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    command = "python -m diptych.schemas.config.reference > docs/configuration.md"
    assert page == render_reference(), f"Run: {command}"
    assert command in page


def test_every_key_has_a_description():
    found = all_sections()
    assert len(found) > 30  # sections, kinds of data, encoders, losses and nested settings
    for section in found:
        for key, field in section.model_fields.items():
            default = field.default
            documented = default.__doc__ if isinstance(default, pydantic.BaseModel) else None
            description = field.description or documented
            assert description, f"{section.__name__}.{key}"
            assert description.rstrip().endswith("."), f"{section.__name__}.{key}: {description}"


def test_every_section_has_a_docstring_of_its_own():
    for section in all_sections():
        assert section.__doc__ and section.__doc__ != Section.__doc__, section


def test_every_key_has_one_row_in_the_reference():
    text = render_reference()
    for section, field in Config.model_fields.items():
        if isinstance(field.default, Section):
            for key in type(field.default).model_fields:
                assert text.count(f"\n| `{section}.{key}` |") == 1, f"{section}.{key}"


def test_the_schema_is_a_json_schema():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_the_schema_accepts_the_generated_configuration(tmp_path):
    write_config_template(None, tmp_path / "CONFIG.yaml")
    assert is_valid(yaml.safe_load((tmp_path / "CONFIG.yaml").read_text()))


@pytest.mark.parametrize("path", sorted((ROOT / "pipeline/examples").glob("*.yaml")), ids=str)
def test_the_schema_accepts_the_example_configurations(path):
    assert is_valid(yaml.safe_load(path.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    "sections",
    [
        {"model": {"loss": "triplet", "encoder": "MobileNetV3Small"}},
        {"model": {"loss": {"name": "triplet", "mining": "hard"}, "encoder": "a.b:build"}},
        {"model": {"encoder": {"name": "mlp", "depth": 3}, "decoder": {"weight": 0.5}}},
        {"train": {"threshold_criterion": {"false_accept_rate": 0.01}}},
        {"evaluate": {"requirements": {"accuracy": None, "tar_at_far": {0.01: 0.9}}}},
        {"nightly": {"resources": {"Trainer": {"gpus": 1}}}},
        {"tune": {"space": {"train.learning_rate": {"log_uniform": [1e-4, 1e-2]}}}},
    ],
)
def test_the_schema_accepts_what_the_models_accept(sections):
    tree = {"name": "toy", "data": DATA, **sections}
    Config.model_validate(tree)
    assert is_valid(tree)


@pytest.mark.parametrize(
    "sections",
    [
        {"nmae": "x"},
        {"pairs": {"policy": "natural"}},
        {"pairs": {"classes_per_batch": 1}},
        {"model": {"loss": "cosine"}},
        {"model": {"loss": {"name": "triplet", "gamma": 1}}},
        {"train": {"augmentation": {"of": "all"}}},
        {"train": {"threshold_criterion": "accuracy"}},
        {"data": {"kind": "video", "path": "x"}},
    ],
)
def test_the_schema_rejects_unknown_keys_and_values(sections):
    tree = {"name": "toy", "data": DATA, **sections}
    with pytest.raises(pydantic.ValidationError):
        Config.model_validate(tree)
    assert not is_valid(tree)
