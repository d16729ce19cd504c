package strategy

import (
	"fmt"
	"slices"
	"strings"

	"narrow/diag"
	"narrow/scheme"
)

// checker looks at what settings mean together.
type checker struct {
	*parser
	shadowed map[*Rule]bool
	// clashes are merged by cause: one mistake in overall_quantize_config is
	// one finding, however many kinds of tensors it breaks.
	clashes []*clash
	byCause map[cause]*clash
}

// fact is one setting of a kind of tensor that takes part in a clash.
type fact struct {
	key   Key
	value string
	src   *place // nil for a default
	depth int
}

// cause identifies a clash.
type cause struct {
	code           string
	culprit, other *place
	values         [2]string
}

// clash is a conflict between settings, or between one and the device.
type clash struct {
	cause
	a     fact
	b     *fact // nil for the device
	kinds Kinds
	// rule is where the settings meet, nil if both are the model's.
	rule *Rule
	// text makes what is wrong of the setting, the kinds and the setting that it
	// clashes with; fix is the way out.
	text clashText
	fix  diag.Text
	sev  diag.Severity
}

// clashText makes the message of a clash. b is nil for the device.
type clashText func(a fact, kinds diag.Text, b *fact) diag.Text

// doesNotGo is the message of settings that exclude each other.
func doesNotGo(a fact, kinds diag.Text, b *fact) diag.Text {
	return diag.Textf("%s of %s does not go with %s", a, kinds, b)
}

// at takes one setting out of a resolved kind.
func at(r *Resolved, k Key) fact {
	return fact{key: k, value: Value(r.Settings, k), src: r.src[k], depth: r.depth[k]}
}

// String writes the setting as messages do, in every language: method "diffs".
func (f fact) String() string {
	if settingTable[f.key].typ == enumValue {
		return fmt.Sprintf("%s %q", f.key, f.value)
	}
	return fmt.Sprintf("%s %s", f.key, f.value)
}

// conflicts reports the settings that do not go together.
func (c *checker) conflicts() {
	c.byCause = map[cause]*clash{}
	c.context(nil)
	for _, r := range c.s.Rules {
		c.context(r)
	}
	for _, cl := range c.clashes {
		c.reportClash(cl)
	}
	c.empty()
}

// context checks the kinds of tensors of the layers of one rule, or of the
// model's other layers.
func (c *checker) context(rule *Rule) {
	if rule == nil && c.s.unsure[keyKinds] || rule != nil && rule.unsure {
		return
	}
	var all [scheme.Activation + 1]Resolved
	for _, kind := range AllKinds.List() {
		all[kind] = c.s.resolve(kind, rule, false)
	}
	for _, kind := range AllKinds.List() {
		r := &all[kind]
		if !r.Quantize || r.Settings.Datatype != scheme.Int || r.unsure[KeyDatatype] || rule != nil && !rule.Kinds.Has(kind) {
			continue
		}
		switch {
		case c.s.unsure[keyTarget]:
		case c.s.Target == scheme.DPU:
			c.dpu(rule, r)
			continue // what is wrong on any device is wrong on the DPU
		}
		c.anyDevice(rule, r)
	}
	c.widths(rule, &all[scheme.Activation], &all[scheme.Bias])
}

// clash adds a conflict of a kind: a is the setting to change, b the one that
// it does not go with, 0 for the device.
func (c *checker) clash(rule *Rule, r *Resolved, code string, a, b Key, text clashText, fix diag.Text) {
	if r.unsure[a] || b != 0 && r.unsure[b] {
		return
	}
	fa := at(r, a)
	var fb *fact
	if b != 0 {
		f := at(r, b)
		fb = &f
	}
	c.addClash(rule, r.Kind, diag.Error, code, fa, fb, text, fix)
}

func (c *checker) addClash(rule *Rule, kind scheme.Kind, sev diag.Severity, code string, a fact, b *fact, text clashText, fix diag.Text) {
	depth := a.depth
	id := cause{code: code, culprit: a.src, values: [2]string{a.value}}
	if b != nil {
		depth = max(depth, b.depth)
		id.other, id.values[1] = b.src, b.value
	}
	if rule != nil && depth < 3 && c.s.Kinds.Has(kind) {
		return // inherited as a whole: the model's own check has said it
	}
	cl := c.byCause[id]
	if cl == nil {
		cl = &clash{cause: id, a: a, b: b, text: text, fix: fix, sev: sev, rule: rule}
		c.byCause[id] = cl
		c.clashes = append(c.clashes, cl)
	}
	cl.kinds |= KindsOf(kind)
}

// orDevice adds the way out that holds for all restrictions of the DPU.
func orDevice(fix diag.Text) diag.Text {
	return diag.Textf("%s, or set target_device to \"CPU\" or \"GPU\"", fix)
}

// dpu checks the restrictions of the DPU on one kind of tensor.
func (c *checker) dpu(rule *Rule, r *Resolved) {
	s := r.Settings
	only := func(k Key, want any) {
		c.clash(rule, r, "dpu-"+strings.ReplaceAll(k.String(), "_", "-"), k, 0, func(a fact, kinds diag.Text, _ *fact) diag.Text {
			return diag.Textf("%s takes %s for %s, not %s", c.device(), want, kinds, a)
		}, orDevice(diag.Textf("write %s", want)))
	}
	if s.Method != scheme.Diffs && s.Method != scheme.MaxMin {
		only(KeyMethod, diag.Textf(`method "diffs" or "maxmin"`))
	}
	want := scheme.StdRound
	if r.Kind == scheme.Activation {
		want = scheme.HalfUp
	}
	if s.RoundMode != want {
		c.clash(rule, r, "dpu-round-mode", KeyRoundMode, 0, func(a fact, kinds diag.Text, _ *fact) diag.Text {
			return diag.Textf(`%s takes round_mode "std_round", and "half_up" for activation; here %s would have %s`, c.device(), kinds, a)
		}, diag.Text{}) // the fix depends on all the kinds: see roundFix
	}
	if !s.Symmetry {
		only(KeySymmetry, "symmetry true")
	}
	if s.PerChannel {
		only(KeyPerChannel, "per_channel false")
	}
	if !s.Signed {
		only(KeySigned, "signed true")
	}
	if s.ScaleType != scheme.PowerOfTwo {
		only(KeyScaleType, `scale_type "poweroftwo"`)
	}
	if r.Applies(KeyStatistic) && s.Statistic != scheme.Modal {
		only(KeyStatistic, `calib_statistic_method "modal"`)
	}
}

// anyDevice checks one kind of tensor by the rules that hold everywhere.
func (c *checker) anyDevice(rule *Rule, r *Resolved) {
	s := r.Settings
	if s.PerChannel && r.Kind != scheme.Weights {
		c.clash(rule, r, "per-channel-kind", KeyPerChannel, 0, func(a fact, kinds diag.Text, _ *fact) diag.Text {
			return diag.Textf("per_channel is for weights only: %s cannot have %s", kinds, a)
		}, diag.Textf(`set per_channel under "weights" in tensor_quantize_config`))
	}
	perChannel := s.PerChannel && r.Kind == scheme.Weights
	if s.ScaleType == scheme.FloatScale {
		switch {
		case s.Method == scheme.Diffs:
			c.clash(rule, r, "method-scale-type", KeyMethod, KeyScaleType, doesNotGo, diag.Textf(`write method "maxmin", "percentile", "entropy" or "mse"`))
		case perChannel && s.Method != scheme.MaxMin:
			c.clash(rule, r, "method-per-channel", KeyMethod, KeyPerChannel, doesNotGo,
				diag.Textf(`write method "maxmin" for weights, or per_channel false`))
		}
		if r.Applies(KeyStatistic) && s.Statistic == scheme.Modal {
			c.clash(rule, r, "statistic-scale-type", KeyStatistic, KeyScaleType, doesNotGo, diag.Textf(`write calib_statistic_method "max", "mean" or "median"`))
		}
		if !s.Symmetry {
			if s.Method == scheme.Entropy || s.Method == scheme.MSE {
				c.clash(rule, r, "method-symmetry", KeyMethod, KeySymmetry, doesNotGo, diag.Textf(`write method "maxmin" or "percentile", or symmetry true`))
			} else if r.Kind == scheme.Bias && !r.unsure[KeySymmetry] {
				c.addClash(rule, r.Kind, diag.Warning, "bias-symmetry", at(r, KeySymmetry), nil, func(a fact, kinds diag.Text, _ *fact) diag.Text {
					return diag.Textf("a bias has no zero point: %s is quantized symmetric despite %s", kinds, a)
				}, diag.Textf(`say so with "symmetry": true under "bias" in tensor_quantize_config`))
			}
		}
		return
	}
	if s.Method != scheme.Diffs && s.Method != scheme.MaxMin {
		c.clash(rule, r, "method-scale-type", KeyMethod, KeyScaleType, doesNotGo, diag.Textf(`write method "diffs" or "maxmin", or scale_type "float"`))
	}
	if !s.Symmetry {
		c.clash(rule, r, "symmetry-scale-type", KeySymmetry, KeyScaleType, doesNotGo, diag.Textf(`write symmetry true, or scale_type "float"`))
	}
	if !s.Signed {
		c.clash(rule, r, "signed-scale-type", KeySigned, KeyScaleType, doesNotGo, diag.Textf(`write signed true, or scale_type "float"`))
	}
	if r.Applies(KeyStatistic) && s.Statistic != scheme.Modal {
		c.clash(rule, r, "statistic-scale-type", KeyStatistic, KeyScaleType, doesNotGo, diag.Textf(`write calib_statistic_method "modal", or scale_type "float"`))
	}
}

// widths checks that the DPU adds biases of the activations' width.
func (c *checker) widths(rule *Rule, act, bias *Resolved) {
	if c.s.Target != scheme.DPU || c.s.unsure[keyTarget] || !act.Quantize || !bias.Quantize ||
		act.Settings.Datatype != scheme.Int || bias.Settings.Datatype != scheme.Int ||
		act.Settings.BitWidth == bias.Settings.BitWidth {
		return
	}
	for _, r := range []*Resolved{act, bias} {
		if r.unsure[KeyDatatype] || r.unsure[KeyBitWidth] {
			return
		}
	}
	a, b := act, bias
	if b.depth[KeyBitWidth] > a.depth[KeyBitWidth] {
		a, b = b, a
	}
	fa, fb := at(a, KeyBitWidth), at(b, KeyBitWidth)
	if rule != nil && fa.depth < 3 && c.s.Kinds.Has(scheme.Activation) && c.s.Kinds.Has(scheme.Bias) {
		return
	}
	id := cause{code: "dpu-bit-width", culprit: fa.src, other: fb.src, values: [2]string{fa.value, fb.value}}
	if c.byCause[id] != nil {
		return
	}
	cl := &clash{cause: id, a: fa, b: &fb, kinds: KindsOf(a.Kind), sev: diag.Error, rule: rule,
		text: func(fa fact, kinds diag.Text, fb *fact) diag.Text {
			return diag.Textf("%s takes activation and bias of one bit width: %s of %s does not go with %s of %s", c.device(), fa, kinds, fb, b.Kind)
		},
		fix: orDevice(diag.Textf("give both the same bit_width"))}
	c.byCause[id] = cl
	c.clashes = append(c.clashes, cl)
}

// device names the device whose restrictions apply.
func (c *checker) device() diag.Text {
	if _, ok := c.s.where[keyTarget]; ok {
		return diag.Textf("the DPU")
	}
	return diag.Textf("the DPU, the default target_device,")
}

// roundFix says how to set the DPU's round modes, which differ by kind.
func (c *checker) roundFix(cl *clash) diag.Text {
	under := diag.Textf(`set "round_mode": "half_up" under "activation" in tensor_quantize_config`)
	switch onlyActivation := cl.kinds == KindsOf(scheme.Activation); {
	case cl.a.depth%2 == 0 && onlyActivation:
		return orDevice(diag.Textf("write %q", scheme.HalfUp))
	case cl.a.depth%2 == 0:
		return orDevice(diag.Textf("write %q", scheme.StdRound))
	case onlyActivation:
		return orDevice(under)
	case cl.a.depth == 1:
		return orDevice(diag.Textf("delete it: the defaults are these"))
	}
	return orDevice(diag.Textf("write %q, and %s", scheme.StdRound, under))
}

// reportClash makes a finding of a conflict. It points at the setting in the
// more specific object: whoever wrote it there did not see the other one.
func (c *checker) reportClash(cl *clash) {
	a, b := cl.a, cl.b
	who := diag.And(cl.kinds.List())
	if cl.kinds == AllKinds {
		who = diag.Textf("every kind of tensor")
	}
	point := a.src // the defaults do not clash: one of the two is set
	var other *place
	if b != nil {
		other = b.src
		if b.src != nil && (a.src == nil || b.depth > a.depth) {
			point, other = b.src, a.src
		}
	}
	f := diag.Finding{Severity: cl.sev, Code: cl.code, Range: point.val, Path: point.path, Message: cl.text(a, who, b), Fix: cl.fix}
	if cl.code == "dpu-round-mode" {
		f.Fix = c.roundFix(cl)
	}
	if cl.rule != nil {
		f.Message = diag.Textf("%s: %s", cl.rule, f.Message)
	}
	for _, x := range []*fact{&a, b} {
		switch {
		case x == nil || x.src == point:
		case x.src == nil:
			f.Message = diag.Textf("%s (%s is the default)", f.Message, x)
		case parentText(x.src.path) != parentText(point.path):
			f.Message = diag.Textf("%s (%s comes from %s)", f.Message, x, parentText(x.src.path))
		}
	}
	if other != nil {
		f.Related = append(f.Related, diag.Related{Range: other.val, Message: diag.Textf("%s is set here, in %s", otherFact(a, b, other), parentText(other.path))})
	}
	if strings.HasPrefix(cl.code, "dpu-") {
		if p, ok := c.s.where[keyTarget]; ok {
			f.Related = append(f.Related, diag.Related{Range: p.val, Message: diag.Textf("the DPU is chosen here")})
		}
	}
	c.add(f)
}

func otherFact(a fact, b *fact, p *place) fact {
	if b != nil && b.src == p {
		return *b
	}
	return a
}

// parentText names the object that a setting stands in.
func parentText(path string) string {
	path = path[:strings.LastIndexByte(path, '.')]
	return strings.TrimPrefix(path, "$.")
}

// any reports whether l sets anything.
func (l *layer) any() bool {
	return slices.ContainsFunc(l.at[:], func(p *place) bool { return p != nil })
}

func anySet(overall *layer, tensor *[scheme.Activation + 1]layer) bool {
	return overall.any() || slices.ContainsFunc(tensor[:], func(l layer) bool { return l.any() })
}

// empty reports lists of kinds that make the settings below them useless.
func (c *checker) empty() {
	s := c.s
	if p, ok := s.where[keyKinds]; ok && s.Kinds == 0 && !s.unsure[keyKinds] {
		used := slices.ContainsFunc(s.Rules, func(r *Rule) bool { return r.Kinds != 0 || r.unsure })
		listKinds := diag.Textf(`list the kinds to quantize: "input", "weights", "bias", "activation"`)
		switch {
		case used:
		case anySet(&s.overall, &s.tensor):
			c.error("empty-kinds", p.val, p.path, diag.Textf("quantizable_data_type is empty, so the settings of this file can never apply"), listKinds)
		default:
			c.add(diag.Finding{Severity: diag.Warning, Code: "no-effect", Range: p.val, Path: p.path,
				Message: diag.Textf("quantizable_data_type is empty: nothing is quantized"), Fix: listKinds})
		}
	}
	for _, r := range s.Rules {
		if r.Kinds == 0 && !r.unsure && anySet(&r.overall, &r.tensor) {
			c.error("empty-kinds", r.kindsPlace.val, r.kindsPlace.path,
				diag.Textf("quantizable_data_type is empty, so the settings of %s can never apply", r),
				diag.Textf(`list the kinds that the rule is for: "weights", "bias", "activation" or "input"`))
		}
	}
}

// shadows reports rules that a later one makes useless.
func (c *checker) shadows() {
	last := map[string]*Rule{} // the last rule for a type or name
	key := func(r *Rule) string {
		if r.ByName() {
			return "name " + strings.Join(r.Names(), "\n")
		}
		return "type " + canonicalType(r.LayerType)
	}
	for _, r := range slices.Backward(c.s.Rules) {
		if (r.LayerType != "") == r.ByName() {
			continue
		}
		if by := last[key(r)]; by != nil {
			c.shadowed[r] = true
			lost := diag.Textf("%s has no effect: %s is for the same layers, and the later one wins", r, by)
			if r.ByName() && !r.Many() {
				lost = diag.Textf("%s has no effect: %s is for the same layer, and the later one wins", r, by)
			}
			c.add(diag.Finding{Severity: diag.Warning, Code: "shadowed-rule", Range: r.NameRange, Path: r.NamePath,
				Message: lost,
				Fix:     diag.Textf("delete it, or move what it sets into layer rule %d", by.Index),
				Related: []diag.Related{{Range: by.NameRange, Message: diag.Textf("the later rule")}}})
			continue
		}
		last[key(r)] = r
		if !r.ByName() && BareType(r.LayerType) == r.LayerType {
			for _, class := range classesOf(canonicalType(r.LayerType)) {
				if last["type "+class] == nil {
					last["type "+class] = r
				}
			}
		}
	}
}
