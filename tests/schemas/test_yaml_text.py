"""YAML that would fill the memory, overflow the stack or raise an unexpected error."""

import tracemalloc

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from diptych.schemas.yaml_text import YamlLimitError, parse_yaml

_LEVELS = [f"l{n}: &l{n} [{', '.join(9 * [f'*l{n - 1}'])}]" for n in range(1, 9)]
BOMB = "\n".join(["l0: &l0 [x, x]", *_LEVELS])
KEY_BOMB = "\n".join(
    ["l0: &l0 {a: 1}", *(f"l{n}: &l{n} {{a: *l{n - 1}, b: *l{n - 1}}}" for n in range(1, 40))]
)
REJECTED = {
    "bomb": (BOMB, "exceeds the limit of 20,000 values"),
    "bomb of sections": (KEY_BOMB, "exceeds the limit of 20,000 values|nested"),
    "itself": ("a: &a [*a]", "exceeds the limit of 20,000 values"),
    "itself in a section": ("a: &a {b: {c: *a}}", "exceeds the limit of 20,000 values"),
    "deep list": ("a: " + "[" * 100_000, "line 1 is nested more than 50 levels"),
    "deep sections": ("\n".join(" " * n + "a:" for n in range(60)), "nested more than 50 levels"),
    "many values": ("a: [" + "1," * 20_000 + "]", "exceeds the limit of 20,000 values"),
    "long": ("a: " + "x" * (2 << 20), "more than 1,048,576 characters"),
    "number": ("a: " + "7" * 5000, "line 1 has a number of 5,000 digits, at most 300 are allowed"),
    "tagged number": ("a: !!int '" + "7" * 5000 + "'", "has a number of 5,000 digits"),
    "hexadecimal": ("a: 0x" + "f" * 5000, "number of 5,002 digits"),
    "date": ("a: 2026-13-01", "month must be in 1..12"),
    "timestamp": ("a: !!timestamp x", "a value cannot be read"),
    "truth": ("a: !!bool x", "a value cannot be read"),
    "integer": ("a: !!int x", "invalid literal for int"),
    "list as key": ("[1, 2]: 3", "unhashable"),
}


@pytest.mark.parametrize("name", REJECTED)
def test_a_text_beyond_the_limits_is_rejected(name):
    text, message = REJECTED[name]
    with pytest.raises(yaml.YAMLError, match=message):
        parse_yaml(text)


def test_a_bomb_is_rejected_with_little_memory():
    tracemalloc.start()
    try:
        with pytest.raises(YamlLimitError):
            parse_yaml(BOMB)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 10e6


def test_text_that_looks_like_a_number_may_be_long():
    text = "7" * 5000
    assert parse_yaml(f"a: '{text}'\nb: x{text}\nc: {text}-{text}") == {
        **{"a": text, "b": f"x{text}", "c": f"{text}-{text}"}
    }


def test_aliases_within_the_limits_are_resolved():
    text = "a: &a {x: 1}\nb: *a\nc: {<<: *a, y: 2}\nd: &d 3\ne: *d\nf: &f [1]\ng: *f"
    expected = {"a": {"x": 1}, "b": {"x": 1}, "c": {"x": 1, "y": 2}, "d": 3, "e": 3}
    assert parse_yaml(text) == {**expected, "f": [1], "g": [1]}


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
def test_any_other_value_is_parsed(value):
    assert parse_yaml(yaml.safe_dump(value)) == value


@given(st.text() | st.text("[]{}&*!|>'\"%@`#,:-? \n\ta1").filter(bool))
def test_any_text_is_parsed_or_raises_a_yaml_error(text):
    try:
        parse_yaml(text)
    except yaml.YAMLError as error:
        assert not isinstance(error, YamlLimitError) or len(str(error)) < 300
