import numpy as np
import pyarrow as pa
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from diptych.components.example_gen.encoding import encode_examples
from diptych.components.example_gen.example_batch import bytes_feature, list_feature

names = st.lists(st.text(min_size=1, max_size=200), min_size=1, max_size=4, unique=True)


@given(
    names=names.filter(lambda drawn: not {"label", "same"} & set(drawn)),
    matrix=hnp.arrays(
        np.float32, st.tuples(st.integers(0, 4), st.integers(1, 40)), elements=st.floats(width=32)
    ),
    labels=st.lists(st.binary(max_size=300), min_size=4, max_size=4),
    same=st.lists(st.integers(0, 2**40), min_size=4, max_size=4),
)
def test_decoded_examples_equal_the_batch(names, matrix, labels, same):
    num_rows, width = matrix.shape
    columns = {
        name: list_feature(pa.array(matrix.ravel() * 1, pa.float32()), width) for name in names
    }
    columns["label"] = bytes_feature(labels[:num_rows])
    columns["same"] = list_feature(pa.array(same[:num_rows], pa.int64()), 1)
    encoded = encode_examples(pa.record_batch(columns))
    assert len(encoded) == num_rows
    for row, example in enumerate(map(tf.train.Example.FromString, encoded)):
        features = example.features.feature
        assert set(features) == {*names, "label", "same"}
        for name in names:
            np.testing.assert_array_equal(np.float32(features[name].float_list.value), matrix[row])
        assert list(features["label"].bytes_list.value) == [labels[row]]
        assert list(features["same"].int64_list.value) == [same[row]]
