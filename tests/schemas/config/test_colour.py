import pytest

from diptych.schemas.config.colour import parse_colour
from diptych.schemas.config.loading import checked_config
from diptych.schemas.errors import ConfigError


def config(background):
    data = {"kind": "images", "path": "photos", "background": background}
    return checked_config({"name": "birds", "data": data}, "birds.yaml")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("white", (255, 255, 255)),
        ("Black", (0, 0, 0)),
        ("#808080", (128, 128, 128)),
        ("#0f8", (0, 255, 136)),
    ],
)
def test_colours_are_names_or_hexadecimal(text, expected):
    assert parse_colour(config(text).data.background) == expected


@pytest.mark.parametrize("value", ["snow-white", "#12345", "#11223344", ""])
def test_other_texts_are_no_colours(value):
    with pytest.raises(ConfigError, match=r"data\.background: expected an opaque colour"):
        config(value)


@pytest.mark.parametrize("value", [None, 0, [255, 255, 255]])
def test_an_unquoted_hexadecimal_colour_is_explained(value):
    with pytest.raises(ConfigError, match=r'data\.background: .* in quotes, as in "#808080"'):
        config(value)
