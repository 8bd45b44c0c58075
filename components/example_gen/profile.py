"""Guesses, from a look at the data, what kind they are and which column has which part."""

import collections
import dataclasses
import io
import os
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import pyarrow as pa
import pydantic
from PIL import Image

from diptych.components.common import cell_values as values
from diptych.components.common.table_rows import listed, read_rows
from diptych.components.example_gen.columns import Sample
from diptych.components.example_gen.files import Found, find_files
from diptych.components.example_gen.preflight import first_rows, settle
from diptych.components.example_gen.spans import find_spans, guess_pattern, has_spans
from diptych.components.example_gen.tfrecords import decode_examples, read_records, single_values
from diptych.schemas.config.data import Data, ImageFolder, Table, TFRecords
from diptych.schemas.config.pairs import Pairs
from diptych.schemas.config.split import Split
from diptych.schemas.errors import ConfigError, DataError, DiptychError
from diptych.schemas.input_spec import RESERVED

_SAMPLE_IMAGES, _SAMPLE_ROWS, _COUNTED_ROWS = 64, 1000, 1_000_000
_DECODED_PIXELS = 25_000_000  # in the header; larger images are not decoded
_SIDES = (28, 224)  # of images after resizing: bounds of the guess
_LABELS = ("label", "labels", "class", "target", "species", "y", "category")
_SAMES = ("same", "is_same", "match", "is_match", "alike", "similar", "duplicate", "is_duplicate")
_SAME_VALUES = {"1": 1, "yes": "yes", "same": "same", "match": "match", "y": "y"}
_SIDE_NAMES = (("left", "right"), ("first", "second"), ("a", "b"), ("x1", "x2"), ("1", "2"))
_MAGIC = (b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM")

_DATA: pydantic.TypeAdapter[Data] = pydantic.TypeAdapter(
    Annotated[Data, pydantic.Field(discriminator="kind")]
)


@dataclasses.dataclass(frozen=True)
class Look:
    """What was found.

    Attributes:
      data: keys of the section ``data``.
      settings: keys of other sections that the data ask for.
      notes: what a person should know or check.
    """

    data: Mapping[str, Any]
    settings: Mapping[str, Mapping[str, Any]]
    notes: Sequence[str]


def look_at_data(path: Path) -> Look:
    """Looks at names, headers, some first rows and the labels.

    Raises:
      ConfigError: there is nothing, or nothing of a known kind, at ``path``.
      DataError: the data have no rows, or a file cannot be read.
    """
    place = str(path)
    pattern = place if has_spans(place) else guess_pattern(place)
    if pattern is None:
        return _checked(_look_at(place))
    *_, newest = spans = find_spans(pattern)
    look = _look_at(newest.path)
    note = f"{len(spans)} spans, see window; looked at is the newest, {newest.name}."
    data = {**look.data, "path": pattern}
    return _checked(dataclasses.replace(look, data=data, notes=[note, *look.notes]))


def _look_at(place: str) -> Look:
    kind = _kind(place)
    if kind == "images":
        return _look_at_images(place)
    if kind == "tfrecord":
        return _look_at_tfrecords(place)
    return _look_at_table(place)


def _checked(look: Look) -> Look:
    """With a note of what is wrong, if anything is."""
    try:
        settle(_DATA.validate_python(look.data), Split())
    except DiptychError as error:
        note = " ".join(f"CHECK: {error}".split())
        return dataclasses.replace(look, notes=[*look.notes, note])
    return look


def _kind(place: str) -> str:
    if not os.path.isdir(place):
        lower = place.lower()
        return "tfrecord" if "tfrecord" in lower or _bare_gz(lower) else "table"
    names = [entry for entry in sorted(os.listdir(place)) if not entry.startswith(".")]
    files = [name.lower() for name in names if os.path.isfile(os.path.join(place, name))]
    if any(name.endswith((".csv", ".tsv", ".parquet", ".pq", ".csv.gz")) for name in files):
        return "table"
    if any("tfrecord" in name or _bare_gz(name) for name in files):
        return "tfrecord"
    if len(files) < len(names) or files:
        return "images"
    raise ConfigError(f"Nothing in {place}. Give a folder of images, or CSV, Parquet or TFRecords.")


def _bare_gz(name: str) -> bool:
    return name.endswith((".gz", ".tfr")) and not name.endswith((".csv.gz", ".tsv.gz"))


def _look_at_images(place: str) -> Look:
    found = find_files(ImageFolder(kind="images", path=place))
    step = -(-len(found.files) // _SAMPLE_IMAGES)
    settings, note = _look_at_pixels(found.root / file.name for file in found.files[::step])
    counts = collections.Counter(os.path.dirname(file.name) for file in found.files)
    data = {"kind": "images", "path": place, **settings}
    notes = [f"{len(found.files)} images, {note}"]
    if found.rejected:
        name, reason = found.rejected[0]
        notes.append(f"{len(found.rejected)} files are set aside, such as {name!r}: {reason}.")
    return _with_classes(data, counts, notes)


def _look_at_pixels(images: Iterable[Any]) -> tuple[dict[str, Any], str]:
    """Size and channels that fit some images, given as paths or open files; and a note."""
    heights, widths, colours = [], [], []
    for encoded in images:
        try:
            with Image.open(encoded) as image:
                height, width, colour = image.height, image.width, _has_colour(image)
        except Exception:  # Pillow raises nearly anything; ExampleGen will say what is wrong
            continue
        heights.append(height)
        widths.append(width)
        colours.append(colour)
    if not heights:
        raise DataError("Not one image in a sample can be read. Check the files.")
    note = f"of {min(heights)} x {min(widths)} to {max(heights)} x {max(widths)} pixels"
    settings = {
        "size": (_side(heights), _side(widths)),
        "channels": 3 if any(colours) else 1,
    }
    return settings, f"{note} (in a sample of {len(heights)})."


def _has_colour(image: Image.Image) -> bool:
    if image.mode in ("1", "L", "LA", "I", "I;16", "F"):
        return False
    if image.width * image.height > _DECODED_PIXELS:
        return True
    image.thumbnail((64, 64))  # enough to see colour
    red, green, blue = (channel.tobytes() for channel in image.convert("RGB").split())
    return not red == green == blue


def _side(lengths: Sequence[int]) -> int:
    smallest, largest = _SIDES
    # A multiple of 4 halves twice without a rest.
    return min(largest, max(smallest, 4 * round(statistics.median(lengths) / 4)))


def _with_classes(
    data: dict[str, Any], counts: Mapping[str, int], notes: list[str], more: bool = False
) -> Look:
    """Adds what the classes allow: P at most their number, K at most what most of them have."""
    defaults = Pairs()
    sizes = sorted(counts.values())
    if not sizes:
        return Look(data, {}, notes)
    median = sizes[len(sizes) // 2]
    in_training = int(median * Split().train)
    p = max(2, min(defaults.classes_per_batch, len(sizes)))
    k = max(2, min(defaults.examples_per_class, in_training))
    notes = [
        *notes,
        f"{'At least ' if more else ''}{len(sizes)} classes "
        f"with {sizes[0]} to {sizes[-1]} examples, {median} in the middle.",
    ]
    if len(sizes) >= 20:
        notes.append("To test on classes never seen in training, set split.by: class.")
    pairs = {"classes_per_batch": p, "examples_per_class": k}
    return Look(data, {"pairs": pairs}, notes)


def _look_at_table(place: str) -> Look:
    found = find_files(Table(kind="table", path=place, label=""))
    sample, batch = first_rows(found)
    paired = _paired(place, sample, batch)
    if paired is not None:
        return paired
    label, sure = _guess_label(sample, batch)
    notes = [] if sure else [f"CHECK: the label column {label!r} is a guess."]
    data: dict[str, Any] = {"kind": "table", "path": place, "label": label}
    lists = [name for name in sample.widths if name != label]
    numeric = [name for name in sample.names if name in sample.numeric and name != label]
    if "id" in sample.names and label != "id" and _distinct(batch, "id") == batch.num_rows:
        data["id"] = "id"
        numeric = [name for name in numeric if name != "id"]
    if lists:
        data["columns"] = max(lists, key=lambda name: sample.widths[name])
        notes.append(f"The vector is the list column {data['columns']!r}.")
    elif set(numeric) & set(RESERVED):
        data["columns"] = [name for name in numeric if name not in RESERVED]
        notes.append(f"Left out, for their names: {listed(sorted(set(numeric) & set(RESERVED)))}.")
    else:
        notes.append(f"The vector is made of {len(numeric)} numeric columns: {listed(numeric, 6)}.")
    counts, more = _count(found, label)
    return _with_classes(data, counts, notes, more)


def _paired(place: str, sample: Sample, batch: pa.RecordBatch) -> Look | None:
    same, sure = _guess_same(sample, batch)
    if same is None:
        return None
    usable = [name for name in sample.names if name in sample.numeric or name in sample.widths]
    usable = [name for name in usable if name != same]
    sides = _sides(usable) or _halves([name for name in usable if name in sample.numeric])
    if sides is None:
        return None
    left, right = sides
    notes = [f"Paired already: {same!r} says whether the left and the right side are alike."]
    if isinstance(left, int):
        notes.append(f"The first {left} numeric columns are one side, the next {right} the other.")
        if not sure:
            notes.append(
                f"CHECK: if {same!r} is the class of a whole row, use kind: table instead."
            )
    texts = [str(value) for value in _texts(batch, same)]
    alike = next(
        (value for text, value in _SAME_VALUES.items() if text in map(str.lower, texts)), 1
    )
    if isinstance(alike, str):  # as it is written in the data
        alike = next(text for text in texts if text.lower() == alike)
    data = {"kind": "pairs", "path": place, "same": same, "same_value": alike}
    return Look({**data, "left": left, "right": right}, {}, notes)


def _guess_same(sample: Sample, batch: pa.RecordBatch) -> tuple[str | None, bool]:
    """A column with two values by a name that fits; and whether the name says it for sure."""
    for candidates, sure in ((_SAMES, True), (_LABELS, False)):
        for name in sample.names:
            if name.lower() in candidates and name in batch.schema.names:
                texts = {text.lower() for text in _texts(batch, name)}
                if len(texts) == 2 and texts & set(_SAME_VALUES):
                    return name, sure
    return None, False


def _texts(batch: pa.RecordBatch, name: str) -> list[str]:
    if values.is_list(batch.column(name).type):
        return []
    found = values.same_text(batch.column(name)).unique().to_pylist()
    return sorted(text for text in found if text is not None)


def _sides(names: Sequence[str]) -> tuple[Any, Any] | None:
    """Two sides told apart by a prefix (left_x) or a suffix (x_left), with the same rest."""
    for left, right in _SIDE_NAMES:
        for separator in ("_", ".", "-"):
            one, other = left + separator, right + separator
            if _rest(names, one, True) and _rest(names, one, True) == _rest(names, other, True):
                return f"{one}*", f"{other}*"
            one, other = separator + left, separator + right
            rest = _rest(names, one, False)
            if rest and sorted(rest) == sorted(_rest(names, other, False)):
                return [name + one for name in rest], [name + other for name in rest]
    return None


def _rest(names: Iterable[str], part: str, is_prefix: bool) -> list[str]:
    if is_prefix:
        return [name.removeprefix(part) for name in names if name.startswith(part)]
    return [name.removesuffix(part) for name in names if name.endswith(part)]


def _halves(names: Sequence[str]) -> tuple[int, int] | None:
    """Half and half of columns that are numbered through: v0 to v399."""
    matches = [re.fullmatch(r"(.*?)(\d+)", name) for name in names]
    if len(names) < 4 or len(names) % 2 or not all(matches):
        return None
    prefixes = {match.group(1) for match in matches if match}
    numbers = [int(match.group(2)) for match in matches if match]
    if len(prefixes) != 1 or numbers != list(range(numbers[0], numbers[0] + len(numbers))):
        return None
    return len(names) // 2, len(names) // 2


def _guess_label(sample: Sample, batch: pa.RecordBatch) -> tuple[str, bool]:
    """The label column; and whether its name or its being the only one says it for sure."""
    names = [
        name for name in sample.names if name not in sample.widths and name in batch.schema.names
    ]
    for wanted in _LABELS:
        for name in names:
            if name.lower() == wanted:
                return name, True
    few = [name for name in names if 2 <= _distinct(batch, name) <= max(2, batch.num_rows // 2)]
    words = [name for name in few if name not in sample.numeric]
    whole = [name for name in few if name in sample.numeric and _is_whole(batch, name)]
    for candidates in (words, whole):
        if candidates:
            return candidates[-1], len(candidates) == 1 and candidates is words
    if not names:
        raise DataError(f"No column can be a label: {listed(sample.names)}. Add one.")
    return names[-1], False


def _distinct(batch: pa.RecordBatch, name: str) -> int:
    return len(values.as_text(batch.column(name)).unique().drop_null())


def _is_whole(batch: pa.RecordBatch, name: str) -> bool:
    texts = values.as_text(batch.column(name)).unique().drop_null().to_pylist()
    return all(re.fullmatch(r"-?\d+", text) for text in texts)


def _count(found: Found, label: str) -> tuple[collections.Counter[str], bool]:
    counts: collections.Counter[str] = collections.Counter()
    for file in found.files:
        path = found.root / file.name
        for rows in read_rows(path, [label], batch_size=65536):
            text = values.as_text(rows.batch.column(label)).drop_null()
            for pair in text.value_counts().to_pylist():
                counts[pair["values"]] += pair["counts"]
            if counts.total() >= _COUNTED_ROWS:
                return counts, True
    return counts, False


def _look_at_tfrecords(place: str) -> Look:
    probe = TFRecords(kind="tfrecord", path=place, image="image")
    found = find_files(probe)
    counts: collections.Counter[str] = collections.Counter()
    data: dict[str, Any] = {}
    notes: list[str] = []
    num_records, more = 0, False
    for file in found.files:
        if not file.size:
            continue
        for number, records in read_records(found.root / file.name):
            for _, rows, _ in decode_examples(records, number):
                if rows is None:
                    continue
                if not data:
                    data, notes = _guess_features(place, rows.batch)
                labels = values.as_text(single_values(rows.batch, data["label"])).drop_null()
                counts.update(labels.to_pylist())
            num_records += len(records)
            if num_records >= _COUNTED_ROWS // 10:
                more = True
                break
        if more:
            break
    if not data:
        raise DataError(f"No record in {place} is a tf.Example. Check how they were written.")
    return _with_classes(data, counts, notes, more)


def _guess_features(place: str, batch: pa.RecordBatch) -> tuple[dict[str, Any], list[str]]:
    names = sorted(batch.schema.names)
    singles = {name: single_values(batch, name) for name in names}
    images, vectors, words = [], [], []
    for name in names:
        kind = batch.column(name).type
        if not values.is_list(kind):
            continue
        first = next((value for value in singles[name].to_pylist() if value is not None), None)
        if isinstance(first, bytes) and first.startswith(_MAGIC):
            images.append(name)
        elif values.is_number(kind.value_type) and first is None:
            vectors.append(name)
        elif first is not None:
            words.append(name)
    vectors = [name for name in vectors if name not in RESERVED]
    named = [name for wanted in _LABELS for name in words if name.lower() == wanted]
    label = (named or words or ["label"])[0]
    notes = [] if named else [f"CHECK: the label feature {label!r} is a guess."]
    notes.append(f"The features are: {listed(names)}.")
    if not images and not vectors:
        raise ConfigError(
            f"No feature in {place} holds an encoded image or several numbers: {listed(names)}."
        )
    data: dict[str, Any] = {"kind": "tfrecord", "path": place, "label": label}
    if images:
        encoded = singles[images[0]].drop_null().slice(0, _SAMPLE_IMAGES).to_pylist()
        settings, note = _look_at_pixels(io.BytesIO(image) for image in encoded)
        return {**data, "image": images[0], **settings}, [*notes, f"Images {note}"]
    widths = {name: len(batch.column(name).drop_null()[0]) for name in vectors}
    data["vector"] = max(vectors, key=lambda name: widths[name])
    return data, notes
