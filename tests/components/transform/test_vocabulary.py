"""The vocabulary of the labels: a text file with one label per line."""

import tempfile

import pytest
import tensorflow as tf
import tensorflow_transform as tft
import tensorflow_transform.beam as tft_beam
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.components.transform.component import _escape_line_breaks, preprocessing_fn
from diptych.schemas import input_spec as features
from diptych.schemas.input_spec import Column, InputSpec

labels = st.text(st.characters(exclude_categories=["Cs"]) | st.sampled_from("\\\n\rnr"), min_size=1)


@settings(deadline=None)
@given(st.lists(labels, min_size=1, max_size=20, unique=True))
def test_escaped_labels_differ_and_have_one_line(texts):
    escaped = _escape_line_breaks(tf.constant(texts)).numpy().tolist()
    assert len(set(escaped)) == len(texts)
    assert not any(b"\n" in text or b"\r" in text for text in escaped)
    plain = [text for text in texts if not set(text) & set("\\\n\r")]
    assert {text.encode() for text in plain} <= set(escaped)


@pytest.mark.parametrize("text", ["a\nb", "a\\nb", "a\rb", "a\\rb", "a\\\nb"])
def test_each_label_has_a_class(text):
    spec = InputSpec(kind="vector", columns=(Column(name="x", width=1),))
    names = [text, "a b", "猫", " ", "\n"]
    rows = [
        {features.LABEL: [name], features.ID: [str(i)], "x": [float(i)]}
        for i, name in enumerate(names * 2)
    ]
    schema = {name: tf.io.FixedLenFeature([1], tf.string) for name in (features.LABEL, features.ID)}
    metadata = tft.DatasetMetadata.from_feature_spec(
        {**schema, "x": tf.io.FixedLenFeature([1], tf.float32)}
    )
    config = {"inputs": spec.model_dump_json()}
    with tempfile.TemporaryDirectory() as folder, tft_beam.Context(temp_dir=folder):
        (data, _), _ = (rows, metadata) | tft_beam.AnalyzeAndTransformDataset(
            lambda inputs: preprocessing_fn(inputs, config)
        )
    classes = {row[features.LABEL]: row[features.CLASS] for row in data}
    assert sorted(classes) == sorted(name.encode() for name in names)
    assert sorted(classes.values()) == list(range(len(names)))
