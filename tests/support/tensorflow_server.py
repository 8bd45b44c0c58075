"""A fake of TensorFlow Serving: same requests and responses, same use of a SavedModel."""

import tensorflow as tf
from tensorflow.core.protobuf import saved_model_pb2
from tensorflow_serving.apis import predict_pb2


class FakeTensorFlowServing:
    """Answers a PredictRequest like TensorFlow Serving.

    It selects the signature (``serving_default`` by default), checks the names, dtypes and shapes
    of the inputs, and runs the session with the names of the tensors.
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
            info = signature.inputs[name]
            assert tensor.dtype == info.dtype
            assert tf.TensorShape(info.tensor_shape).is_compatible_with(tensor.tensor_shape)
            feed[info.name] = tf.make_ndarray(tensor)
        outputs = {name: info.name for name, info in signature.outputs.items()}
        response = predict_pb2.PredictResponse()
        for name, value in self.session.run(outputs, feed).items():
            response.outputs[name].CopyFrom(tf.make_tensor_proto(value))
        return predict_pb2.PredictResponse.FromString(response.SerializeToString())


def encode_request(signature, **inputs):
    request = predict_pb2.PredictRequest()
    request.model_spec.name = "birds"
    request.model_spec.signature_name = signature
    for name, value in inputs.items():
        request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
    return request.SerializeToString()


def to_arrays(response):
    return {name: tf.make_ndarray(tensor) for name, tensor in response.outputs.items()}
