"""YAML from users and other programs, parsed within limits of size, depth and expansion."""

import math
from typing import Any

import yaml

MAX_YAML_LENGTH = 1 << 20  # characters
_MAX_DEPTH = 50
_MAX_VALUES = 20_000
_MAX_DIGITS = 300  # of a number; a float has at most 308 before the point
_INT_TAG = "tag:yaml.org,2002:int"


class YamlLimitError(yaml.YAMLError):
    """The text exceeds a limit, or has a value that cannot be built.

    The message fits after "PATH is not valid YAML: ".
    """


def parse_yaml(text: str, loader: type[yaml.SafeLoader] = yaml.SafeLoader) -> Any:
    """Parse one YAML document.

    An alias counts as all values of its anchor: nine lines of nine aliases each stand for 9**9
    values, and fill the memory as soon as something visits them.

    Args:
      text: The document.
      loader: A subclass of ``yaml.SafeLoader``.

    Raises:
      yaml.YAMLError: If the text is not valid YAML, or exceeds a limit.
    """
    check_yaml(text)
    try:
        return yaml.load(text, loader)
    except yaml.YAMLError:
        raise
    except Exception as error:  # of any type, such as for the date 2026-13-01 or !!timestamp x
        raise YamlLimitError(f"a value cannot be read ({error})") from error


def check_yaml(text: str) -> None:
    """Check length, depth, values and numbers of YAML documents, without building any value.

    Raises:
      yaml.YAMLError: If the text is not valid YAML, or exceeds a limit.
    """
    if len(text) > MAX_YAML_LENGTH:
        raise YamlLimitError(f"it has more than {MAX_YAML_LENGTH:,} characters")
    sizes = [0.0]  # number of values in each open collection
    anchors: list[str | None] = []  # of the open collections
    anchor_sizes: dict[str | None, float] = {}
    for event in yaml.parse(text, yaml.SafeLoader):
        size = 0.0
        match event:
            case yaml.ScalarEvent():
                _check_number(event)
                size = anchor_sizes[event.anchor] = 1
            case yaml.AliasEvent():
                # inf: an alias inside of its own anchor
                size = math.inf if event.anchor in anchors else anchor_sizes.get(event.anchor, 1)
            case yaml.CollectionStartEvent():
                anchors.append(event.anchor)
                sizes.append(1)
                if len(anchors) > _MAX_DEPTH:
                    raise YamlLimitError(
                        f"line {_line(event)} is nested more than {_MAX_DEPTH} levels deep"
                    )
            case yaml.CollectionEndEvent():
                size = anchor_sizes[anchors.pop()] = sizes.pop()
        sizes[-1] += size
        if sizes[-1] > _MAX_VALUES:
            raise YamlLimitError(
                f"line {_line(event)} exceeds the limit of {_MAX_VALUES:,} values, where an alias "
                "counts as all values of its anchor"
            )


def _check_number(event: yaml.ScalarEvent) -> None:
    if len(event.value) > _MAX_DIGITS and (event.implicit[0] or event.tag == _INT_TAG):
        digits = event.value.replace("_", "").lstrip("+-")
        if digits[:1].isdigit() and digits.isalnum():
            raise YamlLimitError(
                f"line {_line(event)} has a number of {len(digits):,} digits, at most "
                f"{_MAX_DIGITS} are allowed"
            )


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0
