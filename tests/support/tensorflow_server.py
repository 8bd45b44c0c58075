"""A stand-in for TensorFlow Serving: its requests, its answers, and its way with a SavedModel."""

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import predict_pb2


class Server:
    """Answers a PredictRequest in the way of TensorFlow Serving.

    That is: the signature is looked up (``serving_default`` if none is named), the inputs must be
    its own, each tensor must have its dtype and fit its shape, and the session is run with the
    names of the tensors.
    """

    def __init__(self, folder):
        saved = saved_model_pb2.SavedModel.FromString((folder / "saved_model.pb").read_bytes())
        (self.graph_def,) = saved.meta_graphs
        self.signatures = self.graph_def.signature_def
        self.session = tf.compat.v1.Session(graph=tf.Graph())
        with self.session.graph.as_default():
            tf.compat.v1.saved_model.load(self.session, ["serve"], str(folder))

    def predict(self, content):
        request = predict_pb2.PredictRequest.FromString(content)
        signature = self.signatures[request.model_spec.signature_name or "serving_default"]
        assert signature.method_name == "tensorflow/serving/predict"
        assert set(request.inputs) == set(signature.inputs)
        feed = {}
        for name, tensor in request.inputs.items():
            known = signature.inputs[name]
            assert tensor.dtype == known.dtype
            assert tf.TensorShape(known.tensor_shape).is_compatible_with(tensor.tensor_shape)
            feed[known.name] = tf.make_ndarray(tensor)
        wanted = {name: info.name for name, info in signature.outputs.items()}
        response = predict_pb2.PredictResponse()
        for name, value in self.session.run(wanted, feed).items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return predict_pb2.PredictResponse.FromString(response.SerializeToString())


def request(signature, **inputs):
    made = predict_pb2.PredictRequest()
    made.model_spec.name = "birds"
    made.model_spec.signature_name = signature
    for name, value in inputs.items():
        made.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return made.SerializeToString()


def answers(response):
    return {name: tf.make_ndarray(tensor) for name, tensor in response.outputs.items()}
