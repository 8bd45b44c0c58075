"""Run the exported signatures by tensor name, as TensorFlow Serving does."""

import io

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image
from pushed_model import push_images, push_vectors
from tensorflow.core.framework import types_pb2
from tensorflow_server import FakeTensorFlowServing, encode_request, to_arrays

from diptych.components.trainer.export import export_model
from diptych.components.trainer.network import build_network
from diptych.schemas.config.model import ModelConfig
from diptych.schemas.input_spec import Column, InputSpec


def types_and_shapes(infos):
    return {
        name: (info.dtype, tuple(dim.size for dim in info.tensor_shape.dim))
        for name, info in infos.items()
    }


def grey(brightness, size=(9, 7)):
    file = io.BytesIO()
    Image.new("L", size, brightness).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def vector_server(tmp_path_factory):
    columns = (("a", 1), ("b", 2))
    return FakeTensorFlowServing(push_vectors(tmp_path_factory.mktemp("vectors"), columns=columns))


@pytest.fixture(scope="module")
def image_server(tmp_path_factory):
    return FakeTensorFlowServing(push_images(tmp_path_factory.mktemp("images")))


FLOAT, STRING, BOOL = types_pb2.DT_FLOAT, types_pb2.DT_STRING, types_pb2.DT_BOOL
VERDICT = {"distance": (FLOAT, (-1,)), "same": (BOOL, (-1,)), "threshold": (FLOAT, (-1,))}


@pytest.mark.parametrize("kind", ["image", "vector"])
def test_signatures_are_as_documented_with_a_free_batch_dimension(
    image_server, vector_server, kind
):
    signatures = {"image": image_server, "vector": vector_server}[kind].signatures
    raw, size = ((STRING, (-1,)), 4) if kind == "image" else ((FLOAT, (-1, 3)), 3)
    embedding = (FLOAT, (-1, size))
    expected = {
        "serving_default": ({kind: raw}, {"embedding": embedding}),
        "embed": ({kind: raw}, {"embedding": embedding}),
        "measure": ({"left": embedding, "right": embedding}, VERDICT),
        "compare": ({"left": raw, "right": raw}, VERDICT),
    }
    actual = {
        name: (types_and_shapes(signature.inputs), types_and_shapes(signature.outputs))
        for name, signature in signatures.items()
        if not name.startswith("__")  # internal to TensorFlow
    }
    assert actual == expected


def test_the_graph_has_only_the_tag_serve(image_server):
    assert list(image_server.graph_def.meta_info_def.tags) == ["serve"]


@pytest.mark.parametrize("signature", ["embed", ""])
@pytest.mark.parametrize("rows", [0, 1, 5])
def test_vectors_are_embedded_in_batches_of_any_size(vector_server, signature, rows):
    vectors = np.arange(rows * 3, dtype=np.float32).reshape(rows, 3)
    outputs = to_arrays(vector_server.predict(encode_request(signature, vector=vectors)))
    np.testing.assert_allclose(outputs["embedding"], vectors, rtol=1e-6)


def test_raw_vectors_and_embeddings_are_compared(vector_server):
    left, right = np.zeros((3, 3), np.float32), np.eye(3, dtype=np.float32) * [1, 2, 0.5]
    for signature in ("compare", "measure"):  # the embedding of a vector is the vector
        content = encode_request(signature, left=left, right=right.astype(np.float32))
        outputs = to_arrays(vector_server.predict(content))
        np.testing.assert_allclose(outputs["distance"], [1, 2, 0.5], rtol=1e-5)
        assert outputs["same"].tolist() == [True, False, True]
        assert outputs["threshold"].tolist() == [1, 1, 1]


@pytest.mark.parametrize("signature", ["embed", ""])
def test_images_are_embedded_as_encoded_bytes(image_server, signature):
    images = np.array([grey(0), grey(51), grey(255, (3, 3))], object)
    outputs = to_arrays(image_server.predict(encode_request(signature, image=images)))
    np.testing.assert_allclose(
        outputs["embedding"], np.repeat([[0], [0.2], [1]], 4, axis=1), atol=1e-6
    )


def test_images_are_compared(image_server):
    left, right = np.array([grey(0)] * 2, object), np.array([grey(0), grey(255)], object)
    outputs = to_arrays(image_server.predict(encode_request("compare", left=left, right=right)))
    np.testing.assert_allclose(outputs["distance"], [0, 2], atol=1e-5)
    assert outputs["same"].tolist() == [True, False]
    assert outputs["threshold"].tolist() == [0.25, 0.25]


def test_the_weights_of_all_parts_are_loaded(tmp_path):
    inputs = InputSpec(kind="vector", columns=(Column(name="v", width=6),))
    settings = {"encoder": {"name": "mlp", "units": 8, "dropout": 0.5}, "embedding_size": 4}
    keras.utils.set_random_seed(1)
    model = ModelConfig(**settings, loss="binary_cross_entropy", decoder={})
    network = build_network(model, inputs.shape)
    graph = tf.Module()
    graph.mean = tf.Variable(tf.range(6.0))  # a Transform graph may contain variables
    spec = {"v": tf.TensorSpec([None, 6], tf.float32, name="v")}
    graph.transform_fn = tf.function(lambda raw: {"x": raw["v"] - graph.mean})
    graph.transform_fn = graph.transform_fn.get_concrete_function(spec)
    tf.saved_model.save(graph, str(tmp_path / "transform_fn"))
    export_model(network, tmp_path, inputs, 0.5, tmp_path / "model")

    server = FakeTensorFlowServing(tmp_path / "model")
    raw = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    expected = network.encoder(raw - np.arange(6, dtype=np.float32))
    outputs = to_arrays(server.predict(encode_request("embed", vector=raw)))["embedding"]
    np.testing.assert_allclose(outputs, expected, atol=1e-6)
    outputs = to_arrays(server.predict(encode_request("compare", left=raw, right=raw[::-1])))[
        "distance"
    ]
    np.testing.assert_allclose(outputs, network.distance(expected, expected[::-1]), atol=1e-6)
    outputs = to_arrays(server.predict(encode_request("reconstruct", vector=raw)))["reconstruction"]
    np.testing.assert_allclose(outputs, network.decoder.reconstruct(expected), atol=1e-5)
