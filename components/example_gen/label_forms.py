"""Find labels that are probably the same class: they differ in case, white space or form only."""

import os
import unicodedata
from collections.abc import Iterable, Iterator, Mapping

from diptych.components.common.label_text import normalize_text
from diptych.components.common.path_roles import parse_path
from diptych.components.example_gen.span_files import SpanFiles
from diptych.schemas.config.data import ImageFolder

_MAX_LABELS = 200_000  # kept in memory, about 40 MB
_MAX_SHOWN = 10
LabelForms = dict[str, set[str]]
"""Normalized labels, each with the texts that became it."""


def merge_label_forms(parts: Iterable[LabelForms | None]) -> LabelForms | None:
    """Merge the labels of batches, in any order and grouping.

    Returns:
      None above 200,000 labels, about 40 MB.
    """
    merged: LabelForms = {}
    for part in parts:
        if part is None:
            return None
        for label, texts in part.items():
            merged.setdefault(label, set()).update(texts)
        if len(merged) > _MAX_LABELS:
            return None
    return merged


def find_similar_labels(forms: Mapping[str, Iterable[str]]) -> Iterator[tuple[str, str]]:
    """Yield a label and a text for each label that merges several texts, or resembles another."""
    merged = {label: sorted(texts) for label, texts in forms.items()}
    several = {label: texts for label, texts in merged.items() if len(texts) > 1}
    yield from _describe(
        several, "labels that differ only in white space or normal form are one class"
    )
    by_form: dict[str, list[str]] = {}
    for label in sorted(forms):
        by_form.setdefault(_fold(label), []).append(label)
    similar = {labels[0]: labels for labels in by_form.values() if len(labels) > 1}
    yield from _describe(
        similar, "labels that differ only in case or white space are different classes"
    )


def labels_of_paths(span: SpanFiles, data: ImageFolder) -> LabelForms:
    """Return the labels of a folder of images. ``find_files`` reports folders of one class."""
    folders = {os.path.dirname(file.name) for file in span.files}
    labels = {parse_path(f"{folder}/image", data.levels).label for folder in folders}
    return {label: {label} for label in labels}


def _describe(groups: Mapping[str, list[str]], text: str) -> Iterator[tuple[str, str]]:
    for number, label in enumerate(sorted(groups)):
        if number == _MAX_SHOWN:
            yield from ((other, f"{text} (further ones)") for other in sorted(groups)[number:])
            return
        shown = ", ".join(ascii(one) if one != normalize_text(one) else repr(one)
                          for one in groups[label][:_MAX_SHOWN])  # fmt: skip
        for _ in groups[label]:
            yield label, f"{text}: {shown}"


def _fold(label: str) -> str:
    """Return a text that is equal for labels that look the same to a careless reader."""
    return " ".join(unicodedata.normalize("NFKC", label).casefold().split())
