package broken

import (
	"narrow/graph"
	"narrow/graph/graphtext"
)

// Base is a network that is right, to be spoiled.
type Base struct {
	Name string
	Net  *graph.Model
	// External keeps the weights in a file beside the model, which is spoiled
	// in the model's place.
	External bool
}

// Bases are small networks of every kind that narrow reads: names as torch's
// two exporters write them, shapes that are computed, inner graphs, weights in
// another file. All have one input x of 3 x 8 x 8.
func Bases() []Base {
	return []Base{
		{Name: "dynamo", Net: graphtext.MustParse(dynamo)},
		{Name: "torchscript", Net: graphtext.MustParse(torchscript)},
		{Name: "shapes", Net: graphtext.MustParse(shapes)},
		{Name: "control", Net: graphtext.MustParse(control)},
		{Name: "external", Net: graphtext.MustParse(dynamo), External: true},
	}
}

const dynamo = `net (float[N, 3, 8, 8] x) => (float[N, 10] linear)
<float[4, 3, 3, 3] conv1.weight = {0.1, -0.2, ...}, float[4] conv1.bias = {0, 0.5, ...},
 float[4] bn.weight = {1, ...}, float[4] bn.bias = {0, ...}, float[4] bn.mean = {0.1, ...}, float[4] bn.var = {1, ...},
 float[4, 4, 3, 3] layer1.weight = {0.1, -0.1, 0.3, ...}, float[4] layer1.bias = {0, ...},
 float[10, 4] fc.weight = {0.1, 0.2, ...}, float[10] fc.bias = {0, ...}, int64[2] val_12 = {-1, 4}>
{
  [node_conv2d] conv2d = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, conv1.weight, conv1.bias) {"pkg.torch.onnx.name_scopes": "['', 'conv1', 'conv2d']"}
  [node_bn] bn = BatchNormalization <epsilon = 1e-05> (conv2d, bn.weight, bn.bias, bn.mean, bn.var) {"pkg.torch.onnx.name_scopes": "['', 'bn', 'bn']"}
  [node_relu] relu = Relu (bn) {"pkg.torch.onnx.name_scopes": "['', 'relu', 'relu']"}
  [node_conv2d_1] conv2d_1 = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (relu, layer1.weight, layer1.bias) {"pkg.torch.onnx.name_scopes": "['', 'layer1', 'conv2d_1']"}
  [node_add] add = Add (conv2d_1, relu) {"pkg.torch.onnx.name_scopes": "['', 'add']"}
  [node_mean] mean = ReduceMean <axes = [-1, -2], keepdims = 1> (add) {"pkg.torch.onnx.name_scopes": "['', 'avgpool', 'mean']"}
  [node_flatten] flatten = Reshape (mean, val_12) {"pkg.torch.onnx.name_scopes": "['', 'flatten']"}
  [node_linear] linear = Gemm <transB = 1> (flatten, fc.weight, fc.bias) {"pkg.torch.onnx.name_scopes": "['', 'fc', 'linear']"}
}`

const torchscript = `main_graph (float[N, 3, 8, 8] x) => (float[N, 10] output)
<float[4, 3, 3, 3] "onnx::Conv_21" = {0.1, -0.2, ...}, float[4] "onnx::Conv_22" = {0, 0.5, ...},
 float[4, 1, 3, 3] "onnx::Conv_24" = {0.1, 0.3, -0.2, ...}, float[4] "onnx::Conv_25" = {0, ...},
 float[10, 4] fc.weight = {0.1, 0.2, ...}, float[10] fc.bias = {0, ...}, float low = {0}, float high = {6}>
{
  [/conv1/Conv] "/conv1/Conv_output_0" = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, "onnx::Conv_21", "onnx::Conv_22")
  [/act/Clip] "/act/Clip_output_0" = Clip ("/conv1/Conv_output_0", low, high)
  [/conv2/Conv] "/conv2/Conv_output_0" = Conv <group = 4, kernel_shape = [3, 3], pads = [1, 1, 1, 1]> ("/act/Clip_output_0", "onnx::Conv_24", "onnx::Conv_25")
  [/Concat] "/Concat_output_0" = Concat <axis = 1> ("/conv2/Conv_output_0", "/act/Clip_output_0")
  [/Split] "/Split_output_0", "/Split_output_1" = Split <axis = 1> ("/Concat_output_0")
  [/Mul] "/Mul_output_0" = Mul ("/Split_output_0", "/Split_output_1")
  [/pool/GlobalAveragePool] "/pool/GlobalAveragePool_output_0" = GlobalAveragePool ("/Mul_output_0")
  [/Flatten] "/Flatten_output_0" = Flatten <axis = 1> ("/pool/GlobalAveragePool_output_0")
  [/fc/Gemm] output = Gemm <transB = 1> ("/Flatten_output_0", fc.weight, fc.bias)
}`

const shapes = `shapes (float[N, 3, 8, 8] x) => (float[N, 5] y)
<float[4, 3, 3, 3] w = {0.1, -0.2, ...}, float[4] b = {0, 0.5, ...}, float[4, 4, 2, 2] up.w = {0.1, -0.3, ...},
 int64 zero = {0}, int64[1] axis0 = {0}, int64[1] rest = {-1}, int64[2] starts = {0, 1}, int64[2] ends = {6, 7}, int64[2] axes = {2, 3},
 float[4] scales = {1, 1, 2, 2}, int64[8] pads = {0, 0, 1, 1, 0, 0, 1, 1}, float[784, 5] fc.w = {0.01, -0.02, ...}, float[5] fc.b = {0, ...}>
{
  [conv] h = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w, b)
  [shape] s = Shape (h)
  [batch] n = Gather <axis = 0> (s, zero)
  [unsqueeze] n1 = Unsqueeze (n, axis0)
  [target] t = Concat <axis = 0> (n1, rest)
  [slice] cut = Slice (h, starts, ends, axes)
  [resize] big = Resize <mode = "nearest"> (cut, , scales)
  [pad] wide = Pad <mode = "constant"> (big, pads)
  [maxpool] pooled = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (wide)
  [up] raised = ConvTranspose <strides = [2, 2], kernel_shape = [2, 2]> (pooled, up.w)
  [transpose] moved = Transpose <perm = [0, 2, 3, 1]> (raised)
  [softmax] soft = Softmax <axis = -1> (moved)
  [reshape] flat = Reshape (soft, t)
  [matmul] mm = MatMul (flat, fc.w)
  [bias] y = Add (mm, fc.b)
}`

const control = `control (float[N, 3, 8, 8] x) => (float[N, 4] y)
<float[4, 3, 3, 3] w = {0.1, -0.2, ...}, float[4] b = {0, 0.5, ...}, float limit = {0}, int64 trips = {2}, bool go = {1}, float[1] half = {0.5}>
{
  [conv] h = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, w, b)
  [mean] m = ReduceMean <keepdims = 0> (h)
  [ask] c = Greater (m, limit)
  [if] k = If <then_branch = yes () => (float[N, 4, 8, 8] t) { [then_relu] t = Relu (h) }, else_branch = no () => (float[N, 4, 8, 8] e) { [else_mul] e = Mul (h, half) }> (c)
  [loop] l = Loop <body = body (int64 i, bool on, float[N, 4, 8, 8] acc) => (bool on_out, float[N, 4, 8, 8] acc_out) { [body_on] on_out = Identity (on) [body_relu] acc_out = Relu (acc) }> (trips, go, k)
  [pool] p = GlobalAveragePool (l)
  [flat] y = Flatten <axis = 1> (p)
}`
