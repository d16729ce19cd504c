package strategy

import "slices"

// A rule's layer_type is one of these, or a class of another package.

// torchClassNames are torch.nn's modules that can be layers, and what
// vai_q_pytorch's listings call functions, in alphabetical order.
var torchClassNames = []string{
	"AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveAvgPool3d", "AdaptiveMaxPool1d", "AdaptiveMaxPool2d", "AdaptiveMaxPool3d", "AlphaDropout",
	"AvgPool1d", "AvgPool2d", "AvgPool3d", "BatchNorm1d", "BatchNorm2d", "BatchNorm3d", "Bilinear", "CELU", "ChannelShuffle", "CircularPad1d",
	"CircularPad2d", "CircularPad3d", "ConstantPad1d", "ConstantPad2d", "ConstantPad3d", "Conv1d", "Conv2d", "Conv3d", "ConvTranspose1d",
	"ConvTranspose2d", "ConvTranspose3d", "CosineSimilarity", "CrossMapLRN2d", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "ELU", "Embedding",
	"EmbeddingBag", "FeatureAlphaDropout", "Flatten", "Fold", "FractionalMaxPool2d", "FractionalMaxPool3d", "GELU", "GLU", "GRU", "GRUCell", "GroupNorm",
	"Hardshrink", "Hardsigmoid", "Hardswish", "Hardtanh", "Identity", "InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d", "LPPool1d", "LPPool2d",
	"LPPool3d", "LSTM", "LSTMCell", "LayerNorm", "LeakyReLU", "Linear", "LocalResponseNorm", "LogSigmoid", "LogSoftmax", "MaxPool1d", "MaxPool2d",
	"MaxPool3d", "MaxUnpool1d", "MaxUnpool2d", "MaxUnpool3d", "Mish", "MultiheadAttention", "NonDynamicallyQuantizableLinear", "PReLU",
	"PairwiseDistance", "PixelShuffle", "PixelUnshuffle", "RMSNorm", "RNN", "RNNCell", "RReLU", "ReLU", "ReLU6", "ReflectionPad1d", "ReflectionPad2d",
	"ReflectionPad3d", "ReplicationPad1d", "ReplicationPad2d", "ReplicationPad3d", "SELU", "Sequential", "SiLU", "Sigmoid", "Softmax", "Softmax2d",
	"Softmin", "Softplus", "Softshrink", "Softsign", "SyncBatchNorm", "Tanh", "Tanhshrink", "Threshold", "Transformer", "TransformerDecoder",
	"TransformerDecoderLayer", "TransformerEncoder", "TransformerEncoderLayer", "Unflatten", "Unfold", "Upsample", "UpsamplingBilinear2d",
	"UpsamplingNearest2d", "ZeroPad1d", "ZeroPad2d", "ZeroPad3d",
	"Cat", "Interpolate",
}

// onnxOpNames are the operators of the standard ONNX domain, in alphabetical
// order.
var onnxOpNames = []string{
	"Abs", "Acos", "Acosh", "Add", "AffineGrid", "And", "ArgMax", "ArgMin", "Asin", "Asinh", "Atan", "Atanh", "Attention", "AveragePool",
	"BatchNormalization", "Bernoulli", "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor", "BlackmanWindow", "Cast", "CastLike", "Ceil",
	"Celu", "CenterCropPad", "Clip", "Col2Im", "Compress", "Concat", "ConcatFromSequence", "Constant", "ConstantOfShape", "Conv", "ConvInteger",
	"ConvTranspose", "Cos", "Cosh", "CumSum", "DFT", "DeformConv", "DepthToSpace", "DequantizeLinear", "Det", "Div", "Dropout", "DynamicQuantizeLinear",
	"Einsum", "Elu", "Equal", "Erf", "Exp", "Expand", "EyeLike", "Flatten", "Floor", "GRU", "Gather", "GatherElements", "GatherND", "Gelu", "Gemm",
	"GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool", "Greater", "GreaterOrEqual", "GridSample", "GroupNormalization", "HammingWindow", "HannWindow",
	"HardSigmoid", "HardSwish", "Hardmax", "Identity", "If", "ImageDecoder", "InstanceNormalization", "IsInf", "IsNaN", "LRN", "LSTM",
	"LayerNormalization", "LeakyRelu", "Less", "LessOrEqual", "Log", "LogSoftmax", "Loop", "LpNormalization", "LpPool", "MatMul", "MatMulInteger", "Max",
	"MaxPool", "MaxRoiPool", "MaxUnpool", "Mean", "MeanVarianceNormalization", "MelWeightMatrix", "Min", "Mish", "Mod", "Mul", "Multinomial", "Neg",
	"NegativeLogLikelihoodLoss", "NonMaxSuppression", "NonZero", "Not", "OneHot", "Optional", "OptionalGetElement", "OptionalHasElement", "Or", "PRelu",
	"Pad", "Pow", "QLinearConv", "QLinearMatMul", "QuantizeLinear", "RMSNormalization", "RNN", "RandomNormal", "RandomNormalLike", "RandomUniform",
	"RandomUniformLike", "Range", "Reciprocal", "ReduceL1", "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceMax", "ReduceMean", "ReduceMin",
	"ReduceProd", "ReduceSum", "ReduceSumSquare", "RegexFullMatch", "Relu", "Reshape", "Resize", "ReverseSequence", "RoiAlign", "RotaryEmbedding",
	"Round", "STFT", "Scan", "Scatter", "ScatterElements", "ScatterND", "Selu", "SequenceAt", "SequenceConstruct", "SequenceEmpty", "SequenceErase",
	"SequenceInsert", "SequenceLength", "SequenceMap", "Shape", "Shrink", "Sigmoid", "Sign", "Sin", "Sinh", "Size", "Slice", "Softmax",
	"SoftmaxCrossEntropyLoss", "Softplus", "Softsign", "SpaceToDepth", "Split", "SplitToSequence", "Sqrt", "Squeeze", "StringConcat", "StringNormalizer",
	"StringSplit", "Sub", "Sum", "Swish", "Tan", "Tanh", "TensorScatter", "TfIdfVectorizer", "ThresholdedRelu", "Tile", "TopK", "Transpose", "Trilu",
	"Unique", "Unsqueeze", "Upsample", "Where", "Xor",
}

// torchFunctionNames are the functions of torch and torch.nn.functional that may
// be layers, as vai_q_pytorch takes them, in alphabetical order.
var torchFunctionNames = []string{
	"adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d",
	"add", "addmm", "amax", "amin", "argmax", "argmin", "avg_pool1d", "avg_pool2d", "avg_pool3d", "batch_norm", "bmm", "cat", "celu", "chunk",
	"clamp", "concat", "div", "dropout", "einsum",
	"elu", "embedding", "exp", "expand", "flatten", "floor", "gelu", "group_norm", "hardsigmoid", "hardswish", "hardtanh", "instance_norm",
	"interpolate", "layer_norm", "leaky_relu", "linear", "log", "log_softmax", "matmul", "max", "max_pool1d", "max_pool2d", "max_pool3d",
	"maximum", "mean", "min", "minimum", "mish", "mm", "mul", "multiply", "neg", "pad", "permute", "pixel_shuffle", "pixel_unshuffle", "pow",
	"prelu", "relu", "relu6", "repeat", "reshape", "rms_norm", "scaled_dot_product_attention", "select", "selu", "sigmoid", "silu", "softmax",
	"softplus", "softsign", "split", "sqrt", "squeeze", "stack", "strided_slice", "sub", "sum", "tanh", "transpose", "true_divide",
	"unsqueeze", "upsample", "view",
}

func knownFunction(name string) bool { return slices.Contains(torchFunctionNames, name) }

func knownClass(name string) bool { return slices.Contains(torchClassNames, name) }

func knownOp(name string) bool { return slices.Contains(onnxOpNames, name) }

// classesOf maps ONNX operators to the torch classes that become nothing else.
func classesOf(op string) []string {
	switch op {
	case "Conv", "ConvTranspose", "MaxPool":
		return []string{op + "1d", op + "2d", op + "3d"}
	case "AveragePool":
		return []string{"AvgPool1d", "AvgPool2d", "AvgPool3d"}
	case "BatchNormalization":
		return []string{"BatchNorm1d", "BatchNorm2d", "BatchNorm3d"}
	case "InstanceNormalization":
		return []string{"InstanceNorm1d", "InstanceNorm2d", "InstanceNorm3d"}
	case "Clip":
		return []string{"ReLU6", "Hardtanh"}
	}
	return nil
}

// canonicalType writes a layer type without its package, and a torch class that
// is the same as an ONNX operator as that operator.
func canonicalType(t string) string {
	switch t = BareType(t); t {
	case "ReLU", "relu":
		return "Relu"
	case "LeakyReLU", "leaky_relu":
		return "LeakyRelu"
	case "PReLU", "prelu":
		return "PRelu"
	case "Cat", "cat", "concat":
		return "Concat"
	case "add":
		return "Add"
	case "mul", "multiply":
		return "Mul"
	case "softmax":
		return "Softmax"
	case "linear":
		return "Linear"
	}
	return t
}
