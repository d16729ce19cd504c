package strategy

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"narrow/scheme"
)

// Format writes the strategy as a file in canonical form: the keys in the
// order of the format's documentation, two blanks a level, and no setting
// that only restates what is inherited. target_device stays where the file
// has it, because vai_q_pytorch takes no file without it. Comments are not
// kept. Parsing the result gives a strategy that resolves the same, and
// formatting that changes nothing.
func (s *Strategy) Format() []byte {
	var w writer
	def := Default()
	w.bool(keyReLU6, s.ConvertReLU6, def.ConvertReLU6)
	w.bool(keySiLU, s.ConvertSiLU, def.ConvertSiLU)
	w.bool(keyCLE, s.IncludeCLE, def.IncludeCLE)
	w.bool(keyBiasCorr, s.IncludeBiasCorr, def.IncludeBiasCorr)
	w.bool(keyFirstLast, s.KeepFirstLast, def.KeepFirstLast)
	w.bool(keyAdd, s.KeepAdd, def.KeepAdd)
	if _, ok := s.where[keyTarget]; ok || s.Target != def.Target {
		w.add(keyTarget, quoted(s.Target))
	}
	if s.OpsetVersion != 0 {
		w.add(keyOpset, fmt.Sprint(s.OpsetVersion))
	}
	w.bool(keyConcatFix, s.ChangeConcatInputFix, false)
	w.bool(keyPoolFix, s.ChangePoolInputFix, false)
	if s.Kinds != def.Kinds {
		w.add(keyKinds, kindsText(s.Kinds))
	}
	overall, tensors := slim(&s.overall, &s.tensor, AllKinds, Defaults)
	if overall != "{}" {
		w.add(keyOverall, overall)
	}
	if tensors != "{}" {
		w.add(keyTensor, tensors)
	}
	if len(s.Rules) > 0 {
		rules := make([]string, len(s.Rules))
		for i, r := range s.Rules {
			rules[i] = r.format(slim(&r.overall, &r.tensor, r.Kinds, s.inherited))
		}
		w.add(keyLayers, "["+strings.Join(rules, ",")+"]")
	}
	return w.file()
}

// Expand returns s with some rules written out: in the place of a rule that names
// has, stand rules of the same settings for each name alone, none where there
// are no names. All names are exact then: rules that gave way to others for being
// less so come before them.
func (s *Strategy) Expand(names map[*Rule][]string) *Strategy {
	c := *s
	c.Rules = nil
	rules := slices.Clone(s.Rules)
	slices.SortStableFunc(rules, func(a, b *Rule) int { return a.Rank() - b.Rank() })
	for _, r := range rules {
		list, ok := names[r]
		if !ok {
			c.Rules = append(c.Rules, r)
			continue
		}
		for _, name := range list {
			one := *r
			one.LayerName, one.LayerNames = name, nil
			c.Rules = append(c.Rules, &one)
		}
	}
	return &c
}

// MarshalResolved writes the strategy out in full, every default included:
// what quant_info.json keeps, and what [Strategy.SHA256] is about. Parsing it
// gives a strategy that resolves the same and marshals to the same bytes.
func (s *Strategy) MarshalResolved() []byte {
	var w writer
	w.add(keyReLU6, fmt.Sprint(s.ConvertReLU6))
	w.add(keySiLU, fmt.Sprint(s.ConvertSiLU))
	w.add(keyCLE, fmt.Sprint(s.IncludeCLE))
	w.add(keyBiasCorr, fmt.Sprint(s.IncludeBiasCorr))
	w.add(keyFirstLast, fmt.Sprint(s.KeepFirstLast))
	w.add(keyAdd, fmt.Sprint(s.KeepAdd))
	w.add(keyTarget, quoted(s.Target))
	if s.OpsetVersion != 0 {
		w.add(keyOpset, fmt.Sprint(s.OpsetVersion))
	}
	w.add(keyConcatFix, fmt.Sprint(s.ChangeConcatInputFix))
	w.add(keyPoolFix, fmt.Sprint(s.ChangePoolInputFix))
	w.add(keyKinds, kindsText(s.Kinds))

	// All settings of the model, the weights' ones for the overall ones; then
	// those of the other kinds that differ.
	base := s.inherited(scheme.Weights)
	var overall writer
	for _, k := range Keys() {
		overall.add(k.String(), jsonValue(base, k))
	}
	w.add(keyOverall, overall.object())
	var tensors writer
	for _, kind := range AllKinds.List() {
		tensors.layer(kind.String(), diff(s.inherited(kind), base))
	}
	if !tensors.empty() {
		w.add(keyTensor, tensors.object())
	}
	rules := make([]string, len(s.Rules))
	for i, r := range s.Rules {
		var rt writer
		for _, kind := range r.Kinds.List() {
			v := s.inherited(kind)
			r.overall.over(&v)
			r.tensor[kind].over(&v)
			rt.layer(kind.String(), diff(v, s.inherited(kind)))
		}
		rules[i] = r.format("{}", rt.object())
	}
	w.add(keyLayers, "["+strings.Join(rules, ",")+"]")
	return w.file()
}

// inherited returns the model's settings of a kind as the file writes them,
// before narrow's own decisions (see [Strategy.Resolve]).
func (s *Strategy) inherited(kind scheme.Kind) scheme.Settings {
	v := Defaults(kind)
	s.overall.over(&v)
	s.tensor[kind].over(&v)
	return v
}

// over lays the settings of l over v.
func (l *layer) over(v *scheme.Settings) {
	for k := KeyDatatype; k < keyEnd; k++ {
		if l.at[k] != nil {
			copyKey(v, &l.vals, k)
		}
	}
}

// diff writes the settings of v that differ from those of base.
func diff(v, base scheme.Settings) string {
	var w writer
	for _, k := range Keys() {
		if jsonValue(v, k) != jsonValue(base, k) {
			w.add(k.String(), jsonValue(v, k))
		}
	}
	return w.object()
}

// slim writes overall and tensor settings without what changes nothing over
// the base of each kind.
func slim(overall *layer, tensor *[scheme.Activation + 1]layer, kinds Kinds, base func(scheme.Kind) scheme.Settings) (string, string) {
	kept := layer{vals: overall.vals}
	var o writer
	for _, k := range Keys() {
		if overall.at[k] == nil {
			continue
		}
		for _, kind := range kinds.List() {
			if tensor[kind].at[k] == nil && jsonValue(base(kind), k) != jsonValue(overall.vals, k) {
				kept.at[k] = overall.at[k]
			}
		}
		if kept.at[k] != nil {
			o.add(k.String(), jsonValue(overall.vals, k))
		}
	}
	var t writer
	for _, kind := range kinds.List() {
		from := base(kind)
		kept.over(&from)
		v := from
		tensor[kind].over(&v)
		t.layer(kind.String(), diff(v, from))
	}
	return o.object(), t.object()
}

// format writes a rule with the given settings objects.
func (r *Rule) format(overall, tensors string) string {
	var w writer
	w.add(keyLayerType, nameText(r.LayerType))
	if r.LayerNames != nil {
		w.add(keyLayerName, stringList(r.LayerNames))
	} else {
		w.add(keyLayerName, nameText(r.LayerName))
	}
	w.add(keyKinds, kindsText(r.Kinds))
	w.add(keyOverall, overall)
	if tensors != "{}" {
		w.add(keyTensor, tensors)
	}
	return w.object()
}

func nameText(s string) string {
	if s == "" {
		return "null"
	}
	return plainString(s)
}

// plainString writes a JSON string, without the escapes for HTML.
func plainString(s string) string {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(s); err != nil {
		panic(err) // strings cannot fail
	}
	return strings.TrimSuffix(b.String(), "\n")
}

func quoted(v fmt.Stringer) string { return `"` + v.String() + `"` }

func kindsText(kinds Kinds) string {
	var names []string
	for _, k := range kinds.List() {
		names = append(names, quoted(k))
	}
	return "[" + strings.Join(names, ",") + "]"
}

// writer collects the members of a JSON object in order.
type writer struct{ members []string }

func (w *writer) add(key, val string) { w.members = append(w.members, plainString(key)+":"+val) }

func (w *writer) bool(key string, v, def bool) {
	if v != def {
		w.add(key, fmt.Sprint(v))
	}
}

// layer adds an object of settings, unless it is empty.
func (w *writer) layer(key, object string) {
	if object != "{}" {
		w.add(key, object)
	}
}

func (w *writer) empty() bool    { return len(w.members) == 0 }
func (w *writer) object() string { return "{" + strings.Join(w.members, ",") + "}" }

func (w *writer) file() []byte {
	var b bytes.Buffer
	if err := json.Indent(&b, []byte(w.object()), "", "  "); err != nil {
		panic(fmt.Sprintf("strategy: formatting wrote broken JSON: %v", err))
	}
	b.WriteByte('\n')
	return b.Bytes()
}
