import shutil

import keras
import pytest
import tensorflow as tf
from pushed_model import push_images, push_vectors
from tensorflow.core.protobuf import saved_model_pb2

from diptych.components.common.graph_ops import check_graph
from diptych.components.trainer.distances import make_distance
from diptych.components.trainer.encoders import build_encoder
from diptych.inference.pushed_model import PushedModel
from diptych.schemas.config.model import ModelConfig
from diptych.schemas.errors import ModelError
from diptych.schemas.manifest import ModelManifest, compute_digests
from diptych.schemas.shards import InputShape

VECTOR = tf.TensorSpec([None, 2], tf.float32)


def read_file(x):
    with tf.control_dependencies([tf.io.read_file("/etc/passwd")]):
        return tf.identity(x)


def write_file(x):
    with tf.control_dependencies([tf.io.write_file("forged", "content")]):
        return tf.identity(x)


def call_python(x):
    return tf.ensure_shape(tf.py_function(lambda value: value, [x], tf.float32), [None, 2])


def call_numpy(x):
    return tf.numpy_function(lambda value: value, [x], tf.float32)


def read_in_a_branch(x):
    return tf.cond(tf.reduce_sum(x) > 1e9, lambda: read_file(x), lambda: x)


def read_in_a_nested_function(x):
    inner = tf.function(read_file, autograph=False)
    return tf.map_fn(inner, x)


def print_to_a_file(x):
    with tf.control_dependencies([tf.raw_ops.PrintV2(input="x", output_stream="file://forged")]):
        return tf.identity(x)


def write_a_checkpoint(x):
    saved = tf.raw_ops.SaveV2(
        prefix="forged", tensor_names=["x"], shape_and_slices=[""], tensors=[x]
    )
    with tf.control_dependencies([saved] if saved is not None else []):
        return tf.identity(x)


def read_a_data_set(x):
    lines = tf.data.TextLineDataset("/etc/passwd")
    return x + tf.cast(lines.reduce(0, lambda total, line: total + 1), tf.float32)


FORBIDDEN = {
    read_file: "ReadFile",
    write_file: "WriteFile",
    call_python: "EagerPyFunc",
    call_numpy: "PyFunc",
    read_in_a_branch: "ReadFile",
    read_in_a_nested_function: "ReadFile",
    print_to_a_file: "PrintV2",
    write_a_checkpoint: "SaveV2",
    read_a_data_set: "TextLineDataset",
}


@pytest.mark.parametrize("function", FORBIDDEN, ids=lambda function: function.__name__)
def test_a_graph_that_does_more_than_compute_is_refused_by_name(tmp_path, function):
    module = tf.Module()
    module.weight = tf.Variable([1.0, 2.0])

    @tf.function(input_signature=[VECTOR])
    def embed(x):
        return {"embedding": function(x) * module.weight}

    tf.saved_model.save(module, str(tmp_path), signatures={"embed": embed})
    with pytest.raises(ModelError, match=rf"not allowed: ([A-Za-z0-9]+, )*{FORBIDDEN[function]}\b"):
        check_graph(tmp_path)


def test_a_signature_cannot_call_the_functions_that_write_checkpoints(tmp_path):
    path = push_vectors(tmp_path)
    check_graph(path)
    model = saved_model_pb2.SavedModel()
    model.ParseFromString((path / "saved_model.pb").read_bytes())
    (graph,) = model.meta_graphs
    name = graph.saver_def.save_tensor_name.partition(":")[0]
    (node,) = [node for node in graph.graph_def.node if node.name == name]
    caller = graph.graph_def.library.function[0].node_def.add(name="call", op=node.op)
    caller.attr["f"].func.name = node.attr["f"].func.name
    (path / "saved_model.pb").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="MergeV2Checkpoints, SaveV2, ShardedFilename"):
        check_graph(path)


def test_a_function_with_the_name_of_a_forbidden_operation_does_not_hide_it(tmp_path):
    path = push_vectors(tmp_path)
    model = saved_model_pb2.SavedModel()
    model.ParseFromString((path / "saved_model.pb").read_bytes())
    library = model.meta_graphs[0].graph_def.library
    library.function.add().signature.name = "ReadFile"
    library.function[0].node_def.add(name="call", op="ReadFile")
    (path / "saved_model.pb").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="ReadFile"):
        check_graph(path)


def test_a_forged_model_with_a_valid_manifest_is_refused_before_it_is_loaded(tmp_path):
    path = push_vectors(tmp_path / "models")
    forged = tf.Module()
    forged.embed = tf.function(write_file, input_signature=[VECTOR])
    tf.saved_model.save(forged, str(tmp_path / "forged"))
    shutil.copyfile(tmp_path / "forged" / "saved_model.pb", path / "saved_model.pb")
    manifest = ModelManifest.read(path)
    manifest.model_copy(update={"files": compute_digests(path)}).write(path)
    model = PushedModel(path)
    with pytest.raises(ModelError, match="operations that are not allowed: WriteFile"):
        model.embed(tf.zeros((1, 2)).numpy())


def test_a_damaged_graph_is_an_error(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"no graph")
    with pytest.raises(ModelError, match="is damaged"):
        check_graph(tmp_path)


def test_all_encoders_and_distances_of_diptych_are_allowed(tmp_path):
    check_graph(push_images(tmp_path / "images", channels=3))
    vectors, images = ((6,), "vector"), ((32, 32, 3), "image")
    module = tf.Module()
    module.parts, functions = [], {}
    for name, (shape, kind) in {
        "mlp": vectors,
        "cnn_small": images,
        "cnn": images,
        "MobileNet": images,
    }.items():
        config = ModelConfig(encoder=name, embedding_size=5)
        encoder = build_encoder(config, InputShape(kind=kind, shape=shape), "float32")
        module.parts.append(encoder)
        spec = tf.TensorSpec([None, *shape], tf.uint8 if kind == "image" else tf.float32)
        functions[name] = tf.function(encoder).get_concrete_function(spec)
    for name in ("euclidean", "squared_euclidean", "manhattan", "cosine", "learned_l1"):
        distance = make_distance(name)
        distance.build((None, 5), (None, 5))
        module.parts.append(distance)
        spec = tf.TensorSpec([None, 5], tf.float32)
        functions[name] = tf.function(distance).get_concrete_function(spec, spec)
    keras.backend.clear_session()
    tf.saved_model.save(module, str(tmp_path / "parts"), signatures=functions)
    check_graph(tmp_path / "parts")


def save_with_vocabulary(folder):
    """Save a model as the exporter does: it loads and saves the graph of Transform."""
    (folder / "classes").write_text("a\nb\n")
    table = tf.lookup.StaticVocabularyTable(
        tf.lookup.TextFileInitializer(
            *(str(folder / "classes"), tf.string, tf.lookup.TextFileIndex.WHOLE_LINE),
            *(tf.int64, tf.lookup.TextFileIndex.LINE_NUMBER),
        ),
        num_oov_buckets=1,
    )
    inner, outer = tf.Module(), tf.Module()
    inner.table = table
    label = tf.TensorSpec([None], tf.string)
    inner.find = tf.function(table.lookup, input_signature=[label])
    tf.saved_model.save(inner, str(folder / "inner"))
    outer.inner = tf.saved_model.load(str(folder / "inner"))
    outer.find = tf.function(lambda x: outer.inner.find(x) + 1, input_signature=[label])
    tf.saved_model.save(outer, str(folder / "outer"))
    return folder / "outer"


def test_the_vocabulary_in_the_assets_is_allowed(tmp_path):
    check_graph(save_with_vocabulary(tmp_path))


@pytest.mark.parametrize("way", ["asset", "argument", "caller", "meta graph"])
def test_a_vocabulary_of_another_file_is_refused(tmp_path, way):
    path = save_with_vocabulary(tmp_path)
    model = saved_model_pb2.SavedModel()
    model.ParseFromString((path / "saved_model.pb").read_bytes())
    (graph,) = model.meta_graphs
    (reader,) = [
        function
        for function in graph.graph_def.library.function
        if any(node.op == "InitializeTableFromTextFileV2" for node in function.node_def)
    ]
    (node,) = [node for node in reader.node_def if node.op == "InitializeTableFromTextFileV2"]
    if way == "asset":
        graph.asset_file_def[0].filename = "../../secret"
    elif way == "argument":
        node.input[1] = "constant:output:0"
    elif way == "caller":
        caller = graph.graph_def.library.function.add()
        caller.signature.name = "forged"
        call = caller.node_def.add(name="call", op="StatefulPartitionedCall")
        call.attr["f"].func.name = reader.signature.name
        call.input.extend(["constant:output:0", "constant:output:0"])
    else:
        model.meta_graphs.add()
    (path / "saved_model.pb").write_bytes(model.SerializeToString())
    with pytest.raises(ModelError, match="not allowed: InitializeTableFromTextFileV2"):
        check_graph(path)
