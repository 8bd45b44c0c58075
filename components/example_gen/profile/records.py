"""Profile TFRecord files: the features of their tf.Examples."""

import collections
import io
from typing import Any

import pyarrow as pa

from diptych.components.common import cell_values as values
from diptych.components.common.file_types import recognize_image
from diptych.components.common.table_rows import format_names
from diptych.components.example_gen.profile.data_profile import (
    LABEL_NAMES,
    MAX_COUNTED_ROWS,
    DataProfile,
    with_class_settings,
)
from diptych.components.example_gen.profile.images import SAMPLE_IMAGES, infer_image_settings
from diptych.components.example_gen.profile.roles import describe_given_splits
from diptych.components.example_gen.span_files import find_files
from diptych.components.example_gen.tfrecords import decode_examples, read_records, single_values
from diptych.schemas.config.data import TFRecords
from diptych.schemas.errors import ConfigError, DataError
from diptych.schemas.input_spec import RESERVED


def profile_tfrecords(path: str) -> DataProfile:
    """Profile a file or a folder of TFRecord files."""
    span_files = find_files(TFRecords(kind="tfrecord", path=path, image="image"))
    counts: collections.Counter[str] = collections.Counter()
    data: dict[str, Any] = {}
    notes: list[str] = []
    num_records, is_partial = 0, False
    for file in span_files.files:
        if not file.size:
            continue
        for number, records in read_records(span_files.root / file.name):
            for _, rows, _ in decode_examples(records, number):
                if rows is None:
                    continue
                if not data:
                    data, notes = _profile_features(path, rows.batch)
                labels = values.as_text(single_values(rows.batch, data["label"])).drop_null()
                counts.update(labels.to_pylist())
            num_records += len(records)
            if num_records >= MAX_COUNTED_ROWS // 10:
                is_partial = True
                break
        if is_partial:
            break
    if not data:
        raise DataError(f"No record in {path} is a tf.Example. Check how the records were written.")
    given = describe_given_splits(None, span_files)
    return with_class_settings(data, counts, [*notes, *given], is_partial, bool(given))


def _profile_features(path: str, batch: pa.RecordBatch) -> tuple[dict[str, Any], list[str]]:
    names = sorted(batch.schema.names)
    singles = {name: single_values(batch, name) for name in names}
    images, vectors, scalars = [], [], []
    for name in names:
        data_type = batch.column(name).type
        if not values.is_list(data_type):
            continue
        first = next((value for value in singles[name].to_pylist() if value is not None), None)
        if isinstance(first, bytes) and recognize_image(first) is not None:
            images.append(name)
        elif values.is_number(data_type.value_type) and first is None:
            vectors.append(name)
        elif first is not None:
            scalars.append(name)
    vectors = [name for name in vectors if name not in RESERVED]
    named = [name for wanted in LABEL_NAMES for name in scalars if name.lower() == wanted]
    label = (named or scalars or ["label"])[0]
    notes = [] if named else [f"CHECK: the label feature {label!r} is a guess."]
    notes.append(f"The features are: {format_names(names)}.")
    if not images and not vectors:
        raise ConfigError(
            f"No feature in {path} contains an encoded image or a vector of numbers: "
            f"{format_names(names)}. Check data.path."
        )
    data: dict[str, Any] = {"kind": "tfrecord", "path": path, "label": label}
    if images:
        encoded = singles[images[0]].drop_null().slice(0, SAMPLE_IMAGES).to_pylist()
        settings, note = infer_image_settings(io.BytesIO(image) for image in encoded)
        return {**data, "image": images[0], **settings}, [*notes, f"Images {note}"]
    widths = {name: len(batch.column(name).drop_null()[0]) for name in vectors}
    data["vector"] = max(vectors, key=lambda name: widths[name])
    return data, notes
