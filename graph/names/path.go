package names

import (
	"regexp"
	"strconv"
	"strings"

	"narrow/graph"
)

// Keys of metadata_props that torch's dynamo-based exporter writes.
const (
	metaScopes  = "pkg.torch.onnx.name_scopes"
	metaClasses = "pkg.torch.onnx.class_hierarchy"
	// metaNamespace is one string of both, for people: ": pkg.Net/layer1:
	// torch.nn.modules.container.Sequential/.../conv2d: aten.conv2d.default".
	metaNamespace = "namespace"
)

// scope is where in the torch module tree a node was made.
type scope struct {
	known bool
	// metadata says that it comes from metadata, which does not tell calls of a
	// module apart.
	metadata bool
	// path is the module's path, "" for the root.
	path string
	// classes are the classes from the root to the module, without packages;
	// nil where the exporter did not write them. names are the modules' own
	// paths, one for each class.
	classes, names []string
	// full is the module's class with its package.
	full string
}

// scopeOf reads a node's scope from what exporters leave in it.
func scopeOf(n *graph.Node, ix *graph.Index) scope {
	if s := scopeFromMetadata(n); s.known {
		return s
	}
	if s := scopeFromName(n); s.known {
		return s
	}
	return scopeFromWeights(n, ix)
}

// scopeFromMetadata reads what the dynamo-based exporter writes: two Python
// lists, from the root module to the operation itself.
func scopeFromMetadata(n *graph.Node) scope {
	paths, ok := pythonList(n.Metadata[metaScopes])
	classes, ok2 := pythonList(n.Metadata[metaClasses])
	if !ok || len(paths) == 0 {
		paths, classes, ok2 = namespace(n.Metadata[metaNamespace])
		if len(paths) == 0 {
			return scope{}
		}
	}
	s := scope{known: true, metadata: true}
	paths = paths[:len(paths)-1] // the last one is the operation
	if len(paths) > 0 {
		s.path = paths[len(paths)-1]
	}
	if ok2 && len(classes) == len(paths)+1 && len(paths) > 0 {
		s.names = paths
		for _, c := range classes[:len(paths)] {
			s.classes = append(s.classes, c[strings.LastIndexByte(c, '.')+1:])
		}
		s.full = classes[len(paths)-1]
	}
	return s
}

// namespace splits the exporter's readable form of the two lists.
func namespace(s string) (paths, classes []string, ok bool) {
	if s == "" {
		return nil, nil, false
	}
	for _, part := range strings.Split(s, "/") {
		path, class, found := strings.Cut(part, ": ")
		if !found {
			return nil, nil, false
		}
		paths, classes = append(paths, path), append(classes, class)
	}
	return paths, classes, true
}

// pythonList reads a Python list of strings as repr writes it.
func pythonList(s string) ([]string, bool) {
	s = strings.TrimSpace(s)
	body, ok := strings.CutPrefix(s, "[")
	body, ok2 := strings.CutSuffix(body, "]")
	if !ok || !ok2 {
		return nil, false
	}
	list := []string{}
	for {
		body = strings.TrimSpace(body)
		if body == "" {
			return list, true
		}
		q := body[0]
		if q != '\'' && q != '"' {
			return nil, false
		}
		var b strings.Builder
		i := 1
		for ; i < len(body) && body[i] != q; i++ {
			if body[i] == '\\' && i+1 < len(body) {
				i++
			}
			b.WriteByte(body[i])
		}
		if i >= len(body) {
			return nil, false
		}
		list = append(list, b.String())
		body = strings.TrimSpace(body[i+1:])
		rest, comma := strings.CutPrefix(body, ",")
		if !comma && body != "" {
			return nil, false
		}
		body = rest
	}
}

// scopeFromName reads the names that torch's TorchScript-based exporter writes
// since 1.13: /layer1/layer1.0/conv1/Conv. A module called by a container
// that is a layer itself repeats the container's name; one in a list that is
// never called does not: /model.22/cv2.0/conv/Conv.
func scopeFromName(n *graph.Node) scope {
	rest, ok := strings.CutPrefix(n.Name, "/")
	if !ok {
		return scope{}
	}
	parts := strings.Split(rest, "/")
	op := parts[len(parts)-1]
	if !opPart(op, n.OpType) {
		return scope{}
	}
	var path []string
	last := ""
	for _, p := range parts[:len(parts)-1] {
		if p == "" {
			return scope{}
		}
		own := p
		if last != "" {
			// A container called a second time is layer1_1, its children still layer1.0.
			if tail, ok := strings.CutPrefix(p, last+"."); ok {
				own = tail
			} else if tail, ok := strings.CutPrefix(p, trimCall(last)+"."); ok {
				own = tail
			}
		}
		path = append(path, own)
		last = p
	}
	return scope{known: true, path: strings.Join(path, ".")}
}

// opPart reports whether the last part of a name is an operation's: its
// operator with a counter, or one of the nodes that stand for one torch
// function (Mul_output_0_QuantizeLinear is not).
func opPart(part, op string) bool {
	return strings.EqualFold(trimCall(part), op) || opName.MatchString(part)
}

var (
	opName   = regexp.MustCompile(`^[A-Z][A-Za-z0-9]*(_[0-9]+)?$`)
	callTail = regexp.MustCompile(`_[0-9]+$`)
)

// trimCall takes the counter off a name that is used a second time.
func trimCall(s string) string { return callTail.ReplaceAllString(s, "") }

// scopeFromWeights takes the module path from the name of a node's constant,
// layer1.0.conv1.weight, as files have it whose nodes are named otherwise.
func scopeFromWeights(n *graph.Node, ix *graph.Index) scope {
	for _, in := range n.Inputs[min(1, len(n.Inputs)):] {
		if ix.Constant[in] == nil {
			continue
		}
		for _, suffix := range []string{".weight", ".bias"} {
			if path, ok := strings.CutSuffix(in, suffix); ok && path != "" {
				return scope{known: true, path: path}
			}
		}
	}
	return scope{}
}

// vaiName writes a scope the way vai_q_pytorch names layers, up to the last
// part, which only its own tracing knows. "" where the classes are unknown.
func (s scope) vaiName() string {
	if len(s.classes) == 0 {
		return ""
	}
	var b strings.Builder
	b.WriteString(s.classes[0] + "::" + s.classes[0])
	parent := ""
	for i := 1; i < len(s.classes); i++ {
		own := s.names[i]
		if parent != "" {
			own = strings.TrimPrefix(own, parent+".")
		}
		b.WriteString("/" + s.classes[i] + "[" + own + "]")
		parent = s.names[i]
	}
	return b.String()
}

// vai is a name of vai_q_pytorch taken apart.
type vai struct {
	path string
	// class is the class of the last bracketed part, "" at the root.
	class string
	// tail is the last part, such as input.2 or ret.3; "" where it is missing.
	tail string
	// input is the number of the network input, -1 if it is none.
	input int
	// number is N of the (Net::nndct_conv2d_N) that a listing writes behind a
	// name; 0 where it is missing.
	number int
}

var (
	vaiModule = regexp.MustCompile(`^([^\[\]/]*)\[([^\[\]/]+)\]$`)
	vaiNumber = regexp.MustCompile(`::nndct_[a-z0-9_]*?_([0-9]{1,9})\)$`)
	vaiInput  = regexp.MustCompile(`^(?:nndct_)?input_([0-9]+)$`)
)

// parseVai takes a name of vai_q_pytorch apart: an optional Net::, the class of
// the network, Class[module] for each module on the way, and a last part. The
// listing writes a second name in parentheses behind it.
func parseVai(name string) (vai, bool) {
	name = strings.TrimSpace(name)
	number := 0
	if m := vaiNumber.FindStringSubmatch(name); m != nil {
		number, _ = strconv.Atoi(m[1]) // at most nine digits
	}
	if i := strings.IndexByte(name, '('); i > 0 && strings.HasSuffix(name, ")") {
		name = name[:i]
	}
	_, rest, scoped := strings.Cut(name, "::")
	if !scoped {
		rest = name
	}
	v := vai{input: -1, number: number}
	if m := vaiInput.FindStringSubmatch(rest); scoped && m != nil {
		for _, c := range m[1] {
			v.input = max(v.input, 0)*10 + int(c-'0')
		}
		return v, true
	}
	parts := strings.Split(rest, "/")
	var path []string
	for i, p := range parts {
		m := vaiModule.FindStringSubmatch(p)
		switch {
		case m != nil:
			v.class = m[1]
			path = append(path, m[2])
		case i == len(parts)-1 && i > 0:
			v.tail = p
		case i > 0:
			return vai{}, false
		}
	}
	v.path = strings.Join(path, ".")
	return v, scoped && len(parts) > 1 || len(path) > 0
}
