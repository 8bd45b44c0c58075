"""Colours in the configuration: ``white``, or ``#ffffff`` in quotes."""

from typing import Annotated, Any

from pydantic import BeforeValidator


def parse_colour(text: str) -> tuple[int, int, int]:
    """Convert a colour to red, green and blue.

    Raises:
      ValueError: If it is not a colour, or not opaque.
    """
    from PIL import ImageColor

    colour = ImageColor.getrgb(text)
    if len(colour) != 3:
        raise ValueError("the colour is transparent")
    return colour


def _check(value: Any) -> Any:
    """Return the text of a colour; raise a ValueError otherwise."""
    if not isinstance(value, str):  # YAML reads an unquoted #808080 as a comment
        raise ValueError('expected a colour; put a hexadecimal one in quotes, as in "#808080"')
    try:
        parse_colour(value)
    except ValueError as error:
        raise ValueError(
            f'expected an opaque colour, such as white or "#808080": {error}'
        ) from error
    return value


Colour = Annotated[str, BeforeValidator(_check)]
