package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"narrow"
	"narrow/diag"
	"narrow/graph"
	"narrow/internal/messages"
	"narrow/plan"
	"narrow/scheme"
	"narrow/strategy"
)

// explainReport is the JSON document of explain.
type explainReport struct {
	Model string `json:"model"`
	// Strategy is the file's name, null where there is none.
	Strategy *string     `json:"strategy"`
	Tensors  []explained `json:"tensors"`
	// Unquantized are layers with weights that stay in float whatever the
	// settings; empty where one layer is asked for.
	Unquantized []unquantized `json:"unquantized"`
	Findings    diag.List     `json:"findings"`
}

// unquantized is a layer with weights that stays in float; In is the control flow
// around it, "" where there is none.
type unquantized struct {
	Name   string    `json:"name"`
	Op     string    `json:"op"`
	In     string    `json:"in"`
	Reason diag.Text `json:"because"`
}

// explained is one tensor that could be quantized.
type explained struct {
	Name string      `json:"name"`
	Kind scheme.Kind `json:"kind"`
	// Layer names the layer whose settings apply, LayerType its operator.
	Layer     string `json:"layer"`
	LayerType string `json:"layer_type"`
	// Group are the nodes that share one activation quantizer.
	Group []string `json:"group"`
	// Rule is the layer rule that decides, null where the model's settings do.
	Rule *string `json:"rule"`
	// Quantized says whether the tensor is quantized, Reason why.
	Quantized bool      `json:"quantized"`
	Reason    diag.Text `json:"because"`
	// Axis is the channel axis, null per tensor.
	Axis *int `json:"axis"`
	// Settings are empty where the tensor is not quantized.
	Settings []explainedSetting `json:"settings"`
}

// explainedSetting is one setting with its origin.
type explainedSetting struct {
	Key   strategy.Key    `json:"key"`
	Value json.RawMessage `json:"value"`
	// Applies is false where the setting does not count: all but the datatype
	// count only for int, for example.
	Applies bool `json:"applies"`
	// Reason is Origin on one line.
	Reason diag.Text       `json:"because"`
	Origin strategy.Origin `json:"origin"`
	// Overridden are the values set on the way, the weakest first.
	Overridden []overridden `json:"overridden"`
}

// overridden is a value that does not hold, with who set it and who overrode it.
type overridden struct {
	Value  json.RawMessage `json:"value"`
	Reason diag.Text       `json:"because"`
	Origin strategy.Origin `json:"origin"`
	By     diag.Text       `json:"overridden_by"`
}

// rawValue writes a setting's value as JSON.
func rawValue(text string) json.RawMessage {
	if json.Valid([]byte(text)) { // numbers and booleans
		return json.RawMessage(text)
	}
	return json.RawMessage(strconv.Quote(text))
}

func explainSetting(b strategy.Reason, applies bool) explainedSetting {
	s := explainedSetting{Key: b.Key, Value: rawValue(b.Value), Applies: applies, Reason: b.Origin.Reason(), Origin: b.Origin, Overridden: []overridden{}}
	for _, o := range b.Overridden {
		s.Overridden = append(s.Overridden, overridden{rawValue(o.Value), o.Origin.Reason(), o.Origin, o.By.Reason()})
	}
	return s
}

func newExplainCommand(a *app) *cobra.Command {
	var file, model, layer, format string
	var asJSON bool
	var accuracy accuracyFlag
	c := &cobra.Command{
		Use:   "explain [--config-file F] --model M [--layer L]",
		Short: "Show each tensor's settings and where they come from",
		Long: `explain lists every tensor of a model that can be quantized, in the network's
order, with each setting that applies and the line of the strategy file, or the
default, that it comes from. Values that were overridden stand in brackets.
For tensors that are not quantized it tells why. What calib decides over the
samples stands in a note. With --format xmodel it lists
the operators that each layer becomes in an .xmodel, or why it cannot be written.`,
		Example: `  narrow explain --config-file strategy.json --model resnet18.onnx \
    --layer /layer1/layer1.0/conv1/Conv`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if format != "" && format != formatXModel {
				return usagef("--format is %q: it must be xmodel", format)
			}
			if err := accuracy.read(); err != nil {
				return err
			}
			m, err := openModel(c.Context(), model)
			if err != nil {
				return err
			}
			s, list, err := a.readConfig(file)
			if err != nil {
				return err
			}
			if list.HasErrors() {
				a.printFindings(a.stderr, list, s.Source)
				return a.verdict(list)
			}
			p, more, err := m.Draft(s, narrow.PlanOptions{Accuracy: accuracy.chosen})
			if err != nil {
				return err
			}
			list = append(append(list, more...), undecided(p, accuracy.chosen)...)
			list.Sort()
			a.printFindings(a.stderr, list, s.Source)
			if format == formatXModel {
				return a.explainXModel(m, p, layer, list, asJSON)
			}
			r, err := newExplainReport(m.Path, p, layer)
			if err != nil {
				return err
			}
			r.Findings = append(diag.List{}, list...)
			if asJSON {
				err = a.printJSON(r)
			} else {
				err = printExplain(a.stdout, a.lang, r)
			}
			if err != nil {
				return err
			}
			return a.verdict(list)
		},
	}
	configFlag(c, &file)
	modelFlag(c, &model)
	accuracy.add(c)
	c.Flags().StringVar(&layer, "layer", "", "only this layer: a node name, module path or vai name")
	c.Flags().StringVar(&format, "format", "", "`xmodel`: what each layer becomes in an .xmodel")
	c.Flags().BoolVar(&asJSON, "json", false, "print one JSON document")
	return c
}

// undecided notes what calib decides over the samples, of which explain has none.
func undecided(p *plan.Plan, a narrow.Accuracy) diag.List {
	target := p.Strategy.Target
	if a != narrow.High || target == scheme.DPU {
		return nil
	}
	var open []diag.Text
	functions := p.JoinedFunctions()
	if p.Strategy.IncludeCLE || target == scheme.GPU && len(functions) > 0 {
		open = append(open, diag.Textf("by which factors channels are brought to one range"))
	}
	if target == scheme.CPU && len(functions) > 0 {
		open = append(open, diag.Textf("whether functions such as %s are quantized together with the layers before them", functions[0]))
	}
	if open == nil {
		return nil
	}
	return diag.List{{Severity: diag.Note, Code: "decided-by-samples", Message: diag.Textf("explain sees no samples; over them, calib decides %s", diag.Commas(open))}}
}

// newExplainReport lists the tensors of a plan in the network's order; layer
// narrows it to one layer, "" does not.
func newExplainReport(model string, p *plan.Plan, layer string) (explainReport, error) {
	rep := explainReport{Model: model, Tensors: []explained{}, Unquantized: []unquantized{}}
	for _, u := range p.Unquantized {
		if layer == "" || layer == u.Name {
			rep.Unquantized = append(rep.Unquantized, unquantized{u.Name, u.Op, u.In, u.Why})
		}
	}
	if p.Strategy.File != "" {
		rep.Strategy = &p.Strategy.File
	}
	only, err := layersNamed(p, layer)
	if err != nil {
		return rep, err
	}
	quantized, floats := map[*plan.Layer][]*plan.Tensor{}, map[*plan.Layer][]plan.FloatTensor{}
	for _, t := range p.Tensors {
		quantized[t.Layer] = append(quantized[t.Layer], t)
	}
	for _, l := range p.FloatTensors {
		floats[l.Layer] = append(floats[l.Layer], l)
	}
	for _, l := range p.Layers {
		if only != nil && !only[l] {
			continue
		}
		var ts []explained
		for _, x := range floats[l] {
			ts = append(ts, explainFloat(x))
		}
		for _, t := range quantized[l] {
			ts = append(ts, explainTensor(t))
		}
		// What enters, then the constants, then what leaves; what is not quantized
		// inside a group stands before the group's output.
		slices.SortStableFunc(ts, func(a, b explained) int { return int(a.Kind) - int(b.Kind) })
		rep.Tensors = append(rep.Tensors, ts...)
	}
	return rep, nil
}

// layersNamed returns the layers that a name means, nil for all.
func layersNamed(p *plan.Plan, name string) (map[*plan.Layer]bool, error) {
	if name == "" {
		return nil, nil
	}
	m := p.Names.Find(name)
	found := map[*plan.Layer]bool{}
	for _, l := range p.Layers {
		if l.Name == name || l.Node == nil && l.Name == m.Input ||
			slices.ContainsFunc(l.Nodes, func(n *graph.Node) bool { return slices.Contains(m.Nodes, n) }) {
			found[l] = true
		}
	}
	if len(found) == 0 && !slices.ContainsFunc(p.Unquantized, func(u plan.Unquantized) bool { return u.Name == name }) {
		return nil, usagef("--layer: the model has no layer %q%s", name, didYouMean("", p.Names.Nearest(name)))
	}
	return found, nil
}

func about(l *plan.Layer, name string, kind scheme.Kind) explained {
	e := explained{Name: name, Kind: kind, Layer: l.Name, LayerType: l.Op, Group: []string{}, Settings: []explainedSetting{}}
	for i, n := range l.Nodes {
		if i == longestGroup {
			e.Group = append(e.Group, fmt.Sprintf("… (%d more)", len(l.Nodes)-i))
			break
		}
		e.Group = append(e.Group, n.Label())
	}
	return e
}

// longestGroup is how many nodes of a group are listed: a group of thousands,
// each tensor of which listed all, would fill memory.
const longestGroup = 100

func explainFloat(x plan.FloatTensor) explained {
	e := about(x.Layer, x.Name, x.Kind)
	e.Reason = x.Why
	return e
}

func explainTensor(t *plan.Tensor) explained {
	e := about(t.Layer, t.Name, t.Kind)
	e.Quantized, e.Reason = true, t.Where
	if t.Axis >= 0 {
		e.Axis = &t.Axis
	}
	if r := t.Settings.Rule; r != nil {
		text := r.String()
		e.Rule = &text
	}
	for _, b := range t.Settings.All() {
		e.Settings = append(e.Settings, explainSetting(b, t.Settings.Applies(b.Key)))
	}
	return e
}

func printExplain(w io.Writer, lang messages.Language, r explainReport) error {
	var b strings.Builder
	line := func(indent string, t diag.Text) { fmt.Fprintf(&b, "%s%s\n", indent, clean(lang.Sprint(t))) }
	last := ""
	for _, t := range r.Tensors {
		if head := lang.Sprint(layerHead(t)); head != last {
			line("", diag.Verbatim(head))
			last = head
		}
		switch {
		case !t.Quantized:
			line("  ", diag.Textf("%s %s: not quantized: %s", t.Kind, t.Name, t.Reason))
			continue
		case t.Axis != nil:
			line("  ", diag.Textf("%s %s: %s, one scale per channel of axis %d", t.Kind, t.Name, t.Reason, *t.Axis))
		default:
			line("  ", diag.Textf("%s %s: %s", t.Kind, t.Name, t.Reason))
		}
		for _, s := range t.Settings {
			if !s.Applies {
				continue
			}
			fmt.Fprintf(&b, "    %-22s  %-10s  %s\n", s.Key, unquote(s.Value), clean(lang.Sprint(s.Reason)))
			above := string(s.Value)
			for _, o := range slices.Backward(s.Overridden) {
				if string(o.Value) != above { // saying the same again overrides nothing
					line(strings.Repeat(" ", 28), diag.Textf("[%s  %s; overridden by %s]", unquote(o.Value), o.Reason, o.By))
				}
				above = string(o.Value)
			}
		}
		if len(t.Settings) > 0 && unquote(t.Settings[0].Value) != scheme.Int.String() {
			line("    ", diag.Textf("(the other settings count only for int)"))
		}
	}
	for _, u := range r.Unquantized {
		if slices.ContainsFunc(r.Tensors, func(t explained) bool { return t.Layer == u.Name && t.Kind == scheme.Weights }) {
			continue // told above
		}
		line("", diag.Textf("%s (%s)", u.Name, u.Op))
		line("  ", diag.Textf("weights not quantized: %s", u.Reason))
	}
	if _, err := io.WriteString(w, b.String()); err != nil {
		return diag.Errorf("writing: %w", err)
	}
	return nil
}

func unquote(v json.RawMessage) string { return strings.Trim(string(v), `"`) }

// layerHead writes a layer's line: its name, type, and what is joined to it.
func layerHead(t explained) diag.Text {
	if len(t.Group) > 1 {
		return diag.Textf("%s (%s): one group, %s", t.Layer, t.LayerType, strings.Join(t.Group, " + "))
	}
	return diag.Textf("%s (%s)", t.Layer, t.LayerType)
}
