package export

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"narrow/calibrate"
	"narrow/graph"
	"narrow/graph/infer"
	"narrow/graph/names"
	"narrow/graph/op"
	"narrow/plan"
)

// line is one numbered line of the listing: a network input or an operation.
type line struct {
	index int
	// class and args are the torch module, kind vai_q_pytorch's word for it.
	class, args, kind string
	// name is what a rule's layer_name resolves to this layer alone.
	name string
	// op is nil for a network input.
	op *plan.Operation
	// ins and outs are the values that enter and leave.
	ins, outs []string
}

// key returns vai_q_pytorch's name of the line's result.
func (l *line) key(model string) string { return fmt.Sprintf("%s::%s_%d", model, l.kind, l.index) }

// lister describes the layers of a plan as torch modules.
type lister struct {
	p     *plan.Plan
	ix    *graph.Index
	names *names.Table
	shape map[string][]graph.Dim
	model string
}

// listLines returns the lines of the listing and the model's name.
func listLines(in *calibrate.Calibrated) ([]*line, string) {
	m := in.Plan.Model
	l := &lister{p: in.Plan, ix: graph.NewIndex(m.Graph), names: names.New(m), shape: infer.Shapes(m, nil), model: ModelName(m, in.ModelPath)}
	var lines []*line
	inputs := 0
	for _, v := range m.Graph.Inputs {
		if !l.ix.IsInput(v.Name) {
			continue
		}
		lines = append(lines, &line{
			index: len(lines), class: "Input", kind: "nndct_input", outs: []string{v.Name},
			name: l.inputName(v.Name, inputs),
		})
		inputs++
	}
	for _, op := range l.p.Operations {
		ln := &line{index: len(lines), op: op, ins: op.In, name: l.layerName(op.Node)}
		for _, o := range op.Nodes[len(op.Nodes)-1].Outputs {
			if o != "" {
				ln.outs = append(ln.outs, o)
			}
		}
		ln.class, ln.kind, ln.args = l.module(op)
		lines = append(lines, ln)
	}
	return lines, l.model
}

// inputName returns a name that means the network input.
func (l *lister) inputName(value string, i int) string {
	name := fmt.Sprintf("%s::input_%d", l.model, i)
	if f := l.names.Find(name); f.Form == names.InputName && f.Input == value {
		return name
	}
	return printable(value)
}

// layerName returns the name that tells most of those that mean n alone.
func (l *lister) layerName(n *graph.Node) string {
	for _, c := range l.names.Singles(n) {
		if c == printable(c) {
			return c
		}
	}
	return printable(n.Label())
}

// printable returns s, or, where s does not fit into one line of text, s as a
// JSON string: in quotes, as a strategy file would hold it.
func printable(s string) string {
	odd := func(r rune) bool { return !unicode.IsPrint(r) || r == utf8.RuneError }
	if s == strings.TrimSpace(s) && !strings.ContainsFunc(s, odd) {
		return s
	}
	var b strings.Builder
	for _, r := range quoteJSON(s) {
		if odd(r) {
			for _, u := range utf16.Encode([]rune{r}) {
				fmt.Fprintf(&b, `\u%04x`, u)
			}
			continue
		}
		b.WriteRune(r)
	}
	return b.String()
}

// ModelName returns a class name for a model: that of its root module, where
// the file tells, or else one made of the file's name.
func ModelName(m *graph.Model, path string) string {
	if name, ok := ClassName(m); ok {
		return name
	}
	base := path[strings.LastIndexAny(path, `/\`)+1:]
	base = strings.TrimSuffix(base, ".onnx")
	return identifier(base)
}

// ClassName returns the class of a model's root module, which exporters of torch
// write into the file's metadata; ok is false where they did not.
func ClassName(m *graph.Model) (name string, ok bool) {
	for _, e := range names.New(m).Entries {
		if root, _, ok := strings.Cut(e.Vai, "::"); ok && identifier(root) == root {
			return root, true
		}
	}
	return "", false
}

// identifier makes a Python class name of s.
func identifier(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r == '_' || r < 128 && (unicode.IsLetter(r) || unicode.IsDigit(r)) {
			b.WriteRune(r)
		} else {
			b.WriteByte('_')
		}
	}
	name := b.String()
	switch {
	case strings.Trim(name, "_") == "":
		return "Model"
	case unicode.IsDigit(rune(name[0])), slices.Contains(pythonWords(), name):
		return "Model_" + name
	}
	return name
}

// pythonWords are names that a class cannot have, or must not hide.
func pythonWords() []string {
	return strings.Fields(`False None True and as assert async await break class continue def del elif else except
		finally for from global if import in is lambda nonlocal not or pass raise return try while with yield
		torch tensor py_nndct super self`)
}

// arguments collects keyword arguments in Python's spelling.
type arguments []string

func (a *arguments) add(name string, v any) {
	var text string
	switch v := v.(type) {
	case bool:
		text = "False"
		if v {
			text = "True"
		}
	case []int64:
		text = "[" + strings.Trim(strings.Join(strings.Fields(fmt.Sprint(v)), ", "), "[]") + "]"
	case float32:
		text = strconv.FormatFloat(float64(v), 'g', -1, 32)
	case string:
		text = strconv.QuoteToASCII(v)
	default:
		text = fmt.Sprint(v)
	}
	*a = append(*a, name+"="+text)
}

func (a arguments) String() string { return strings.Join(a, ", ") }

// module returns the torch class of an operation, vai_q_pytorch's word for its
// kind, and its arguments.
func (l *lister) module(o *plan.Operation) (class, kind, args string) {
	n := o.Node
	var a arguments
	if n.Domain != "" && len(o.Nodes) == 1 {
		return "Module", "nndct_" + identifier(n.OpType), strconv.QuoteToASCII(n.Domain + "::" + n.OpType)
	}
	switch o.Op {
	case "Conv", "ConvTranspose":
		return l.conv(n)
	case "Gemm", "Linear", "MatMul":
		p, ok := l.product(n)
		if !ok {
			return "Module", "nndct_matmul", "'nndct_matmul'"
		}
		a.add("in_features", int64(p.In))
		a.add("out_features", int64(p.Out))
		a.add("bias", o.Op == "Linear" || o.Op == "Gemm" && n.Input(2) != "")
		return "Linear", "nndct_dense", a.String()
	case "BatchNormalization":
		if s := l.ix.Constant[n.Input(1)]; s != nil {
			a.add("num_features", int64(s.Len()))
		}
		a.add("eps", n.Float("epsilon", 1e-5))
		a.add("momentum", 1-n.Float("momentum", 0.9))
		return l.dims("BatchNorm", n, 2), "nndct_batch_norm", a.String()
	case "LayerNormalization":
		a.add("eps", n.Float("epsilon", 1e-5))
		return "LayerNorm", "nndct_layer_norm", a.String()
	case "MaxPool", "AveragePool":
		return l.pool(n)
	case "GlobalAveragePool", "GlobalMaxPool":
		d := max(len(l.shape[n.Input(0)])-2, 0)
		if d == 0 {
			d = 2
		}
		a.add("output_size", slices.Repeat([]int64{1}, d))
		if n.Is("GlobalMaxPool") {
			return fmt.Sprintf("AdaptiveMaxPool%dd", d), fmt.Sprintf("nndct_adaptive_max_pool%dd", d), a.String()
		}
		return fmt.Sprintf("AdaptiveAvgPool%dd", d), fmt.Sprintf("nndct_adaptive_avg_pool%dd", d), a.String()
	case "Relu":
		a.add("inplace", false)
		return "ReLU", "nndct_relu", a.String()
	case "Clip":
		return l.clip(n)
	case "LeakyRelu":
		a.add("negative_slope", n.Float("alpha", 0.01))
		a.add("inplace", false)
		return "LeakyReLU", "nndct_leaky_relu", a.String()
	case "Softmax", "LogSoftmax":
		a.add("dim", n.Int("axis", -1))
		if o.Op == "LogSoftmax" {
			return "LogSoftmax", "nndct_log_softmax", a.String()
		}
		return "Softmax", "nndct_softmax", a.String()
	case "Elu":
		a.add("alpha", n.Float("alpha", 1))
		return "ELU", "nndct_elu", a.String()
	case "HardSwish", "Hardswish":
		a.add("inplace", false)
		return "Hardswish", "nndct_hswish", a.String()
	case "HardSigmoid":
		a.add("inplace", false)
		return "Hardsigmoid", "nndct_hsigmoid", a.String()
	}
	if s, ok := simpleModules()[o.Op]; ok {
		return s[0], s[1], ""
	}
	kind, ok := plainKinds()[o.Op]
	if !ok {
		kind = "nndct_" + strings.ToLower(identifier(o.Op))
	}
	return "Module", kind, "'" + kind + "'"
}

// simpleModules maps operators to torch classes without arguments and their
// kinds.
func simpleModules() map[string][2]string {
	return map[string][2]string{
		"Add": {"Add", "nndct_elemwise_add"}, "Concat": {"Cat", "nndct_concat"},
		"Resize": {"Interpolate", "nndct_resize"}, "Upsample": {"Interpolate", "nndct_resize"},
		"Sigmoid": {"Sigmoid", "nndct_sigmoid"}, "Tanh": {"Tanh", "nndct_tanh"},
		"PRelu": {"PReLU", "nndct_prelu"}, "Gelu": {"GELU", "nndct_GELU"}, "Mish": {"Mish", "nndct_mish"},
		"Swish": {"SiLU", "nndct_swish"}, "Softplus": {"Softplus", "nndct_softplus"}, "Dropout": {"Dropout", "nndct_dropout"},
		"Identity": {"Identity", "nndct_identity"}, "Selu": {"SELU", "nndct_selu"}, "Softsign": {"Softsign", "nndct_softsign"},
	}
}

// plainKinds are vai_q_pytorch's words for operators that are no modules, where
// they are not the operator's name in lower case.
func plainKinds() map[string]string {
	return map[string]string{
		"Mul": "nndct_elemwise_mul", "Div": "nndct_elemwise_div", "Sub": "nndct_elementwise_sub", "Exp": "nndct_elemwise_exp",
		"ReduceMean": "nndct_mean", "ReduceSum": "nndct_sum", "ReduceMax": "nndct_max", "ReduceMin": "nndct_min",
		"Slice": "nndct_strided_slice", "Transpose": "nndct_permute", "DepthToSpace": "nndct_pixel_shuffle",
		"SpaceToDepth": "nndct_pixel_unshuffle", "InstanceNormalization": "nndct_instance_norm", "GroupNormalization": "nndct_group_norm",
	}
}

// dims returns a class name with its number of spatial dimensions.
func (l *lister) dims(class string, n *graph.Node, def int) string {
	d := len(l.shape[n.Input(0)]) - 2
	if d < 1 || d > 3 {
		d = def
	}
	return fmt.Sprintf("%s%dd", class, d)
}

// product returns how n multiplies constant weights.
func (l *lister) product(n *graph.Node) (op.Product, bool) {
	w := l.ix.Constant[n.Input(1)]
	if w == nil {
		return op.Product{}, false
	}
	return op.ProductOf(n, 1, w.Dims)
}

func (l *lister) conv(n *graph.Node) (class, kind, args string) {
	p, _ := l.product(n)
	kernel := op.Kernel(n, p.Dims)
	if len(p.Dims) > 2 {
		kernel = p.Dims[2:]
	}
	d := len(kernel)
	groups, in, out := int64(op.Groups(n)), int64(p.In), int64(p.Out)
	class, kind = fmt.Sprintf("Conv%dd", d), fmt.Sprintf("conv%dd", d)
	if n.Is("ConvTranspose") {
		class, kind = fmt.Sprintf("ConvTranspose%dd", d), fmt.Sprintf("conv_transpose_%dd", d)
	}
	if groups > 1 && groups == in {
		kind = "depthwise_" + kind
	}
	var a arguments
	a.add("in_channels", in)
	a.add("out_channels", out)
	a.add("kernel_size", kernel)
	a.add("stride", orDefault(n.Ints("strides"), d, 1))
	addPadding(&a, n, d)
	if n.Is("ConvTranspose") {
		a.add("output_padding", orDefault(n.Ints("output_padding"), d, 0))
		a.add("groups", groups)
		a.add("bias", n.Input(2) != "")
		a.add("dilation", orDefault(n.Ints("dilations"), d, 1))
	} else {
		a.add("dilation", orDefault(n.Ints("dilations"), d, 1))
		a.add("groups", groups)
		a.add("bias", n.Input(2) != "")
	}
	return class, "nndct_" + kind, a.String()
}

func (l *lister) pool(n *graph.Node) (class, kind, args string) {
	kernel := op.Kernel(n, nil)
	d := len(kernel)
	var a arguments
	a.add("kernel_size", kernel)
	a.add("stride", orDefault(n.Ints("strides"), d, 1))
	addPadding(&a, n, d)
	ceil := n.Int("ceil_mode", 0) != 0
	if n.Is("MaxPool") {
		a.add("dilation", orDefault(n.Ints("dilations"), d, 1))
		a.add("ceil_mode", ceil)
		kind = "nndct_maxpool"
		if d == 1 {
			kind = "nndct_maxpool1d"
		}
		return fmt.Sprintf("MaxPool%dd", d), kind, a.String()
	}
	a.add("ceil_mode", ceil)
	a.add("count_include_pad", n.Int("count_include_pad", 0) != 0)
	return fmt.Sprintf("AvgPool%dd", d), "nndct_avgpool", a.String()
}

// clip names a Clip as torch would: ReLU6, or Hardtanh with its bounds.
func (l *lister) clip(n *graph.Node) (class, kind, args string) {
	bound := func(i int, attr string) (float32, bool) {
		if t := l.ix.Constant[n.Input(i)]; t != nil {
			if v, err := t.Floats(); err == nil && len(v) == 1 {
				return v[0], true
			}
		}
		a := n.Attr(attr)
		if a == nil {
			return 0, false
		}
		return a.Float, true
	}
	lo, hasLo := bound(1, "min")
	hi, hasHi := bound(2, "max")
	var a arguments
	if hasLo && hasHi && lo == 0 && hi == 6 {
		a.add("inplace", false)
		return "ReLU6", "nndct_relu6", a.String()
	}
	if hasLo {
		a.add("min_val", lo)
	}
	if hasHi {
		a.add("max_val", hi)
	}
	return "Hardtanh", "nndct_hardtanh", a.String()
}

// addPadding writes pads as torch does where both sides have the same, else all
// of them in ONNX's order.
func addPadding(a *arguments, n *graph.Node, d int) {
	if auto := n.Str("auto_pad", "NOTSET"); auto != "NOTSET" && auto != "VALID" {
		a.add("padding", strings.ToLower(strings.TrimSuffix(strings.TrimSuffix(auto, "_UPPER"), "_LOWER")))
		return
	}
	pads := orDefault(n.Ints("pads"), 2*d, 0)
	if len(pads) == 2*d && slices.Equal(pads[:d], pads[d:]) {
		pads = pads[:d]
	}
	a.add("padding", pads)
}

func orDefault(v []int64, n int, def int64) []int64 {
	if len(v) > 0 {
		return v
	}
	return slices.Repeat([]int64{def}, n)
}
