package names_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"narrow/graph"
	"narrow/graph/graphtext"
	"narrow/graph/names"
	"narrow/graph/onnx"
)

func load(t testing.TB, name string) *graph.Model {
	t.Helper()
	m, err := onnx.Load(filepath.Join("..", "..", "internal", "parity", "testdata", "models", name, "model.onnx"))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func labels(nodes []*graph.Node) string {
	var l []string
	for _, n := range nodes {
		l = append(l, n.Label())
	}
	return strings.Join(l, " ")
}

// TestListingNames looks up names as vai_q_pytorch 3.5 wrote them into its
// listings of models that torch 1.13 exported.
func TestListingNames(t *testing.T) {
	tests := []struct{ model, name, want string }{
		{"tinyresnet", "TinyResNet::TinyResNet/Conv2d[conv1]/ret.3", "/conv1/Conv"},
		{"tinyresnet", "TinyResNet::TinyResNet/Conv2d[conv1]/ret.3(TinyResNet::nndct_conv2d_1)", "/conv1/Conv"},
		{"tinyresnet", "TinyResNet::TinyResNet/MaxPool2d[maxpool]/1652", "/maxpool/MaxPool"},
		{"tinyresnet", "TinyResNet::TinyResNet/Sequential[layer1]/BasicBlock[0]/Conv2d[conv1]/ret.7", "/layer1/layer1.0/conv1/Conv"},
		{"tinyresnet", "TinyResNet::TinyResNet/Sequential[layer1]/BasicBlock[0]/Conv2d[conv1]/input.99", "/layer1/layer1.0/conv1/Conv"},
		{"tinyresnet", "TinyResNet::TinyResNet/Sequential[layer1]/BasicBlock[0]/Conv2d[conv1]", "/layer1/layer1.0/conv1/Conv"},
		{"tinyresnet", "TinyResNet::TinyResNet/Sequential[layer1]/BasicBlock[0]/ret.15", "/layer1/layer1.0/Add"},
		// One module, called twice: the number behind the name tells which.
		{"tinyresnet", "TinyResNet::TinyResNet/Sequential[layer1]/BasicBlock[0]/ReLU[relu]/1681(TinyResNet::nndct_relu_5)", "/layer1/layer1.0/relu/Relu"},
		{"tinyresnet", "TinyResNet::TinyResNet/Sequential[layer1]/BasicBlock[0]/ReLU[relu]/1712(TinyResNet::nndct_relu_8)", "/layer1/layer1.0/relu_1/Relu"},
		{"tinyresnet", "TinyResNet::TinyResNet/Sequential[layer3]/BasicBlock[0]/ReLU[relu]/1853(TinyResNet::nndct_relu_17)", "/layer3/layer3.0/relu/Relu"},
		{"tinyresnet", "TinyResNet::TinyResNet/Sequential[layer3]/BasicBlock[0]/ReLU[relu]/1884(TinyResNet::nndct_relu_20)", "/layer3/layer3.0/relu_1/Relu"},
		{"tinyresnet", "TinyResNet::TinyResNet/Sequential[layer1]/BasicBlock[0]/ReLU[relu]/1712(TinyResNet::nndct_relu_9)", "/layer1/layer1.0/relu/Relu /layer1/layer1.0/relu_1/Relu"},
		{"tinyresnet", "TinyResNet::TinyResNet/Sequential[layer1]/BasicBlock[0]/ReLU[relu]/1681", "/layer1/layer1.0/relu/Relu /layer1/layer1.0/relu_1/Relu"},
		{"tinyresnet", "TinyResNet::TinyResNet/Sequential[layer2]/BasicBlock[0]/Sequential[downsample]/Conv2d[0]/ret.17", "/layer2/layer2.0/downsample/downsample.0/Conv"},
		{"tinyresnet", "TinyResNet::TinyResNet/ret.45", "/Flatten"},
		{"tinyresnet", "TinyResNet::TinyResNet/Linear[fc]/ret", "/fc/Gemm"},
		{"tinyresnet", "TinyResNet::input_0", "input"},
		{"tinyresnet", "TinyResNet::nndct_input_0", "input"},
		{"tinyresnet", "TinyResNet::input_1", ""},
		{"tinyresnet", "TinyResNet::TinyResNet/Sequential[layer9]/Conv2d[0]/ret.1", ""},
		{"tinymobile", "TinyMobile::TinyMobile/Sequential[features]/InvRes[0]/Sequential[conv]/Conv2d[3]/ret.15", "/features/features.0/conv/conv.3/Conv"},
		{"tinymobile", "TinyMobile::TinyMobile/Sequential[features]/InvRes[0]/Sequential[conv]/ReLU[5]/ret.19", "/features/features.0/conv/conv.5/Clip"},
		{"tinyswish", "TinyMobile::TinyMobile/Sequential[stem]/SiLU[2]/ret.7", "/stem/stem.2/Mul"},
		{"tinyunet", "TinyUNet::TinyUNet/AvgPool2d[pool]/551", "/pool/AveragePool"},
		{"tinyunet", "TinyUNet::TinyUNet/Upsample[up]/ret.11", "/up/Resize"},
		{"tinyunet", "TinyUNet::TinyUNet/ret.15", "/Concat"},
		{"tinymlp", "TinyMLP::TinyMLP/Linear[fc2]/ret.7", "/fc2/Gemm"},
		// Module paths.
		{"tinyresnet", "layer1.0.conv1", "/layer1/layer1.0/conv1/Conv"},
		{"tinyresnet", "layer2.0.downsample.0", "/layer2/layer2.0/downsample/downsample.0/Conv"},
		{"tinyresnet", "layer1.0.relu_1", "/layer1/layer1.0/relu_1/Relu"},
		{"tinyresnet", "layer1.0.relu", "/layer1/layer1.0/relu/Relu /layer1/layer1.0/relu_1/Relu"},
		{"tinymobile", "features.0.conv.3", "/features/features.0/conv/conv.3/Conv"},
		{"tinyunet", "pool", "/pool/AveragePool"},
		{"tinyunet", "e1", "/e1/e1.0/Conv /e1/e1.1/LeakyRelu"},
		// Node and input names.
		{"tinyresnet", "/layer1/layer1.0/Add", "/layer1/layer1.0/Add"},
		{"tinyresnet", "input", "input"},
		{"tinyresnet", "conv", ""},
		{"tinyresnet", "layer1.0.conv", ""},
		{"tinyresnet", "", ""},
	}
	for _, tt := range tests {
		m := names.New(load(t, tt.model)).Find(tt.name)
		if got := strings.TrimSpace(m.Input + " " + labels(m.Nodes)); got != tt.want {
			t.Errorf("%s: %s means %q, want %q", tt.model, tt.name, got, tt.want)
		}
		if (m.Form == "") != (tt.want == "") {
			t.Errorf("%s: %s has the form %q", tt.model, tt.name, m.Form)
		}
	}
}

// dynamo is a network as torch's dynamo-based exporter writes it: the module
// tree stands in metadata_props only.
const dynamo = `net (float[1, 4, 8, 8] x) => (float[1, 10] linear)
<float[4, 4, 3, 3] layer1.0.conv1.weight = {0.1, ...}, float[4] layer1.0.conv1.bias = {0, ...},
 float[10, 4] fc.weight = {0.1, ...}, float[10] fc.bias = {0, ...}, int64[2] val_12 = {-1, 4}>
{
  [node_conv2d] conv2d = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, layer1.0.conv1.weight, layer1.0.conv1.bias) {
    "pkg.torch.onnx.name_scopes": "['', 'layer1', 'layer1.0', 'layer1.0.conv1', 'conv2d']",
    "pkg.torch.onnx.class_hierarchy": "['torchvision.models.resnet.ResNet', 'torch.nn.modules.container.Sequential', 'torchvision.models.resnet.BasicBlock', 'torch.nn.modules.conv.Conv2d', 'aten.conv2d.default']"}
  [node_relu] relu = Relu (conv2d) {
    "pkg.torch.onnx.name_scopes": "['', 'layer1', 'layer1.0', 'layer1.0.relu', 'relu']",
    "pkg.torch.onnx.class_hierarchy": "['torchvision.models.resnet.ResNet', 'torch.nn.modules.container.Sequential', 'torchvision.models.resnet.BasicBlock', 'torch.nn.modules.activation.ReLU', 'aten.relu.default']"}
  [node_add] add = Add (relu, x) {
    "pkg.torch.onnx.name_scopes": "['', 'layer1', 'layer1.0', 'add']",
    "pkg.torch.onnx.class_hierarchy": "['torchvision.models.resnet.ResNet', 'torch.nn.modules.container.Sequential', 'torchvision.models.resnet.BasicBlock', 'aten.add.Tensor']"}
  [node_relu_1] relu_1 = Relu (add) {
    "namespace": ": torchvision.models.resnet.ResNet/layer1: torch.nn.modules.container.Sequential/layer1.0: torchvision.models.resnet.BasicBlock/layer1.0.relu: torch.nn.modules.activation.ReLU/relu_1: aten.relu.default"}
  [node_mean] mean = ReduceMean <axes = [-1, -2], keepdims = 1> (relu_1) {
    "pkg.torch.onnx.name_scopes": "['', 'norm', 'mean']",
    "pkg.torch.onnx.class_hierarchy": "['torchvision.models.resnet.ResNet', 'my.pkg.MyNorm', 'aten.mean.dim']"}
  [node_mul] mul = Mul (mean, mean) {
    "pkg.torch.onnx.name_scopes": "['', 'norm', 'mul']",
    "pkg.torch.onnx.class_hierarchy": "['torchvision.models.resnet.ResNet', 'my.pkg.MyNorm', 'aten.mul.Tensor']"}
  [node_flatten] flatten = Reshape (mul, val_12)
  [node_linear] linear = Gemm <transB = 1> (flatten, fc.weight, fc.bias)
}`

func TestDynamo(t *testing.T) {
	table := names.New(graphtext.MustParse(dynamo))
	e := table.Entries[0]
	if e.Module != "layer1.0.conv1" || e.Vai != "ResNet::ResNet/Sequential[layer1]/BasicBlock[0]/Conv2d[conv1]" || e.Class != "Conv2d" {
		t.Errorf("%+v", e)
	}
	for name, want := range map[string]string{
		"layer1.0.conv1": "node_conv2d",
		"ResNet::ResNet/Sequential[layer1]/BasicBlock[0]/Conv2d[conv1]/input.2": "node_conv2d",
		"ResNet::ResNet/Sequential[layer1]/BasicBlock[0]/ret.3":                 "node_add",
		"layer1.0.relu": "node_relu node_relu_1",
		"fc":            "node_linear", // by its weights: the node itself says nothing
		"norm":          "node_mean node_mul",
	} {
		if got := labels(table.Find(name).Nodes); got != want {
			t.Errorf("%s means %q, want %q", name, got, want)
		}
	}
	for typ, want := range map[string]string{
		"torch.nn.Conv2d": "node_conv2d", "Conv": "node_conv2d", "ReLU": "node_relu node_relu_1", "Linear": "node_linear",
		"MyNorm": "node_mean node_mul", "my.pkg.MyNorm": "node_mean node_mul", "other.pkg.MyNorm": "", "Conv1d": "", "torch.nn.Conv": "",
	} {
		if got := labels(table.OfType(typ)); got != want {
			t.Errorf("type %s means %q, want %q", typ, got, want)
		}
	}
	if got := table.Nearest("ResNet::ResNet/Sequential[layer1]/BasicBlock[1]/Conv2d[conv1]/input.2"); len(got) == 0 || got[0] != e.Vai {
		t.Errorf("nearest %q", got)
	}
	if got := table.NearestTypes("Conv2s"); !slices.Equal(got[:1], []string{"Conv2d"}) {
		t.Errorf("nearest types %q", got)
	}
}

// TestOtherNames: files of other exporters tell module paths by their weights,
// or not at all.
func TestOtherNames(t *testing.T) {
	table := names.New(graphtext.MustParse(`net (float[1, 3, 8] x) => (float[1, 3, 8] y)
<float[3, 3, 1] features.0.weight = {0.5, ...}, float[8, 8] "onnx::MatMul_9" = {0.1, ...}, float zero = {0}, float six = {6}>
{
  [Conv_0] input.4 = Conv (x, features.0.weight)
  [Clip_1] c = Clip (input.4, zero, six)
  [/model.22/cv2.0/cv2.0.1/MatMul] mm = MatMul (c, "onnx::MatMul_9")
  [/attn/MatMul] y = MatMul (mm, mm)
}`))
	for name, want := range map[string]string{
		"features.0":                       "Conv_0",
		"Net::Net/Conv1d[features]/zzz":    "Conv_0",
		"Net::Net/Conv1d[gone]/input.4":    "",
		"model.22.cv2.0.1":                 "/model.22/cv2.0/cv2.0.1/MatMul",
		"Net::Net/A[model]/B[22]/C[cv2]/x": "/model.22/cv2.0/cv2.0.1/MatMul",
	} {
		if got := labels(table.Find(name).Nodes); got != want {
			t.Errorf("%s means %q, want %q", name, got, want)
		}
	}
	for typ, want := range map[string]string{
		"Conv1d": "Conv_0", "Conv2d": "", "ReLU6": "Clip_1", "Linear": "/model.22/cv2.0/cv2.0.1/MatMul", "MatMul": "/model.22/cv2.0/cv2.0.1/MatMul /attn/MatMul",
	} {
		if got := labels(table.OfType(typ)); got != want {
			t.Errorf("type %s means %q, want %q", typ, got, want)
		}
	}
}

func TestTypes(t *testing.T) {
	for _, tt := range []struct {
		model, typ string
		want       int
	}{
		{"tinymobile", "Conv2d", 11}, {"tinymobile", "ReLU6", 8}, {"tinymobile", "ReLU", 0}, {"tinymobile", "Clip", 8},
		{"tinyswish", "SiLU", 8}, {"tinyhswish", "Hardswish", 8}, {"tinyhswish", "nn.Hardswish", 8}, {"tinyswish", "Hardswish", 0},
		{"tinyunet", "ConvTranspose2d", 1}, {"tinyunet", "Conv2d", 4}, {"tinyunet", "LeakyReLU", 1}, {"tinyunet", "AvgPool2d", 1},
		{"tinyunet", "Upsample", 1}, {"tinyunet", "Cat", 1}, {"tinyresnet", "AdaptiveAvgPool2d", 1}, {"tinymlp", "Linear", 3}, {"tinymlp", "conv2d", 0},
	} {
		if got := names.New(load(t, tt.model)).OfType(tt.typ); len(got) != tt.want {
			t.Errorf("%s has %d %s, want %d: %s", tt.model, len(got), tt.typ, tt.want, labels(got))
		}
	}
}

// TestPatterns: * stays within a part of a path, ** goes across.
func TestPatterns(t *testing.T) {
	for _, tt := range []struct{ model, name, want string }{
		{"tinyresnet", "/layer1/*/conv1/Conv", "/layer1/layer1.0/conv1/Conv"},
		{"tinyresnet", "/layer1/**/Conv", "/layer1/layer1.0/conv1/Conv /layer1/layer1.0/conv2/Conv"},
		{"tinyresnet", "/layer1/*", ""},
		{"tinyresnet", "/*/*/conv2/Conv", "/layer1/layer1.0/conv2/Conv /layer2/layer2.0/conv2/Conv /layer3/layer3.0/conv2/Conv"},
		{"tinyresnet", "/layer2/**/*Conv", "/layer2/layer2.0/downsample/downsample.0/Conv /layer2/layer2.0/conv1/Conv /layer2/layer2.0/conv2/Conv"},
		{"tinyresnet", "layer1.*.conv1", "/layer1/layer1.0/conv1/Conv"},
		{"tinyresnet", "layer*.0.conv1", "/layer1/layer1.0/conv1/Conv /layer2/layer2.0/conv1/Conv /layer3/layer3.0/conv1/Conv"},
		{"tinyresnet", "layer1.*.co**", "/layer1/layer1.0/conv1/Conv /layer1/layer1.0/conv2/Conv"},
		// A module that does nothing itself is everything inside.
		{"tinymobile", "features.*.conv", "/features/features.0/conv/conv.0/Conv /features/features.0/conv/conv.2/Clip /features/features.0/conv/conv.3/Conv /features/features.0/conv/conv.5/Clip /features/features.0/conv/conv.6/Conv"},
		{"tinyresnet", "TinyResNet::TinyResNet/Sequential[layer1]/**/Conv2d[conv1]/*", ""}, // no classes in the file
		{"tinyresnet", "inp*", "input"},
		{"tinyresnet", "nothing.*", ""},
		{"tinyresnet", "**.conv1", "/layer1/layer1.0/conv1/Conv /layer2/layer2.0/conv1/Conv /layer3/layer3.0/conv1/Conv"},
	} {
		m := names.New(load(t, tt.model)).FindAll([]string{tt.name})[0]
		got := labels(m.Nodes)
		if len(m.Inputs) > 0 {
			got = strings.Join(m.Inputs, " ")
		}
		if tt.model == "tinymobile" && tt.want != "" {
			got = strings.Join(strings.Fields(got)[:5], " ")
		}
		if got != tt.want {
			t.Errorf("%s: %s means %q, want %q", tt.model, tt.name, got, tt.want)
		}
	}
	table := names.New(graphtext.MustParse(dynamo))
	for name, want := range map[string]string{
		"ResNet::ResNet/**/Conv2d[conv1]/*":                 "node_conv2d",
		"ResNet::ResNet/Sequential[layer1]/BasicBlock[*]/*": "node_conv2d node_relu node_add node_relu_1",
		"node_re*": "node_relu node_relu_1",
		"layer1.*": "node_conv2d node_relu node_add node_relu_1",
	} {
		if got := labels(table.FindAll([]string{name})[0].Nodes); got != want {
			t.Errorf("%s means %q, want %q", name, got, want)
		}
	}
	odd := names.New(graphtext.MustParse(`net (float[1] x) => (float[1] y) { ["a*"] t = Relu (x) [ab] y = Neg (t) }`))
	if got := labels(odd.FindAll([]string{"a*"})[0].Nodes); got != "a*" {
		t.Errorf("a name with an asterisk means %q", got)
	}
}

// TestReused: a module that is called twice means both uses, a last part that
// can be resolved one of them; modules that only look like calls are none.
func TestReused(t *testing.T) {
	for _, tt := range []struct {
		name, want string
		reused     bool
	}{
		{"block.relu", "/block/relu/Relu /block/relu_1/Relu", true},
		{"block.relu_1", "/block/relu_1/Relu", false},
		{"/block/relu/Relu", "/block/relu/Relu", false},
		{"Net::Net/Block[block]/ReLU[relu]/t2", "/block/relu_1/Relu", false},
		{"Net::Net/Block[block]/ReLU[relu]/input.9", "/block/relu/Relu /block/relu_1/Relu", true},
		{"enc.conv", "/enc/conv/Conv /enc_1/conv/Conv", true},
		{"head", "/head/Conv", false}, // head_1 has weights of its own
		{"act", "/act/Sigmoid /act/Mul /act_1/Sigmoid /act_1/Mul", true},
	} {
		m := names.New(graphtext.MustParse(reusing)).Find(tt.name)
		if got := labels(m.Nodes); got != tt.want || m.Reused != tt.reused {
			t.Errorf("%s means %q (reused %v), want %q (%v)", tt.name, got, m.Reused, tt.want, tt.reused)
		}
	}
	if !names.New(graphtext.MustParse(dynamo)).Find("layer1.0.relu").Reused {
		t.Error("layer1.0.relu of the dynamo-based exporter is not said to be reused")
	}
}

const reusing = `net (float[1, 2, 4, 4] x) => (float[1, 2, 4, 4] y)
<float[2, 2, 1, 1] enc.conv.weight = {1, ...}, float[2, 2, 1, 1] head.weight = {1, ...}, float[2, 2, 1, 1] head_1.weight = {2, ...}>
{
  [/enc/conv/Conv] c1 = Conv (x, enc.conv.weight)
  [/block/relu/Relu] t1 = Relu (c1)
  [/enc_1/conv/Conv] c2 = Conv (t1, enc.conv.weight)
  [/block/relu_1/Relu] t2 = Relu (c2)
  [/head/Conv] h1 = Conv (t2, head.weight)
  [/act/Sigmoid] s1 = Sigmoid (h1)
  [/act/Mul] m1 = Mul (h1, s1)
  [/head_1/Conv] h2 = Conv (m1, head_1.weight)
  [/act_1/Sigmoid] s2 = Sigmoid (h2)
  [/act_1/Mul] y = Mul (h2, s2)
}`

func TestFunctions(t *testing.T) {
	for typ, want := range map[string]string{
		"relu": "node_relu node_relu_1", "F.relu": "node_relu node_relu_1", "torch.nn.functional.relu": "node_relu node_relu_1", "add": "node_add",
		"torch.add": "node_add", "mean": "node_mean", "linear": "node_linear", "cat": "", "matmul": "", "view": "node_flatten",
	} {
		if got := labels(names.New(graphtext.MustParse(dynamo)).OfType(typ)); got != want {
			t.Errorf("type %s means %q, want %q", typ, got, want)
		}
	}
	attention := names.New(graphtext.MustParse(`net (float[1, 3, 8] x) => (float[1, 3, 3] y) <float[8, 8] w = {0.1, ...}>
{ [q] q = MatMul (x, w) [t] t = Transpose <perm = [0, 2, 1]> (q) [qk] s = MatMul (q, t) [sm] y = Softmax (s) }`))
	for typ, want := range map[string]string{"matmul": "qk", "bmm": "qk", "torch.matmul": "qk", "softmax": "sm", "Linear": "q", "MatMul": "q qk", "linear": "q"} {
		if got := labels(attention.OfType(typ)); got != want {
			t.Errorf("type %s means %q, want %q", typ, got, want)
		}
	}
	for _, e := range attention.Entries {
		if strings.ToLower(e.Class) == e.Class && e.Class != "" {
			t.Errorf("%s is called %s", e.Name, e.Class)
		}
	}
}

// FuzzFind: no name and no metadata makes it panic, and a name that is listed
// is found.
func FuzzFind(f *testing.F) {
	f.Add("layer1.0.conv1", "/layer1/layer1.0/conv1/Conv", "['', 'a', 'b']", "['A', 'x.B', 'aten']")
	f.Add("A::A/B[a]/ret.1", "Conv_0", "['', \"a\\'b\"]", "[")
	f.Add("A::input_99999999999999999999", "/", "[']", "['']")
	f.Fuzz(func(t *testing.T, name, node, scopes, classes string) {
		m := graphtext.MustParse(`net (float[1] x) => (float[1] y) { y = Relu (x) }`)
		n := m.Graph.Nodes[0]
		n.Name = node
		n.Metadata = map[string]string{"pkg.torch.onnx.name_scopes": scopes, "pkg.torch.onnx.class_hierarchy": classes, "namespace": scopes}
		table := names.New(m)
		table.Find(name)
		table.Nearest(name)
		table.OfType(name)
		table.NearestTypes(name)
		e := table.Entries[0]
		if got := table.Find(e.Name); labels(got.Nodes) != e.Name {
			t.Errorf("%q is listed and not found", e.Name)
		}
		if e.Scoped && e.Module != "" && e.Module != "x" && len(table.Find(e.Module).Nodes) != 1 {
			t.Errorf("the module path %q is listed and not found", e.Module)
		}
	})
}
