"""Commented configuration of ``diptych init``: the data section comes from a profile of the data.

The comments are the descriptions of the keys in ``schemas.config``.
"""

import dataclasses
import re
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pydantic
import yaml

from diptych.cli.terminal_text import escape_control
from diptych.components.example_gen.profile import DataProfile, profile_data
from diptych.schemas.config.config import Config
from diptych.schemas.config.data import ImageFolder, PairTable, Table, TFRecords
from diptych.schemas.config.json_schema import (
    SCHEMA_FILE,
    config_schema_text,
    is_config_schema,
    unwrap_docstring,
)
from diptych.schemas.config.loading import CHECK
from diptych.schemas.errors import ConfigError
from diptych.schemas.files import atomic_write

_DATA_KINDS: dict[str, type[pydantic.BaseModel]] = {
    "images": ImageFolder,
    "table": Table,
    "pairs": PairTable,
    "tfrecord": TFRecords,
}
_LINE_LENGTH = 100
_COMMENT_COLUMN = 36
_MIN_COMMENT_WIDTH = 30
_LONG_DESCRIPTION = 110  # characters; about two lines of a comment

_OTHER_KINDS = """\
# Other kinds of data; replace the section above:
#
# data:                        # CSV or Parquet: a label column; the other columns are the vector
#   kind: table
#   path: measurements.csv     # a file, a folder, or a pattern such as data/*.parquet
#   label: species
#
# data:                        # CSV or Parquet of given pairs
#   kind: pairs
#   path: pairs.parquet
#   same: same                 # 1: positive pair, 0: negative pair
#   left: left_*
#   right: right_*
#
# data:                        # TFRecord files of tf.Examples
#   kind: tfrecord
#   path: records/
#   label: label
#   image: image_raw           # or vector: embedding
"""


def write_config_template(data_path: Path | None, out: Path) -> list[str]:
    """Write a commented configuration, and its JSON Schema next to it.

    Args:
      data_path: Data to profile. None writes a template for a folder of images.
      out: File to write.

    Returns:
      What was recognised, as notes for the user. Those that start with CHECK are uncertain guesses:
      ``load_config`` refuses the file until their lines are deleted.

    Raises:
      ConfigError: If ``out`` exists, if a schema file that Diptych has not written is in its
        folder, or if ``data_path`` contains no data of a known kind.
      DataError: If the data cannot be read.
    """
    if out.exists():
        raise ConfigError(f"{out} already exists. Remove it, or write to another file.")
    schema_path = out.parent / SCHEMA_FILE
    if schema_path.exists() and not is_config_schema(schema_path.read_text(encoding="utf-8")):
        raise ConfigError(
            f"{schema_path} exists and is not a schema of Diptych. Remove it, or write to another "
            "folder."
        )
    if data_path is None:
        notes = ["Put one folder of images per class into the folder data."]
        profile = DataProfile({"kind": "images", "path": "data"}, {}, notes)
        text = _render_config("my-pairs", profile, _OTHER_KINDS)
    else:
        profile = profile_data(data_path)
        text = _render_config(_pipeline_name(data_path), _with_relative_path(profile, out), "")
    out.parent.mkdir(parents=True, exist_ok=True)
    # Mode "x" never overwrites a file that was created in the meantime.
    with out.open("x", encoding="utf-8") as file:
        file.write(text)
    with atomic_write(schema_path) as tmp_path:
        tmp_path.write_text(config_schema_text(), encoding="utf-8")
    return list(profile.notes)


def key_comment(description: str) -> str:
    """Shorten the description of a key to a comment.

    A long description is reduced to its first sentence and to the meaning of null.
    """
    first, *others = re.split(r"(?<=\.) (?=[A-Z`]|null:)", description)
    if len(description) > _LONG_DESCRIPTION:
        others = [sentence for sentence in others if sentence.startswith("null:")]
    return " ".join([first, *others]).replace("`", "")


def _render_config(name: str, profile: DataProfile, after_data: str) -> str:
    fields = Config.model_fields
    lines = [
        f"# yaml-language-server: $schema={SCHEMA_FILE}",
        "",
        *_render_key("", "name", name, fields["name"].description or ""),
        "",
        *_render_comment(fields["data"].description or ""),
        *(line for note in profile.notes for line in _render_note(escape_control(note))),
        "data:",
        *_render_section(_DATA_KINDS[profile.data["kind"]], profile.data, "  "),
    ]
    if after_data:
        lines += ["", after_data.rstrip()]
    for section, field in fields.items():
        if section not in ("name", "data"):
            model = type(field.default)
            lines += ["", *_render_comment(unwrap_docstring(model.__doc__ or "")), f"{section}:"]
            lines += _render_section(model, profile.settings.get(section, {}), "  ")
    return "\n".join(lines) + "\n"


def _render_section(
    model: type[pydantic.BaseModel], values: Mapping[str, Any], indent: str
) -> list[str]:
    lines = []
    for key, field in model.model_fields.items():
        value = values.get(key, field.default)
        description = field.description or ""
        if isinstance(value, pydantic.BaseModel) and "name" not in type(value).model_fields:
            lines += _with_comment(f"{indent}{key}:", description, indent)
            lines += _render_section(type(value), {}, f"{indent}  ")
        else:
            lines += _render_key(indent, key, value, description)
    return lines


def _render_key(indent: str, key: str, value: object, description: str) -> list[str]:
    if isinstance(value, tuple):
        value = list(value)
    if isinstance(value, pydantic.BaseModel):
        value = value.model_dump(mode="json")
    text = _dump_value(value)
    if "\n" in text:  # a name with a line break
        text = _dump_value(value, default_style='"')
    return _with_comment(f"{indent}{key}: {text}", description, indent)


def _dump_value(value: object, default_style: str | None = None) -> str:
    text = yaml.safe_dump(
        value,
        default_flow_style=True,
        default_style=default_style,
        allow_unicode=True,
        width=10**9,
        sort_keys=False,
    )
    return text.removesuffix("...\n").strip()


def _with_comment(line: str, description: str, indent: str) -> list[str]:
    """Put the comment next to the line, or above a line that is too long."""
    column = max(len(line) + 2, _COMMENT_COLUMN)
    comment = key_comment(description)
    width = _LINE_LENGTH - column - 2
    if width < _MIN_COMMENT_WIDTH:
        return [*(indent + text for text in _render_comment(comment, len(indent))), line]
    first, *others = textwrap.wrap(comment, width)
    return [f"{line:<{column}}# {first}", *(f"{'':<{column}}# {text}" for text in others)]


def _render_comment(text: str, indent: int = 0) -> list[str]:
    text = text.replace("`", "")
    return [f"# {line}" for line in textwrap.wrap(text, _LINE_LENGTH - indent - 2)]


def _render_note(note: str) -> list[str]:
    """Render a note; the indented lines of one to decide belong together."""
    first, *others = _render_comment(note, 2)
    return [
        first,
        *(line.replace("# ", "#   ", 1) if note.startswith(CHECK) else line for line in others),
    ]


def _pipeline_name(data_path: Path) -> str:
    stem = data_path.stem if data_path.stem.strip("*") else data_path.parent.name
    name = re.sub(r"[^a-z0-9_-]+", "-", stem.lower()).strip("-_")
    return name[:63] or "my-pairs"


def _with_relative_path(profile: DataProfile, out: Path) -> DataProfile:
    """Make paths relative to the folder of ``out`` if the data are in that folder."""
    folder = out.absolute().parent
    shown = {}
    for key in ("path", "table"):
        if key in profile.data:
            path = Path(profile.data[key]).absolute()
            path = path.relative_to(folder) if path.is_relative_to(folder) else path
            shown[key] = path.as_posix()
    return dataclasses.replace(profile, data={**profile.data, **shown})
