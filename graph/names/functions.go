package names

import "narrow/graph"

// addFunctions adds torch's functions, as vai_q_pytorch takes them for
// layer_type: the operators that they become, whether the network calls the
// function or a module that does the same. Only matmul, bmm and mm leave Linear
// modules out.
func addFunctions(c map[string]class) {
	for name, ops := range map[string][]string{
		"add": {"Add", "Sum"}, "sub": {"Sub"}, "mul": {"Mul"}, "multiply": {"Mul"}, "div": {"Div"}, "true_divide": {"Div"},
		"neg": {"Neg"}, "exp": {"Exp"}, "log": {"Log"}, "sqrt": {"Sqrt"}, "pow": {"Pow"}, "floor": {"Floor"},
		"maximum": {"Max"}, "minimum": {"Min"}, "max": {"ReduceMax", "Max"}, "min": {"ReduceMin", "Min"}, "amax": {"ReduceMax"}, "amin": {"ReduceMin"},
		"mean": {"ReduceMean", "GlobalAveragePool"}, "sum": {"ReduceSum"}, "argmax": {"ArgMax"}, "argmin": {"ArgMin"},
		"cat": {"Concat"}, "concat": {"Concat"}, "stack": {"Concat"}, "chunk": {"Split"}, "split": {"Split"},
		"permute": {"Transpose"}, "transpose": {"Transpose"}, "reshape": {"Reshape"}, "view": {"Reshape"}, "flatten": {"Flatten", "Reshape"},
		"squeeze": {"Squeeze"}, "unsqueeze": {"Unsqueeze"}, "expand": {"Expand"}, "repeat": {"Tile"}, "select": {"Gather"}, "strided_slice": {"Slice"},
		"pad": {"Pad"}, "clamp": {"Clip"}, "einsum": {"Einsum"}, "addmm": {"Gemm"}, "rms_norm": {"RMSNormalization"},
		"interpolate": {"Resize", "Upsample"}, "upsample": {"Resize", "Upsample"}, "scaled_dot_product_attention": {"Attention"},
		"pixel_shuffle": {"DepthToSpace"}, "pixel_unshuffle": {"SpaceToDepth"},
	} {
		c[name] = class{ops: ops, function: true}
	}
	for name, of := range map[string]string{
		"linear": "Linear", "relu": "ReLU", "relu6": "ReLU6", "hardtanh": "Hardtanh", "leaky_relu": "LeakyReLU", "prelu": "PReLU", "elu": "ELU", "selu": "SELU",
		"celu": "CELU", "gelu": "GELU", "mish": "Mish", "silu": "SiLU", "hardswish": "Hardswish", "hardsigmoid": "Hardsigmoid", "sigmoid": "Sigmoid",
		"tanh": "Tanh", "softplus": "Softplus", "softsign": "Softsign", "softmax": "Softmax", "log_softmax": "LogSoftmax",
		"layer_norm": "LayerNorm", "group_norm": "GroupNorm", "dropout": "Dropout", "embedding": "Embedding",
	} {
		f := c[of]
		f.function = true
		c[name] = f
	}
	c["batch_norm"] = class{ops: []string{"BatchNormalization"}, function: true}
	c["instance_norm"] = class{ops: []string{"InstanceNormalization"}, function: true}
	for d, suffix := range map[int]string{1: "1d", 2: "2d", 3: "3d"} {
		for name, ops := range map[string][]string{
			"max_pool": {"MaxPool"}, "avg_pool": {"AveragePool"},
			"adaptive_avg_pool": {"GlobalAveragePool", "AveragePool"}, "adaptive_max_pool": {"GlobalMaxPool", "MaxPool"},
		} {
			c[name+suffix] = class{ops: ops, dims: d, function: true}
		}
	}
	for _, name := range []string{"matmul", "bmm", "mm"} {
		c[name] = class{ops: []string{"MatMul"}, function: true, also: (*Table).isProduct}
	}
}

// isProduct reports whether a MatMul multiplies two values as torch.matmul does,
// and is no Linear. A product with a constant counts only where the exporter
// wrote down which module it is in.
func (t *Table) isProduct(n *graph.Node) bool {
	e := t.Entry(n)
	if e == nil || !t.hasConstantWeight(n) {
		return true
	}
	k := len(e.scope.classes)
	return k > 0 && e.scope.classes[k-1] != "Linear" && e.scope.classes[k-1] != "NonDynamicallyQuantizableLinear"
}
