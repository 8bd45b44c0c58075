"""Profile the data to propose a configuration: their kind, and the role of each column."""

import contextlib
import dataclasses
import os
from pathlib import Path
from typing import Annotated

import pydantic

from diptych.components.common.data_files import find_images, find_tables, has_table_extension
from diptych.components.common.tables.file_formats import find_foreign_file
from diptych.components.example_gen.infer_spec import infer_input_spec
from diptych.components.example_gen.profile.connections import propose_connected_split
from diptych.components.example_gen.profile.data_profile import DataProfile, count_noun
from diptych.components.example_gen.profile.image_tables import count_listed_images
from diptych.components.example_gen.profile.images import profile_images
from diptych.components.example_gen.profile.records import profile_tfrecords
from diptych.components.example_gen.profile.tables import profile_table
from diptych.components.example_gen.spans import find_spans, guess_span_pattern, has_spans
from diptych.schemas.config.data import DataConfig
from diptych.schemas.config.loading import CHECK
from diptych.schemas.config.split import SplitConfig
from diptych.schemas.errors import ConfigError, DataError, DiptychError

_DATA: pydantic.TypeAdapter[DataConfig] = pydantic.TypeAdapter(
    Annotated[DataConfig, pydantic.Field(discriminator="kind")]
)


def profile_data(path: Path) -> DataProfile:
    """Profile data from file names, headers, the first rows and the labels.

    Raises:
      ConfigError: If the path does not exist, or has no data of a known kind.
      DataError: If the data have no rows, or a file cannot be read.
    """
    text = str(path)
    pattern = text if has_spans(text) else guess_span_pattern(text)
    if pattern is None:
        return _with_check_note(_profile_path(text))
    *_, newest = spans = find_spans(pattern)
    profile = _profile_path(newest.path)
    num_spans = count_noun(len(spans), "span")
    note = f"{num_spans}, see window; the profile is of the newest, {newest.name}."
    data = {**profile.data, "path": pattern}
    return _with_check_note(dataclasses.replace(profile, data=data, notes=[note, *profile.notes]))


def _profile_path(path: str) -> DataProfile:
    profile = _profile_kind(path)
    return propose_connected_split(profile) if profile.data["kind"] == "pairs" else profile


def _profile_kind(path: str) -> DataProfile:
    if os.path.isdir(path) and find_tables(path):
        listed = _profile_listed_images(path)
        if listed is not None:
            return listed
    kind = _detect_kind(path)
    if kind == "images":
        return profile_images(path)
    if kind == "tfrecord":
        return profile_tfrecords(path)
    return profile_table(path)


def _profile_listed_images(path: str) -> DataProfile | None:
    """Profile a folder by a table in it that names most of its images; None without one."""
    num_images = sum("/" in image.name for image in find_images(path).files)
    if not num_images:
        return None
    with contextlib.suppress(DiptychError):
        profile = profile_table(path)
        has_images = profile.data["kind"] == "images" or "size" in profile.data
        if has_images and count_listed_images(profile) * 2 >= num_images:
            return profile
    return None


def _with_check_note(profile: DataProfile) -> DataProfile:
    """Add a note if the proposed configuration is invalid."""
    try:
        split = SplitConfig.model_validate(profile.settings.get("split", {}))
        infer_input_spec(_DATA.validate_python(profile.data), split)
    except DiptychError as error:
        note = f"{CHECK} {' '.join(str(error).split())}"
        return dataclasses.replace(profile, notes=[*profile.notes, note])
    return profile


def _detect_kind(path: str) -> str:
    if not os.path.isdir(path):
        lower = path.lower()
        return "tfrecord" if "tfrecord" in lower or _is_gzipped_tfrecord(lower) else "table"
    names = [entry for entry in sorted(os.listdir(path)) if not entry.startswith(".")]
    files = [name.lower() for name in names if os.path.isfile(os.path.join(path, name))]
    found = find_images(path)
    if any("/" in image.name for image in found.files):  # a table next to them may be a stray file
        return "images"
    if find_tables(path):
        return "table"
    if any("tfrecord" in name or _is_gzipped_tfrecord(name) for name in files):
        return "tfrecord"
    foreign = find_foreign_file(Path(path)) if files else None
    if foreign is not None and len(files) == len(names):
        raise DataError(f"No table in {path}: {foreign}")
    nested = next((name for name, _ in found.ignored if has_table_extension(name)), None)
    if nested is not None and not found.files:
        pattern = os.path.join(path, "**", f"*{Path(nested).suffix}")
        raise DataError(
            f"The tables in {path}, such as {nested}, are in subfolders. Name a pattern such as "
            f"{pattern}. If the names of the folders are labels, rename them to key=value, such as "
            "label=a."
        )
    if names:
        return "images"
    raise ConfigError(
        f"{path} is empty. Name a folder of images, or CSV, Parquet or TFRecord files."
    )


def _is_gzipped_tfrecord(name: str) -> bool:
    return name.endswith((".gz", ".tfr")) and not has_table_extension(name)
