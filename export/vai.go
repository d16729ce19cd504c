package export

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"narrow/calibrate"
	"narrow/diag"
	"narrow/graph/names"
	"narrow/plan"
	"narrow/scheme"
)

// VAI returns the encodings of in as vai_q_pytorch's own quant_info.json: the
// keys param, output and input, each tensor as [[bits, fix position]] for the
// DPU and [[bits, scale, zero point, float max]] otherwise, with lists in the
// place of numbers per channel. Tensors that are not int stand under dtype.
//
// Layers are named and numbered as in [Listing]; vai_q_pytorch's own numbers
// differ where its tracing sees other operations than the ONNX file has.
//
// name is the class name of the module that vai_q_pytorch will load the file for,
// "" for [ModelName]'s.
func VAI(in *calibrate.Calibrated, name string) ([]byte, error) {
	lines, model := listLines(in)
	if name != "" {
		model = name
	}
	v := &vaiInfo{in: in, model: model, table: names.New(in.Plan.Model)}
	of := map[string]*line{}
	for _, l := range lines {
		for _, o := range l.outs {
			of[o] = l
		}
	}
	lineOf := func(t *plan.Tensor) *line {
		for _, u := range t.Uses {
			for _, l := range lines {
				if l.op == nil {
					continue
				}
				for _, n := range l.op.Nodes {
					if n == u.Node {
						return l
					}
				}
			}
		}
		return of[t.Name]
	}
	for _, t := range in.Plan.Tensors {
		l := lineOf(t)
		if l == nil {
			return nil, diag.Errorf("%s belongs to no layer of the listing", describe(t))
		}
		key := l.key(model)
		section := &v.output
		switch {
		case t.Constant != nil:
			key, section = v.paramKey(t, l), &v.param
		case t.Uses != nil:
			section = &v.input
		}
		if err := v.add(section, t, key); err != nil {
			return nil, err
		}
	}
	var b bytes.Buffer
	b.WriteString("{")
	v.section(&b, "param", v.param.values)
	v.section(&b, "output", v.output.values)
	v.section(&b, "input", v.input.values)
	b.WriteString(`"fast_finetuned":false,`)
	fmt.Fprintf(&b, `"bias_corrected":%v,"version":%s`, in.Plan.Strategy.IncludeBiasCorr, quoteJSON("narrow "+in.Version))
	if len(v.param.types)+len(v.output.types)+len(v.input.types) > 0 {
		b.WriteString(`,"dtype":{`)
		v.section(&b, "param", v.param.types)
		v.section(&b, "output", v.output.types)
		v.section(&b, "input", v.input.types)
		b.Truncate(b.Len() - 1)
		b.WriteString("}")
	}
	b.WriteString("}")
	return indentJSON(b.Bytes()), nil
}

// vaiInfo collects the entries of the file, in order.
type vaiInfo struct {
	in                   *calibrate.Calibrated
	model                string
	table                *names.Table
	param, output, input vaiSection
}

type vaiSection struct{ values, types []vaiEntry }

// vaiEntry is a key with its value as JSON.
type vaiEntry struct{ key, value string }

// paramKey returns the name of a constant: Model::module.path.weight.
func (v *vaiInfo) paramKey(t *plan.Tensor, l *line) string {
	part := "weight"
	if t.Kind == scheme.Bias {
		part = "bias"
	}
	if e := v.table.Entry(l.op.Node); e != nil && e.Scoped && e.Module != "" {
		return fmt.Sprintf("%s::%s.%s", v.model, e.Module, part)
	}
	if strings.HasSuffix(t.Name, "."+part) {
		return v.model + "::" + t.Name
	}
	return fmt.Sprintf("%s::%s.%s", v.model, t.Layer.Name, part)
}

func (v *vaiInfo) add(s *vaiSection, t *plan.Tensor, key string) error {
	set := t.Settings.Settings
	if set.Datatype != scheme.Int {
		s.types = append(s.types, vaiEntry{key, "[" + quoteJSON(set.Datatype.String()) + "]"})
		return nil
	}
	e, ok := v.in.Encodings[t]
	if !ok {
		return diag.Errorf("%s has no encoding", describe(t))
	}
	if err := checkEncoding(t, e); err != nil {
		return diag.Errorf("%s: %w", describe(t), err)
	}
	entry := []any{set.BitWidth}
	if v.in.Plan.Strategy.Target == scheme.DPU && set.ScaleType == scheme.PowerOfTwo {
		if e.Axis < 0 {
			entry = append(entry, e.FixPosition[0])
		} else {
			entry = append(entry, e.FixPosition)
		}
	} else {
		scales, limits := make([]float32Exact, len(e.Scale)), make([]float32Exact, len(e.Scale))
		for i, s := range e.Scale {
			scales[i], limits[i] = float32Exact(s), float32Exact(float32(e.Max-e.ZeroPoint[i])*s)
		}
		if e.Axis < 0 {
			entry = append(entry, scales[0], e.ZeroPoint[0], limits[0])
		} else {
			entry = append(entry, scales, e.ZeroPoint, limits)
		}
	}
	text, err := json.Marshal([]any{entry})
	if err != nil {
		return diag.Errorf("%s: %w", describe(t), err)
	}
	s.values = append(s.values, vaiEntry{key, string(text)})
	return nil
}

// section writes entries, a later one of the same key left out: a constant
// that several layers share stands once.
func (v *vaiInfo) section(b *bytes.Buffer, name string, entries []vaiEntry) {
	fmt.Fprintf(b, "%s:{", quoteJSON(name))
	seen := map[string]bool{}
	for _, e := range entries {
		if seen[e.key] {
			continue
		}
		if len(seen) > 0 {
			b.WriteByte(',')
		}
		seen[e.key] = true
		b.WriteString(quoteJSON(e.key) + ":" + e.value)
	}
	b.WriteString("},")
}

// quoteJSON returns s as a JSON string.
func quoteJSON(s string) string {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		return `""` // strings always encode
	}
	return strings.TrimSpace(b.String())
}
