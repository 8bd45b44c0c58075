"""Check the graph of a SavedModel before it is loaded: a model is a program.

TensorFlow runs what the graph contains, with the rights of the process. The operations for files,
networks and Python functions have no place in an encoder, and digests do not protect against them:
whoever writes the model also writes its manifest.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path

from tensorflow.core.framework import function_pb2, node_def_pb2
from tensorflow.core.protobuf import meta_graph_pb2, saved_model_pb2
from tensorflow.python.framework import op_def_registry

from diptych.schemas.errors import ModelError

# Array, mathematical, neural network, image, text and control flow operations that only compute,
# and the variables and tables of the model itself. Everything else is refused, also what a later
# version of TensorFlow adds.
_ALLOWED = frozenset(
    """
    Abs AccumulateNV2 Acos Acosh Add AddN AddV2 AdjustContrastv2 AdjustHue AdjustSaturation All
    Angle Any ApproximateEqual ArgMax ArgMin AsString Asin Asinh Assert AssignAddVariableOp
    AssignSubVariableOp AssignVariableOp Atan Atan2 Atanh AvgPool AvgPool3D BatchMatMul
    BatchMatMulV2 BatchMatMulV3 BatchToSpace BatchToSpaceND BiasAdd Bincount Bitcast BitwiseAnd
    BitwiseOr BitwiseXor BroadcastArgs BroadcastGradientArgs BroadcastTo Bucketize Case Cast Ceil
    CheckNumerics CheckNumericsV2 Cholesky ClipByValue Complex ComplexAbs Concat ConcatOffset
    ConcatV2 Conj ConjugateTranspose Const Conv Conv2D Conv2DBackpropInput Conv3D
    Conv3DBackpropInputV2 Cos Cosh CropAndResize Cross Cumprod Cumsum CumulativeLogsumexp
    DataFormatDimMap DataFormatVecPermute DecodeAndCropJpeg DecodeBase64 DecodeBmp DecodeGif
    DecodeImage DecodeJpeg DecodePng DecodeRaw DecodeWebP DenseBincount DepthToSpace
    DepthwiseConv2dNative DepthwiseConv2dNativeBackpropInput Dequantize Diag DiagPart Digamma
    Dilation2D DisableCopyOnRead Div DivNoNan DynamicPartition DynamicStitch Einsum Elu Empty
    EmptyTensorList EncodeBase64 EnsureShape Enter Equal Erf Erfc Erfinv EuclideanNorm Exit Exp
    ExpandDims Expm1 ExtractImagePatches ExtractJpegShape ExtractVolumePatches FFT FFT2D FFT3D
    FakeQuantWithMinMaxArgs FakeQuantWithMinMaxVars FakeQuantWithMinMaxVarsPerChannel Fill
    Fingerprint Floor FloorDiv FloorMod For FusedBatchNorm FusedBatchNormV2 FusedBatchNormV3 Gather
    GatherNd GatherV2 Greater GreaterEqual HSVToRGB HashTableV2 HistogramFixedWidth IFFT IFFT2D
    IFFT3D IRFFT IRFFT2D Identity IdentityN If Imag ImageProjectiveTransformV2
    ImageProjectiveTransformV3 InTopKV2 InitializeTableV2 Inv Invert InvertPermutation IsFinite
    IsInf IsNan L2Loss LRN LeakyRelu LeftShift Less LessEqual Lgamma LinSpace ListDiff Log Log1p
    LogMatrixDeterminant LogSoftmax LogicalAnd LogicalNot LogicalOr LookupTableExportV2
    LookupTableFindV2 LookupTableImportV2 LookupTableInsertV2 LookupTableSizeV2 LoopCond LowerBound
    MatMul MatrixBandPart MatrixDeterminant MatrixDiag MatrixDiagPart MatrixDiagPartV2
    MatrixDiagPartV3 MatrixDiagV2 MatrixDiagV3 MatrixInverse MatrixSetDiag MatrixSetDiagV2
    MatrixSetDiagV3 MatrixSolve MatrixTriangularSolve Max MaxPool MaxPool3D MaxPoolV2 Maximum Mean
    Merge Min Minimum MirrorPad Mod Mul MulNoNan Multinomial MutableHashTableV2 Ndtri Neg
    NextIteration NoOp NonMaxSuppressionV2 NonMaxSuppressionV3 NonMaxSuppressionV4
    NonMaxSuppressionV5 NotEqual NthElement OneHot OnesLike Pack Pad PadV2 ParallelDynamicStitch
    ParseTensor PartitionedCall Placeholder PlaceholderV2 PlaceholderWithDefault Polygamma
    PopulationCount Pow PreventGradient Prod Qr QuantizeAndDequantize QuantizeAndDequantizeV2
    QuantizeAndDequantizeV3 QuantizeAndDequantizeV4 QuantizeV2 RFFT RFFT2D RGBToHSV RaggedGather
    RaggedRange RaggedTensorToTensor RandomShuffle RandomStandardNormal RandomUniform
    RandomUniformInt Range Rank ReadVariableOp Real RealDiv Reciprocal ReciprocalGrad ReduceJoin
    RegexFullMatch RegexReplace Relu Relu6 Reshape ResizeArea ResizeBicubic ResizeBilinear
    ResizeNearestNeighbor ResourceGather ResourceGatherNd ResourceScatterAdd
    ResourceScatterNdUpdate ResourceScatterUpdate Reverse ReverseSequence ReverseV2 RightShift Rint
    RngReadAndSkip RngSkip Roll Round Rsqrt ScaleAndTranslate ScatterNd SegmentMax SegmentMaxV2
    SegmentMean SegmentMin SegmentMinV2 SegmentProd SegmentProdV2 SegmentSum SegmentSumV2 Select
    SelectV2 SelfAdjointEigV2 Selu SerializeTensor Shape ShapeN Sigmoid Sign Sin Sinh Size Slice
    Snapshot Softmax SoftmaxCrossEntropyWithLogits Softplus Softsign SpaceToBatch SpaceToBatchND
    SpaceToDepth SparseConcat SparseFillEmptyRows SparseReorder SparseReshape SparseSegmentMean
    SparseSegmentSqrtN SparseSegmentSum SparseSlice SparseSoftmaxCrossEntropyWithLogits
    SparseTensorDenseMatMul SparseToDense Split SplitV Sqrt Square SquaredDifference Squeeze
    StatefulPartitionedCall StatelessCase StatelessIf StatelessMultinomial StatelessRandomGetAlg
    StatelessRandomGetKeyCounter StatelessRandomGetKeyCounterAlg StatelessRandomNormal
    StatelessRandomNormalV2 StatelessRandomUniform StatelessRandomUniformFullInt
    StatelessRandomUniformFullIntV2 StatelessRandomUniformInt StatelessRandomUniformIntV2
    StatelessRandomUniformV2 StatelessShuffle StatelessTruncatedNormal StatelessTruncatedNormalV2
    StatelessWhile StaticRegexFullMatch StaticRegexReplace StopGradient StridedSlice StringFormat
    StringJoin StringLength StringLower StringSplitV2 StringStrip StringToHashBucket
    StringToHashBucketFast StringToHashBucketStrong StringToNumber StringUpper Sub Substr Sum Svd
    Switch Tan Tanh TensorListConcatV2 TensorListElementShape TensorListFromTensor TensorListGather
    TensorListGetItem TensorListLength TensorListPopBack TensorListPushBack TensorListReserve
    TensorListResize TensorListScatterV2 TensorListSetItem TensorListSplit TensorListStack
    TensorScatterAdd TensorScatterMax TensorScatterMin TensorScatterSub TensorScatterUpdate
    TensorStridedSliceUpdate Tile TopK TopKV2 Transpose TruncateDiv TruncateMod TruncatedNormal
    UnicodeDecode UnicodeDecodeWithOffsets UnicodeEncode UnicodeTranscode Unique UniqueV2
    UniqueWithCounts UniqueWithCountsV2 Unpack UnravelIndex UnsortedSegmentMax UnsortedSegmentMin
    UnsortedSegmentProd UnsortedSegmentSum UpperBound VarHandleOp VarIsInitializedOp VariableShape
    Where While Xdivy Xlog1py Xlogy ZerosLike
    """.split()  # noqa: SIM905 (a list would have one line per name)
)
# TensorFlow Serving loads and stores the weights with two functions of the graph, which no
# signature calls. TensorFlow in Python does not call them either.
_CHECKPOINT_OPS = frozenset(("MergeV2Checkpoints", "RestoreV2", "SaveV2", "ShardedFilename"))
# Transform adds the vocabulary of the labels to the graph, a file that is an asset of the model.
_READ_VOCABULARY = "InitializeTableFromTextFileV2"
_MAX_NAMED = 5


def check_graph(path: Path) -> None:
    """Check that a SavedModel only computes.

    Args:
      path: Folder of the model.

    Raises:
      ModelError: If the graph is damaged, or contains an operation that is not allowed.
    """
    model = saved_model_pb2.SavedModel()
    try:
        model.ParseFromString((path / "saved_model.pb").read_bytes())
    except Exception as error:  # of protobuf; or the file has gone
        raise ModelError(f"The graph of the model in {path} is damaged: {error}.") from error
    readers = (
        _find_vocabulary_readers(model.meta_graphs[0]) if len(model.meta_graphs) == 1 else set()
    )
    refused = {op for graph in model.meta_graphs for op in _find_refused(graph, readers)}
    if refused:
        more = f" and {len(refused) - _MAX_NAMED} more" if len(refused) > _MAX_NAMED else ""
        raise ModelError(
            f"The model in {path} contains operations that are not allowed: "
            f"{', '.join(sorted(refused)[:_MAX_NAMED])}{more}. A model may only compute, and not "
            "use files, the network or Python. Do not use it unless you know where it comes from."
        )


def _find_refused(meta_graph: meta_graph_pb2.MetaGraphDef, readers: set[str]) -> set[str]:
    graph = meta_graph.graph_def
    functions = {
        function.signature.name
        for function in graph.library.function
        if op_def_registry.get(function.signature.name) is None  # does not hide an operation
    }
    savers = _find_saver_functions(meta_graph)
    refused = set(_list_ops(graph.node)) - functions - _ALLOWED
    for function in graph.library.function:
        allowed = _ALLOWED
        if function.signature.name in savers:
            allowed |= _CHECKPOINT_OPS
        if function.signature.name in readers:
            allowed |= {_READ_VOCABULARY}
        refused |= set(_list_ops(function.node_def)) - functions - allowed
    return refused


def _find_vocabulary_readers(meta_graph: meta_graph_pb2.MetaGraphDef) -> set[str]:
    """Names of the functions that read vocabularies only from files in the assets of the model.

    The path is an argument that the loader binds to an asset, directly or through callers. Nodes
    outside of functions are not considered: the loader of Python does not run them in a model
    with one meta graph and an object graph.
    """
    files = [asset.filename for asset in meta_graph.asset_file_def]
    if any(name in ("", ".", "..") or "/" in name or "\0" in name for name in files):
        return set()
    functions = meta_graph.graph_def.library.function
    return {
        function.signature.name
        for function in functions
        if all(
            _is_asset(meta_graph, function, node.input[1], ())
            for node in function.node_def
            if node.op == _READ_VOCABULARY
        )
    }


def _is_asset(
    meta_graph: meta_graph_pb2.MetaGraphDef,
    function: function_pb2.FunctionDef,
    value: str,
    path: tuple[str, ...],
) -> bool:
    """Return whether a value is an argument that every caller of a function binds to an asset."""
    name = function.signature.name
    arguments = [argument.name for argument in function.signature.input_arg]
    if value not in arguments or name in path:
        return False
    place = arguments.index(value)
    bindings = []
    objects = meta_graph.object_graph_def
    if name in objects.concrete_functions:
        captures = objects.concrete_functions[name].bound_inputs  # the last arguments
        first = len(arguments) - len(captures)
        bindings.append(place >= first and objects.nodes[captures[place - first]].HasField("asset"))
    for caller in meta_graph.graph_def.library.function:
        for node in caller.node_def:
            if name in _list_called(node):
                bindings.append(_is_asset(meta_graph, caller, node.input[place], (*path, name)))
    return bool(bindings) and all(bindings)


def _find_saver_functions(meta_graph: meta_graph_pb2.MetaGraphDef) -> set[str]:
    """Names of the functions that only the saver of the model calls."""
    graph, saver = meta_graph.graph_def, meta_graph.saver_def
    saver_nodes = {saver.save_tensor_name.partition(":")[0], saver.restore_op_name} - {""}
    others = [node for node in graph.node if node.name not in saver_nodes]
    used_names = {_node_name(name) for node in others for name in node.input}
    for signature in meta_graph.signature_def.values():
        used_names |= {_node_name(tensor.name) for tensor in signature.outputs.values()}
    called_by_savers = {
        name
        for node in graph.node
        if node.name in saver_nodes - used_names
        for name in _list_called(node)
    }
    called_elsewhere = {name for node in others for name in _list_called(node)}
    for function in graph.library.function:
        called_elsewhere |= {name for node in function.node_def for name in _list_called(node)}
    called_elsewhere |= set(meta_graph.object_graph_def.concrete_functions)
    return called_by_savers - called_elsewhere


def _list_ops(nodes: Iterable[node_def_pb2.NodeDef]) -> Iterator[str]:
    return (node.op for node in nodes)


def _list_called(node: node_def_pb2.NodeDef) -> Iterator[str]:
    """Yield the names of the functions that a node may call."""
    yield node.op
    for value in node.attr.values():
        if value.HasField("func"):
            yield value.func.name
        yield from (function.name for function in value.list.func)


def _node_name(name: str) -> str:
    return name.removeprefix("^").partition(":")[0]
