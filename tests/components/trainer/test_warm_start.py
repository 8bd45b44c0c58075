"""Warm start from exported models."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from pushed_model import push_vectors

from diptych.components.trainer.export import export_model
from diptych.components.trainer.network import build_network
from diptych.components.trainer.warm_start import (
    find_warm_start_model,
    load_warm_start_weights,
    read_pushed_weights,
)
from diptych.schemas.config.model import ModelConfig
from diptych.schemas.errors import ConfigError, ModelError
from diptych.schemas.input_spec import Column, InputSpec

INPUTS = InputSpec(kind="vector", columns=(Column(name="v", width=6),))
MODEL = ModelConfig(
    encoder={"name": "mlp", "units": 8, "dropout": 0.5},
    embedding_size=4,
    loss="binary_cross_entropy",
)


def make_network(model, seed):
    keras.utils.set_random_seed(seed)
    return build_network(model, INPUTS.shape)


@pytest.fixture(scope="module")
def pushed(tmp_path_factory):
    """A folder with version 7, and its network."""
    folder = tmp_path_factory.mktemp("serving")
    graph = tf.Module()
    spec = {"v": tf.TensorSpec([None, 6], tf.float32, name="v")}
    graph.transform_fn = tf.function(lambda features: {"x": features["v"] / 2})
    graph.transform_fn = graph.transform_fn.get_concrete_function(spec)
    tf.saved_model.save(graph, str(folder / "graph" / "transform_fn"))
    network = make_network(MODEL, seed=1)
    export_model(network, folder / "graph", INPUTS, 0.5, folder / "serving" / "7")
    return folder / "serving", network


def test_a_warm_started_network_computes_the_same_distances(pushed):
    folder, first = pushed
    second = make_network(MODEL, seed=2)
    x = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    assert not np.allclose(first.encoder(x), second.encoder(x))
    load_warm_start_weights(folder, second)
    embedding = first.encoder(x)
    np.testing.assert_array_equal(second.encoder(x), embedding)
    np.testing.assert_array_equal(
        second.distance(embedding, embedding[::-1]), first.distance(embedding, embedding[::-1])
    )


def test_a_modified_pushed_model_is_rejected(tmp_path):
    version = push_vectors(tmp_path, columns=(("v", 6),))
    with (version / "variables" / "variables.index").open("ab") as file:
        file.write(b" ")
    with pytest.raises(ModelError, match=r"variables\.index has changed"):
        load_warm_start_weights(tmp_path, make_network(MODEL, seed=2))


def test_seed_generator_states_are_not_changed(pushed):
    folder, _ = pushed
    network = make_network(MODEL, seed=2)
    states = [v.numpy() for v in network.variables if not v.dtype.startswith("float")]
    assert len(states) == 2
    load_warm_start_weights(folder, network)
    after = [v.numpy() for v in network.variables if not v.dtype.startswith("float")]
    np.testing.assert_array_equal(after, states)


def test_weights_are_read_in_the_order_of_the_network(pushed):
    folder, network = pushed
    expected = [v.numpy() for v in network.variables if v.dtype.startswith("float")]
    weights = read_pushed_weights(folder / "7")
    assert len(weights) == 3 * 2 + 2
    for values, expected_values in zip(weights, expected, strict=True):
        np.testing.assert_array_equal(values, expected_values)


def test_the_newest_version_is_the_model_with_the_highest_number(tmp_path):
    for name in ("9", "10", "checkpoints", "1e3"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").write_bytes(b"")
    (tmp_path / "11").mkdir()
    assert find_warm_start_model(tmp_path) == tmp_path / "10"
    assert find_warm_start_model(tmp_path / "9") == tmp_path / "9"


def test_a_path_without_a_model_raises_an_error(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere does not exist.*remove train\.warm_start"):
        find_warm_start_model(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="contains no model"):
        find_warm_start_model(tmp_path)
    (tmp_path / "file").write_text("text")
    with pytest.raises(ConfigError, match="contains no model"):
        find_warm_start_model(tmp_path / "file")


def test_a_model_that_diptych_did_not_push_is_rejected(tmp_path):
    foreign = tf.Module()
    foreign.weight = tf.Variable([1.0])
    tf.saved_model.save(foreign, str(tmp_path / "1"))
    with pytest.raises(ConfigError, match=r"that Diptych has pushed.*no variables_of_encoder"):
        load_warm_start_weights(tmp_path, make_network(MODEL, seed=2))
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "saved_model.pb").write_bytes(b"")
    with pytest.raises(ConfigError, match="that Diptych has pushed"):
        load_warm_start_weights(tmp_path, make_network(MODEL, seed=2))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"encoder": {"name": "mlp", "units": 9}}, r"dense\w*/kernel needs \(6, 9\), got \(6, 8\)"),
        ({"embedding_size": 5}, r"embedding/kernel needs \(8, 5\), got \(8, 4\)"),
        (
            {"encoder": {"name": "mlp", "units": 8, "depth": 1}},
            r"embedding/kernel needs \(8, 4\), got \(8, 8\)",
        ),
        ({"loss": "contrastive"}, "it needs 6 weights, got 8"),
    ],
)
def test_another_architecture_raises_an_error_with_the_first_mismatch(pushed, changes, message):
    folder, _ = pushed
    network = make_network(MODEL.model_validate(MODEL.model_dump() | changes), seed=2)
    before = network.get_weights()
    with pytest.raises(ConfigError, match=f"does not fit the network: {message}"):
        load_warm_start_weights(folder, network)
    for value, previous in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, previous)


def test_a_model_without_distance_weights_raises_an_error(pushed, tmp_path):
    _, network = pushed
    encoder_only = tf.Module()
    encoder_only.variables_of_encoder = network.encoder.variables
    tf.saved_model.save(encoder_only, str(tmp_path / "1"))
    with pytest.raises(
        ConfigError, match=r"learned_l1\w*/l1_weights/kernel needs \(4, 1\), got none"
    ):
        load_warm_start_weights(tmp_path, make_network(MODEL, seed=2))
