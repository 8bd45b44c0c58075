"""Weights out of models as they are exported."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from pushed_model import push_vectors

from diptych.components.trainer.export import export_model
from diptych.components.trainer.network import build_network
from diptych.components.trainer.warm_start import newest_version, read_weights, start_from
from diptych.schemas.config.model import Model
from diptych.schemas.errors import ConfigError, ModelError
from diptych.schemas.input_spec import Column, Inputs

INPUTS = Inputs(kind="vector", columns=(Column(name="v", width=6),))
MODEL = Model(
    encoder={"name": "mlp", "units": 8, "dropout": 0.5},
    embedding_size=4,
    loss="binary_cross_entropy",
)


def network_of(model, seed):
    keras.utils.set_random_seed(seed)
    return build_network(model, INPUTS.shape)


@pytest.fixture(scope="module")
def pushed(tmp_path_factory):
    """A folder with version 7, and the network in it."""
    folder = tmp_path_factory.mktemp("serving")
    graph = tf.Module()
    spec = {"v": tf.TensorSpec([None, 6], tf.float32, name="v")}
    graph.transform_fn = tf.function(lambda features: {"x": features["v"] / 2})
    graph.transform_fn = graph.transform_fn.get_concrete_function(spec)
    tf.saved_model.save(graph, str(folder / "graph" / "transform_fn"))
    network = network_of(MODEL, seed=1)
    export_model(network, folder / "graph", INPUTS, 0.5, folder / "serving" / "7")
    return folder / "serving", network


def test_a_network_that_starts_from_a_pushed_one_measures_as_it_does(pushed):
    folder, first = pushed
    second = network_of(MODEL, seed=2)
    x = np.random.default_rng(0).normal(size=(5, 6)).astype(np.float32)
    assert not np.allclose(first.encoder(x), second.encoder(x))
    start_from(folder, second)
    embedding = first.encoder(x)
    np.testing.assert_array_equal(second.encoder(x), embedding)
    np.testing.assert_array_equal(
        second.distance(embedding, embedding[::-1]), first.distance(embedding, embedding[::-1])
    )


def test_a_pushed_model_that_has_changed_is_no_start(tmp_path):
    version = push_vectors(tmp_path, columns=(("v", 6),))
    with (version / "variables" / "variables.index").open("ab") as file:
        file.write(b" ")
    with pytest.raises(ModelError, match=r"variables\.index has changed"):
        start_from(tmp_path, network_of(MODEL, seed=2))


def test_the_states_of_seeds_are_left_as_they_are(pushed):
    folder, _ = pushed
    network = network_of(MODEL, seed=2)
    states = [v.numpy() for v in network.variables if not v.dtype.startswith("float")]
    assert len(states) == 2
    start_from(folder, network)
    after = [v.numpy() for v in network.variables if not v.dtype.startswith("float")]
    np.testing.assert_array_equal(after, states)


def test_weights_are_read_in_the_order_of_the_network(pushed):
    folder, network = pushed
    expected = [v.numpy() for v in network.variables if v.dtype.startswith("float")]
    came = read_weights(folder / "7")
    assert len(came) == 3 * 2 + 2
    for values, wanted in zip(came, expected, strict=True):
        np.testing.assert_array_equal(values, wanted)


def test_the_newest_version_is_that_with_the_highest_number_that_is_a_model(tmp_path):
    for name in ("9", "10", "unfinished", "1e3"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "saved_model.pb").write_bytes(b"")
    (tmp_path / "11").mkdir()
    assert newest_version(tmp_path) == tmp_path / "10"
    assert newest_version(tmp_path / "9") == tmp_path / "9"


def test_a_path_without_a_model_says_so(tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere is not there.*leave train\.warm_start out"):
        newest_version(tmp_path / "nowhere")
    with pytest.raises(ConfigError, match="has no model in it"):
        newest_version(tmp_path)
    (tmp_path / "file").write_text("text")
    with pytest.raises(ConfigError, match="has no model in it"):
        newest_version(tmp_path / "file")


def test_a_model_of_others_is_not_taken(tmp_path):
    foreign = tf.Module()
    foreign.weight = tf.Variable([1.0])
    tf.saved_model.save(foreign, str(tmp_path / "1"))
    with pytest.raises(ConfigError, match=r"that Diptych has pushed.*no variables_of_encoder"):
        start_from(tmp_path, network_of(MODEL, seed=2))
    (tmp_path / "2").mkdir()
    (tmp_path / "2" / "saved_model.pb").write_bytes(b"")
    with pytest.raises(ConfigError, match="that Diptych has pushed"):
        start_from(tmp_path, network_of(MODEL, seed=2))


@pytest.mark.parametrize(
    ("changes", "says"),
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
def test_another_architecture_is_told_the_first_weight_that_differs(pushed, changes, says):
    folder, _ = pushed
    network = network_of(MODEL.model_validate(MODEL.model_dump() | changes), seed=2)
    before = network.get_weights()
    with pytest.raises(ConfigError, match=f"does not fit the network: {says}"):
        start_from(folder, network)
    for value, unchanged in zip(network.get_weights(), before, strict=True):
        np.testing.assert_array_equal(value, unchanged)


def test_a_model_without_the_weights_of_the_distance_is_told_so(pushed, tmp_path):
    _, network = pushed
    headless = tf.Module()
    headless.variables_of_encoder = network.encoder.variables
    tf.saved_model.save(headless, str(tmp_path / "1"))
    with pytest.raises(
        ConfigError, match=r"learned_l1\w*/weighing/kernel needs \(4, 1\), got none"
    ):
        start_from(tmp_path, network_of(MODEL, seed=2))
