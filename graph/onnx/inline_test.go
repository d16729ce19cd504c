package onnx

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/protobuf/proto"

	"narrow/graph"
	"narrow/graph/graphtext"
	pb "narrow/graph/onnx/internal/onnxpb"
)

// loadProto writes m to a file and loads it.
func loadProto(t *testing.T, m *pb.ModelProto) (*graph.Model, error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "m.onnx")
	if err := os.WriteFile(path, mustMarshal(t, m), 0o644); err != nil {
		t.Fatal(err)
	}
	return Load(path)
}

func fn(name, inputs, outputs string, nodes ...*pb.NodeProto) *pb.FunctionProto {
	return &pb.FunctionProto{
		Name: ptr(name), Domain: ptr("loc"), Input: strings.Fields(inputs), Output: strings.Fields(outputs), Node: nodes,
		OpsetImport: []*pb.OperatorSetIdProto{{Domain: ptr(""), Version: ptr(int64(17))}, {Domain: ptr("loc"), Version: ptr(int64(1))}},
	}
}

// nd makes a node; an operator with a dot in front is a function's.
func nd(name, op, inputs, outputs string, attrs ...*pb.AttributeProto) *pb.NodeProto {
	n := &pb.NodeProto{Name: ptr(name), OpType: ptr(op), Attribute: attrs, Output: strings.Fields(outputs)}
	for _, in := range strings.Fields(inputs) {
		n.Input = append(n.Input, strings.TrimPrefix(in, "-"))
	}
	if f, ok := strings.CutPrefix(op, "."); ok {
		n.OpType, n.Domain = ptr(f), ptr("loc")
	}
	return n
}

func ref(name, of string) *pb.AttributeProto {
	return &pb.AttributeProto{Name: ptr(name), RefAttrName: ptr(of), Type: pb.AttributeProto_FLOAT.Enum()}
}

func f32(name string, v float32) *pb.AttributeProto {
	return &pb.AttributeProto{Name: ptr(name), F: ptr(v), Type: pb.AttributeProto_FLOAT.Enum()}
}

func withFunctions(nodes []*pb.NodeProto, fs ...*pb.FunctionProto) *pb.ModelProto {
	m := encodeModel(graphtext.MustParse(`g (float[N, 2] x) => (float[N, 2] y) <float[2] w = {1, 2}> { [call] y = Mul (x, w) }`))
	m = proto.Clone(m).(*pb.ModelProto)
	m.OpsetImport = []*pb.OperatorSetIdProto{{Domain: ptr(""), Version: ptr(int64(17))}, {Domain: ptr("loc"), Version: ptr(int64(1))}}
	m.Graph.Node = nodes
	m.Functions = fs
	return m
}

func TestInline(t *testing.T) {
	scope := []*pb.StringStringEntryProto{{Key: ptr("pkg.torch.onnx.name_scopes"), Value: ptr("['', 'a']")}}
	called := nd("call", ".f", "x w", "y")
	called.MetadataProps = scope
	branch := &pb.GraphProto{
		Name: ptr("b"), Node: []*pb.NodeProto{nd("", "Add", "t a", "o"), nd("in", ".g", "o", "r")},
		Output: []*pb.ValueInfoProto{{Name: ptr("r")}},
	}
	for _, c := range []struct {
		name  string
		model *pb.ModelProto
		want  string
	}{
		{
			"the node of the first result takes the call's name, others the call's and their own",
			withFunctions([]*pb.NodeProto{nd("call", ".f", "x w", "y")}, fn("f", "a b", "z", nd("m", "Mul", "a b", "t"), nd("", "Relu", "t", "z"))),
			`[call/m] call/t = Mul(x, w); [call] y = Relu(call/t)`,
		},
		{
			"two calls share no name",
			withFunctions([]*pb.NodeProto{nd("", ".f", "x", "h"), nd("", ".f", "h", "y")}, fn("f", "a", "z", nd("", "Neg", "a", "t"), nd("", "Abs", "t", "z"))),
			`[] t = Neg(x); [] h = Abs(t); [] t_1 = Neg(h); [] y = Abs(t_1)`,
		},
		{
			"a function calls a function",
			withFunctions([]*pb.NodeProto{nd("call", ".f", "x", "y")}, fn("f", "a", "z", nd("in", ".g", "a", "z")), fn("g", "a", "z", nd("n", "Neg", "a", "s"), nd("", "Abs", "s", "z"))),
			`[call/n] call/s = Neg(x); [call] y = Abs(call/s)`,
		},
		{
			"attributes: the call's, else the function's default, else none",
			func() *pb.ModelProto {
				f := fn("f", "a", "z", nd("", "LeakyRelu", "a", "s", ref("alpha", "slope")), nd("", "Elu", "s", "u", ref("alpha", "other")), nd("", "Elu", "u", "z", ref("alpha", "none")))
				f.AttributeProto = []*pb.AttributeProto{f32("slope", 0.5), f32("other", 0.25)}
				return withFunctions([]*pb.NodeProto{nd("", ".f", "x", "y", f32("slope", 2))}, f)
			}(),
			`[] s = LeakyRelu<alpha=2>(x); [] u = Elu<alpha=0.25>(s); [] y = Elu(u)`,
		},
		{
			"operands and results that are left out",
			withFunctions([]*pb.NodeProto{nd("", ".f", "x - w", "y")}, fn("f", "a b c", "z u", nd("", "Clip", "a b c", "z"), nd("", "Neg", "z", "u"))),
			`[] y = Clip(x, , w); [] u = Neg(y)`,
		},
		{
			"a result that is an argument",
			withFunctions([]*pb.NodeProto{nd("call", ".f", "x", "h k"), nd("", "Add", "h k", "y")}, fn("f", "a", "z a", nd("", "Neg", "a", "z"))),
			`[call] h = Neg(x); [call/Identity] k = Identity(x); [] y = Add(h, k)`,
		},
		{
			"graphs inside a function read its values, and call too",
			withFunctions([]*pb.NodeProto{nd("call", ".f", "x w", "y")},
				fn("f", "a b", "z", nd("", "Neg", "b", "t"), nd("if", "If", "b", "z", &pb.AttributeProto{Name: ptr("then_branch"), Type: pb.AttributeProto_GRAPH.Enum(), G: branch})),
				fn("g", "o", "r", nd("", "Abs", "o", "r"))),
			`[call/Neg] call/t = Neg(w); [call] y = If<then_branch={[call/Add] call/o = Add(call/t, x); [call/in] call/r = Abs(call/o) => call/r}>(w)`,
		},
		{
			"metadata of the call",
			withFunctions([]*pb.NodeProto{called}, fn("f", "a b", "z", nd("m", "Mul", "a b", "z"))),
			`[call] y = Mul(x, w) ['', 'a']`,
		},
		{
			"a function of another operator set stays",
			func() *pb.ModelProto {
				f := fn("f", "a", "z", nd("", "Neg", "a", "z"))
				f.OpsetImport[0].Version = ptr(int64(11))
				return withFunctions([]*pb.NodeProto{nd("", ".f", "x", "y")}, f)
			}(),
			`[] y = f(x)`,
		},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := loadProto(t, c.model)
			if err != nil {
				t.Fatal(err)
			}
			if got := nodesText(m.Graph); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
			again := encodeModel(m)
			if stays := strings.HasPrefix(c.name, "a function of another"); stays != (len(again.Functions) > 0) {
				t.Errorf("%d functions are written again", len(again.Functions))
			}
			if _, err := loadProto(t, again); err != nil {
				t.Errorf("what was written again: %v", err)
			}
		})
	}
}

func nodesText(g *graph.Graph) string {
	var parts []string
	for _, n := range g.Nodes {
		var attrs []string
		for _, a := range n.Attrs {
			switch a.Kind {
			case graph.AttrGraph:
				attrs = append(attrs, fmt.Sprintf("%s={%s => %s}", a.Name, nodesText(a.Graph), a.Graph.Outputs[0].Name))
			case graph.AttrFloat:
				attrs = append(attrs, fmt.Sprintf("%s=%v", a.Name, a.Float))
			default:
				attrs = append(attrs, fmt.Sprintf("%s:%d", a.Name, a.Kind))
			}
		}
		s := ""
		if attrs != nil {
			s = "<" + strings.Join(attrs, ", ") + ">"
		}
		s = fmt.Sprintf("[%s] %s = %s%s(%s)", n.Name, strings.Join(n.Outputs, ", "), n.OpType, s, strings.Join(n.Inputs, ", "))
		if scope := n.Metadata["pkg.torch.onnx.name_scopes"]; scope != "" {
			s += " " + scope
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, "; ")
}

// TestInlineBounds: what would never end is refused before anything is made.
func TestInlineBounds(t *testing.T) {
	bomb := func(levels int) *pb.ModelProto {
		fs := []*pb.FunctionProto{fn("f0", "a", "z", nd("", "Relu", "a", "z"))}
		for i := 1; i < levels; i++ {
			below := fmt.Sprintf(".f%d", i-1)
			fs = append(fs, fn(fmt.Sprintf("f%d", i), "a", "z", nd("", below, "a", "b"), nd("", below, "b", "z")))
		}
		return withFunctions([]*pb.NodeProto{nd("call", fmt.Sprintf(".f%d", levels-1), "x", "y")}, fs...)
	}
	deep := []*pb.FunctionProto{fn("f0", "a", "z", nd("", "Relu", "a", "z"))}
	for i := 1; i < 20000; i++ {
		deep = append(deep, fn(fmt.Sprintf("f%d", i), "a", "z", nd("", fmt.Sprintf(".f%d", i-1), "a", "z")))
	}
	large := fn("f0", "a", "z", nd("", "Add", "a c", "z"), nd("", "Constant", "", "c", &pb.AttributeProto{
		Name: ptr("value"), Type: pb.AttributeProto_TENSOR.Enum(), T: &pb.TensorProto{Dims: []int64{1 << 18}, DataType: ptr(int32(1)), RawData: make([]byte, 1<<20)}}))
	var calls []*pb.NodeProto
	last := "x"
	for i := range 100 {
		calls = append(calls, nd("", ".f0", last, fmt.Sprintf("v%d", i)))
		last = fmt.Sprintf("v%d", i)
	}
	calls = append(calls, nd("", "Neg", last, "y"))
	for _, c := range []struct {
		name  string
		model *pb.ModelProto
		want  string
	}{
		{"2^16 nodes", bomb(17), `become more than 50000 nodes`},
		{"2^40 nodes", bomb(41), `become more than 50000 nodes`},
		{"2^14 nodes", bomb(15), ``},
		{"deep", withFunctions([]*pb.NodeProto{nd("", ".f19999", "x", "y")}, deep...), `more than 100 deep`},
		{"deep, asked for from below", withFunctions([]*pb.NodeProto{nd("", ".f80", "x", "h"), nd("", ".f160", "h", "y")}, deep...), `more than 100 deep`},
		{"bytes", withFunctions(calls, large), `become 64 MB`},
		{"itself", withFunctions([]*pb.NodeProto{nd("", ".f", "x", "y")}, fn("f", "a", "z", nd("", ".g", "a", "z")), fn("g", "a", "z", nd("", ".f", "a", "z"))), `"loc.f" calls itself`},
		{"twice", withFunctions([]*pb.NodeProto{nd("", ".f", "x", "y")}, fn("f", "a", "z", nd("", "Neg", "a", "z")), fn("f", "a", "z", nd("", "Neg", "a", "z"))), `two functions are called "loc.f"`},
		{"a broken function", withFunctions([]*pb.NodeProto{nd("", ".f", "x", "y")}, fn("f", "a", "z", nd("n", "Neg", "nope", "z"))), `function "loc.f": node "n" (Neg) reads "nope"`},
		{"a result that is never made", withFunctions([]*pb.NodeProto{nd("", ".f", "x", "y")}, fn("f", "a", "z", nd("n", "Neg", "a", "u"))), `output "z" is made by nothing`},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := loadProto(t, c.model)
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want == "":
				if len(m.Graph.Nodes) != 1<<14 {
					t.Errorf("%d nodes", len(m.Graph.Nodes))
				}
			case err == nil || !strings.Contains(err.Error(), c.want):
				t.Errorf("got %v, want %q in it", err, c.want)
			}
		})
	}
}
