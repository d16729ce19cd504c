package serve

import (
	"context"
	"path/filepath"
	"regexp"
	"strings"

	"narrow"
	"narrow/diag"
	"narrow/graph"
	"narrow/graph/names"
	"narrow/graph/onnx"
	"narrow/scheme"
	"narrow/strategy"
)

// model is an opened network.
type model struct {
	*narrow.Model
}

// port is an input or output of a network.
type port struct {
	Name string `json:"name"`
	Type string `json:"type"`
	// Shape has null for dimensions that are open; it is null itself where not
	// even their number is known.
	Shape []*int64 `json:"shape"`
}

func portOf(v *graph.Value) port {
	p := port{Name: v.Name, Type: typeName(v.Type)}
	if v.Shape == nil {
		return p
	}
	p.Shape = make([]*int64, len(v.Shape))
	for i, d := range v.Shape {
		if d.Size >= 0 {
			p.Shape[i] = &d.Size
		}
	}
	return p
}

type modelResult struct {
	Handle  int    `json:"handle"`
	SHA256  string `json:"sha256"`
	Inputs  []port `json:"inputs"`
	Outputs []port `json:"outputs"`
	// Opset is the standard operator set that the model is written for.
	Opset int64 `json:"opset"`
	// Batch is how many samples the network takes at once, 0 for any number.
	Batch int `json:"batch"`
}

// open reads a model. With modules it first writes the tree of torch modules that
// the network was exported from into the model, so that rules and listings can
// use the modules' names, and saves that; what is opened then is what was saved.
func open(ctx context.Context, c *call) (any, []Array, error) {
	var p struct {
		Path string `json:"path"`
		// Name is what results call the model's file; Path where it is empty.
		Name string `json:"name"`
		// Modules are the classes of the torch modules, with their packages, by
		// path; that of the network itself is "".
		Modules map[string]string `json:"modules"`
		// Save is the file to write with the modules' names.
		Save string `json:"save"`
	}
	if err := c.parse(&p); err != nil {
		return nil, nil, err
	}
	if p.Path == "" {
		return nil, nil, usagef("open needs the path of a model")
	}
	if len(p.Modules) > 0 {
		if p.Save == "" {
			return nil, nil, usagef("open writes modules into a copy of the model: give the path to save it as")
		}
		m, err := onnx.Load(p.Path)
		if err != nil {
			return nil, nil, err
		}
		nameModules(m, p.Modules)
		forgetSource(m)
		if err := onnx.Save(m, p.Save); err != nil {
			return nil, nil, diag.Errorf("writing the model with its modules' names: %w", err)
		}
		p.Path = p.Save
	}
	m, err := narrow.Open(ctx, p.Path)
	if err != nil {
		return nil, nil, err
	}
	if err := m.Fold(ctx, c.s.runner); err != nil {
		return nil, nil, err
	}
	if p.Name != "" {
		m.Path = p.Name
	}
	res := modelResult{Handle: c.s.put(&model{m}), SHA256: m.SHA256, Opset: m.Graph.Opsets[""], Batch: fixedBatch(m)}
	ix := graph.NewIndex(m.Graph.Graph)
	for _, v := range m.Graph.Graph.Inputs {
		if ix.IsInput(v.Name) {
			res.Inputs = append(res.Inputs, portOf(v))
		}
	}
	for _, v := range m.Graph.Graph.Outputs {
		res.Outputs = append(res.Outputs, portOf(v))
	}
	return res, nil, nil
}

// forgetSource takes out what an exporter tells of the script that called it, such
// as its lines: it would make another model of the same network.
func forgetSource(m *graph.Model) {
	for _, n := range m.Graph.Nodes {
		for key := range n.Metadata {
			if strings.HasPrefix(key, "pkg.torch.") && key != metaScopes && key != metaClasses {
				delete(n.Metadata, key)
			}
		}
	}
}

// Keys of a node's metadata_props in which torch's newer exporter writes the
// modules that a node came from: two Python lists, from the network to the node.
const (
	metaScopes  = "pkg.torch.onnx.name_scopes"
	metaClasses = "pkg.torch.onnx.class_hierarchy"
)

// nameModules writes the classes of modules into the nodes that they made, the
// way torch's newer exporter does. Nodes whose module is not known stay as they
// are.
func nameModules(m *graph.Model, modules map[string]string) {
	ix := graph.NewIndex(m.Graph)
	for _, e := range names.New(m).Entries {
		module, scoped := e.Module, e.Scoped
		if w := weightsOf(e.Node, ix, modules); w != "" && trimCall(module) != w {
			module, scoped = w, true // a normalization was folded into it, and gave it its name
		} else if e.Node.Metadata[metaScopes] != "" {
			continue
		}
		if !scoped {
			continue
		}
		scopes, classes := []string{""}, []string{modules[""]}
		parts := strings.Split(module, ".")
		known := true
		for i := range parts {
			if module == "" {
				break
			}
			path := strings.Join(parts[:i+1], ".")
			class := modules[path]
			if class == "" { // a module that is called again has a number behind its name
				class = modules[trimCall(path)]
			}
			if class == "" {
				class = modules[strings.Join(trimCalls(parts[:i+1]), ".")]
			}
			if class == "" {
				known = false
				break
			}
			scopes, classes = append(scopes, path), append(classes, class)
		}
		if !known || classes[0] == "" {
			continue
		}
		if e.Node.Metadata == nil {
			e.Node.Metadata = map[string]string{}
		}
		e.Node.Metadata[metaScopes] = pythonList(append(scopes, e.Name))
		e.Node.Metadata[metaClasses] = pythonList(append(classes, e.Node.OpType))
	}
}

// weightsOf returns the module whose weights a node reads, by their name, "" where
// it is not known.
func weightsOf(n *graph.Node, ix *graph.Index, modules map[string]string) string {
	if !n.Is("Conv", "ConvTranspose", "Gemm", "MatMul") {
		return ""
	}
	for _, in := range n.Inputs {
		if path, ok := strings.CutSuffix(in, ".weight"); ok && ix.Constant[in] != nil && modules[path] != "" {
			return path
		}
	}
	return ""
}

// trimCall takes the number of a repeated call off a path.
func trimCall(path string) string { return callTail.ReplaceAllString(path, "") }

var callTail = regexp.MustCompile(`_[0-9]+$`)

// trimCalls takes the numbers of repeated calls off the parts of a path.
func trimCalls(parts []string) []string {
	out := make([]string, len(parts))
	for i, p := range parts {
		out[i] = trimCall(p)
	}
	return out
}

// pythonList writes strings as Python's repr writes a list of them.
func pythonList(list []string) string {
	quoted := make([]string, len(list))
	for i, s := range list {
		quoted[i] = "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) + "'"
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// planned is a model with a strategy laid over it.
type planned struct {
	*narrow.Planned
}

// resolve lays a strategy over a model. Every mistake of the strategy comes at
// once.
func resolve(_ context.Context, c *call) (any, []Array, error) {
	var p struct {
		Model int `json:"model"`
		strategyParams
		// Accuracy is "high" or "guide"; "" for high.
		Accuracy string `json:"accuracy"`
		// Float are modules, by the last part of their path, whose nodes stay in float:
		// a rule by name for each is laid behind those of the strategy.
		Float []string `json:"float"`
	}
	if err := c.parse(&p); err != nil {
		return nil, nil, err
	}
	m, err := get[*model](c.s, p.Model, "model")
	if err != nil {
		return nil, nil, err
	}
	how, err := accuracyOf(p.Accuracy)
	if err != nil {
		return nil, nil, err
	}
	st, list, err := p.read()
	if err != nil {
		return nil, nil, err
	}
	if list.HasErrors() {
		return nil, nil, c.s.strategyError(list, st.Source)
	}
	if st, list, err = keepFloat(m, st, p.Float); err != nil {
		return nil, nil, err
	}
	if list.HasErrors() {
		return nil, nil, c.s.strategyError(list, st.Source)
	}
	plan, err := m.Plan(st, narrow.PlanOptions{Accuracy: how})
	if list, ok := diag.AsFindings(err); ok {
		return nil, nil, c.s.strategyError(list, st.Source)
	}
	if err != nil {
		return nil, nil, err
	}
	return struct {
		Handle int `json:"handle"`
		found
		Accuracy string `json:"accuracy"`
		Tensors  int    `json:"tensors"`
		SHA256   string `json:"strategy_sha256"`
	}{c.s.put(&planned{plan}), c.s.found(plan.Findings, st.Source), plan.Accuracy.String(), len(plan.Plan.Tensors), st.SHA256()}, nil, nil
}

// accuracyOf reads the way to quantize, "" for the default.
func accuracyOf(name string) (narrow.Accuracy, error) {
	var how narrow.Accuracy
	if name == "" {
		return how, nil
	}
	how, err := scheme.ParseAccuracy(name)
	if err != nil {
		return how, usagef("accuracy: %v", err)
	}
	return how, nil
}

// strategyError is the error of findings, worded as the command prints them.
func (s *Server) strategyError(list diag.List, source []byte) error {
	list.Sort()
	return &Error{Kind: KindStrategy, Message: s.text(list, source), Findings: list}
}

// read returns the strategy and what is wrong with it.
func (p strategyParams) read() (*strategy.Strategy, diag.List, error) {
	switch {
	case p.Text != nil:
		st, list := strategy.Parse(p.File, []byte(*p.Text))
		return st, list, nil
	case p.File == "":
		return strategy.Default(), nil, nil
	}
	text, err := strategy.ReadFile(p.File)
	if err != nil {
		return nil, nil, err
	}
	st, list := strategy.Parse(filepath.Clean(p.File), text)
	return st, list, nil
}
