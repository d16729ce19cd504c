package strategy

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"narrow/diag"
	"narrow/scheme"
)

// Parse reads a strategy file. file is its name, for messages.
//
// The list holds all mistakes of the file, sorted by place: see
// [diag.List.HasErrors]. The Strategy is never nil; where the file has
// errors, it holds what could be understood, for looking at, not for
// calibrating. Parse takes time linear in the length of the file, and it
// keeps src: do not write into it.
func Parse(file string, src []byte) (*Strategy, diag.List) {
	s := Default()
	s.File, s.Source = file, src
	if s.Source == nil {
		s.Source = []byte{}
	}
	t := newText(file, src)
	root, list, whole := readJSON(t)
	p := &parser{t: t, list: list, whole: whole, s: s}
	if p.foreign(root) {
		return s, p.list
	}
	p.file(root)
	if whole {
		c := checker{parser: p, shadowed: map[*Rule]bool{}}
		c.conflicts()
		c.shadows()
		c.effects()
	}
	p.numberRules()
	p.list.Sort()
	s.Findings = p.list
	return s, p.list
}

// numberRules notes at each finding the layer rule that it is about. All paths
// of rules are of one form, so that none needs to be searched for.
func (p *parser) numberRules() {
	index := make(map[string]int, len(p.s.Rules))
	for _, r := range p.s.Rules {
		index[r.Path] = r.Index
	}
	for i := range p.list {
		path := p.list[i].Path
		if end := strings.IndexByte(path, ']'); end >= 0 {
			if k, ok := index[path[:end+1]]; ok {
				p.list[i].Rule = k
			}
		}
	}
}

// ReadFile returns the text of a strategy file. The error names the file.
func ReadFile(file string) ([]byte, error) {
	if st, err := os.Stat(file); err == nil && st.IsDir() {
		return nil, diag.Errorf("strategy file %s: is a folder, not a file", file)
	}
	src, err := os.ReadFile(file)
	var pe *fs.PathError
	if errors.As(err, &pe) {
		err = pe.Err
	}
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, diag.Errorf("strategy file %s: %w: give its path, or let \"narrow init\" write one", file, err)
	case err != nil:
		return nil, diag.Errorf("strategy file %s: %w", file, err)
	}
	return src, nil
}

// Load reads a strategy file. Its mistakes are the error, all of them at once
// with the warnings as a [*diag.FindingsError].
func Load(file string) (*Strategy, error) {
	src, err := ReadFile(file)
	if err != nil {
		return nil, err
	}
	s, list := Parse(file, src)
	if err := list.Err(); err != nil {
		return nil, err
	}
	return s, nil
}

// parser turns a JSON tree into a Strategy.
type parser struct {
	t    *text
	list diag.List
	s    *Strategy
	// whole is false when part of the file could not be read: what is
	// missing then may be there.
	whole bool
}

func (p *parser) add(f diag.Finding) { p.list = append(p.list, f) }

func (p *parser) error(code string, r diag.Range, path string, msg, fix diag.Text) *diag.Finding {
	p.add(diag.Finding{Severity: diag.Error, Code: code, Range: r, Path: path, Message: msg, Fix: fix})
	return &p.list[len(p.list)-1]
}

// didYouMean writes a fix out of suggestions, none where there are none.
func didYouMean(names []string) diag.Text {
	if len(names) == 0 {
		return diag.Text{}
	}
	q := make([]string, len(names))
	for i, n := range names {
		q[i] = strconv.Quote(n)
	}
	return diag.Textf("did you mean %s?", diag.Or(q))
}

// join adds a key to a JSON path.
func join(path, key string) string {
	for i, c := range key {
		if c != '_' && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (i == 0 || c < '0' || c > '9') {
			return path + "[" + strconv.Quote(key) + "]"
		}
	}
	if key == "" {
		return path + `[""]`
	}
	return path + "." + key
}

// wrongType reports that a value has another JSON type than its key takes.
func (p *parser) wrongType(n *node, path string, name any, want, fix diag.Text) {
	if n.typ == badNode {
		return // the reader said what is wrong
	}
	found := n.typ.Text()
	switch n.typ {
	case boolNode, numberNode:
		found = diag.Textf("%s (%s)", found, clip(string(p.t.src[n.span.start:n.span.end])))
	case stringNode:
		found = diag.Textf("%s (%s)", found, clip(strconv.Quote(n.str)))
	case nullNode:
		if fix.IsZero() {
			fix = diag.Textf("leave the key out to take what it inherits")
			if path == "$" {
				fix = diag.Textf("write {} to take all defaults")
			}
		}
	}
	p.error("wrong-type", p.t.rng(n.span), path, diag.Textf("%s takes %s, not %s", name, want, found), fix)
}

// object walks the members of an object by a table of fields. It reports
// duplicate, unknown and missing keys, and calls visit for the others, and
// miss with the keys that an unknown one may have been meant to be. It
// returns false if n is no object.
func (p *parser) object(n *node, path string, what diag.Text, table []field, visit func(f *field, m *member, pl place), miss func(key string)) bool {
	if n.typ != objectNode {
		p.wrongType(n, path, what, diag.Textf("an object, { ... }"), diag.Text{})
		return false
	}
	var meant []string
	first := make(map[string]*member, min(len(n.members), len(table)))
	for _, m := range n.members {
		name := m.key
		f := find(table, name)
		if f == nil && name == aliasDatatype {
			if f = find(table, settingTable[KeyDatatype].name); f != nil {
				name = f.name
			}
		}
		mpath := join(path, m.key)
		if f == nil {
			for i, name := range p.unknownKey(m, mpath, what, table) {
				meant = append(meant, name)
				miss(name)
				if i == 0 {
					p.under(find(table, name), m.val, mpath)
				}
			}
		}
		if old := first[name]; old != nil {
			msg := diag.Textf("the key %s appears twice in one object", clip(strconv.Quote(m.key)))
			if old.key != m.key {
				msg = diag.Textf("%q and %q are two spellings of one key", old.key, m.key)
			}
			fd := p.error("duplicate-key", p.t.rng(m.keySpan), mpath, msg, diag.Textf("delete one of the two"))
			if old.key != m.key && old.val.typ == stringNode && m.val.typ == stringNode && old.val.str == m.val.str {
				fd.Severity = diag.Warning // vai_q_pytorch's guide and examples differ in the spelling
			}
			fd.Related = []diag.Related{{Range: p.t.rng(old.keySpan), Message: diag.Textf("it is here first")}}
		} else {
			first[name] = m
		}
		if f != nil {
			visit(f, m, place{key: p.t.rng(m.keySpan), val: p.t.rng(m.val.span), path: mpath})
		}
	}
	if !p.whole {
		return true
	}
	for i := range table {
		if f := &table[i]; f.required && first[f.name] == nil && !slices.Contains(meant, f.name) {
			fix := diag.Textf("add %q: {} to inherit everything", f.name)
			if f.typ == kindsValue {
				fix = diag.Textf(`add %q: ["weights", "bias", "activation"], or those of the three that the rule is for`, f.name)
			}
			p.error("missing-key", p.t.rng(span{n.span.start, n.span.start + 1}), path, diag.Textf("%s lacks the key %q", what, f.name), fix)
		}
	}
	return true
}

// under looks for mistakes in what stands under a misspelled key.
func (p *parser) under(f *field, n *node, path string) {
	if n.typ != objectNode {
		return
	}
	switch f.typ {
	case settingsValue:
		p.settings(n, place{path: path}, diag.Text{})
	case tensorsValue:
		var unused [scheme.Activation + 1]layer
		p.tensors(n, place{path: path}, nil, &unused)
	}
}

func find(table []field, name string) *field {
	for i := range table {
		if table[i].name == name && name != "" {
			return &table[i]
		}
	}
	return nil
}

func fieldNames(table []field) []string {
	var names []string
	for _, f := range table {
		if f.name != "" {
			names = append(names, f.name)
		}
	}
	return names
}

// unknownKey reports a key that the table does not have, and returns those of
// the table that it may have been meant to be.
func (p *parser) unknownKey(m *member, path string, what diag.Text, table []field) []string {
	f := p.error("unknown-key", p.t.rng(m.keySpan), path, diag.Textf("%s has no key %s", what, clip(strconv.Quote(m.key))), diag.Text{})
	// A key in the wrong place is another mistake than a misspelled one.
	if home := homeOf(m.key); !home.IsZero() {
		f.Fix = home
		return nil
	}
	f.Suggestions = suggest(m.key, fieldNames(table))
	f.Fix = didYouMean(f.Suggestions)
	if f.Fix.IsZero() {
		f.Fix = diag.Textf("delete it; the keys are %s", diag.Commas(fieldNames(table)))
	}
	return f.Suggestions
}

// homeOf says where a key of the format belongs, nothing of other keys.
func homeOf(key string) diag.Text {
	switch {
	case find(settingTable[:], key) != nil || key == aliasDatatype:
		return diag.Textf("%q belongs in overall_quantize_config, or under a kind of tensor in tensor_quantize_config", key)
	case slices.Contains(scheme.KindNames(), key):
		return diag.Textf("%q belongs in tensor_quantize_config", key)
	case find(ruleTable[:2], key) != nil:
		return diag.Textf("%q belongs in an element of layer_quantize_config", key)
	case find(fileTable, key) != nil:
		return diag.Textf("%q belongs at the top level of the file", key)
	}
	return diag.Text{}
}

func (p *parser) file(root *node) {
	s := p.s
	p.object(root, "$", diag.Textf("a strategy file"), fileTable, func(f *field, m *member, pl place) {
		n := m.val
		s.where[f.name] = pl
		switch f.name {
		case keyReLU6:
			p.bool(f, n, pl, &s.ConvertReLU6)
		case keySiLU:
			p.bool(f, n, pl, &s.ConvertSiLU)
		case keyCLE:
			p.bool(f, n, pl, &s.IncludeCLE)
		case keyBiasCorr:
			p.bool(f, n, pl, &s.IncludeBiasCorr)
		case keyFirstLast:
			p.bool(f, n, pl, &s.KeepFirstLast)
		case keyAdd:
			p.bool(f, n, pl, &s.KeepAdd)
		case keyConcatFix:
			p.bool(f, n, pl, &s.ChangeConcatInputFix)
		case keyPoolFix:
			p.bool(f, n, pl, &s.ChangePoolInputFix)
		case keyTarget:
			i, ok := p.enum(f, n, pl)
			if ok {
				s.Target = scheme.Target(i + 1)
			}
			s.unsure[keyTarget] = !ok
		case keyOpset:
			if v, ok := p.number(f, n, pl); ok {
				s.OpsetVersion = int(v)
			}
		case keyKinds:
			var ok bool
			if s.Kinds, ok = p.kinds(n, pl); !ok {
				s.Kinds = AllKinds
			}
			s.unsure[keyKinds] = !ok
		case keyOverall:
			s.overall = p.settings(n, pl, s.overall.text)
		case keyTensor:
			p.tensors(n, pl, func(kind scheme.Kind) diag.Text { return s.tensor[kind].text }, &s.tensor)
		case keyLayers:
			p.rules(n, pl)
		}
	}, func(key string) {
		s.unsure[key] = true
		switch key {
		case keyOverall:
			s.overall.doubt()
		case keyTensor:
			doubtAll(&s.tensor)
		}
	})
}

// doubtAll marks all settings of all kinds as unsure.
func doubtAll(tensor *[scheme.Activation + 1]layer) {
	for k := range tensor {
		tensor[k].doubt()
	}
}

func (p *parser) bool(f *field, n *node, pl place, dst *bool) bool {
	if n.typ != boolNode {
		var fix diag.Text
		switch strings.ToLower(n.str) {
		case "true", "false":
			fix = diag.Textf("write %s without quotes", strings.ToLower(n.str))
		default:
			if n.typ == numberNode && (n.num == 0 || n.num == 1) {
				fix = diag.Textf("write %s", strconv.FormatBool(n.num == 1))
			}
		}
		p.wrongType(n, pl.path, f.name, diag.Textf("true or false"), fix)
		return false
	}
	*dst = n.b
	return true
}

// takes says which values an enum or a number has.
func (f *field) takes() diag.Text {
	switch {
	case f.names != nil:
		return diag.Textf("one of %s", diag.Commas(f.names))
	case f.typ == intValue:
		return diag.Textf("an integer from %g to %g", f.min, f.max)
	case f.openMin:
		return diag.Textf("a number above %g and up to %g", f.min, f.max)
	}
	return diag.Textf("a number from %g to %g", f.min, f.max)
}

// number reads an integer or a number within the field's bounds.
func (p *parser) number(f *field, n *node, pl place) (float64, bool) {
	if n.typ != numberNode {
		var fix diag.Text
		if _, err := strconv.ParseFloat(n.str, 64); n.typ == stringNode && err == nil && isNumber(n.str) {
			fix = diag.Textf("write %s without quotes", n.str)
		}
		p.wrongType(n, pl.path, f.name, f.takes(), fix)
		return 0, false
	}
	v := n.num
	switch {
	case f.typ == intValue && v != math.Trunc(v):
		p.error("bad-value", p.t.rng(n.span), pl.path, diag.Textf("%s takes %s, not %s", f.name, f.takes(), clip(n.raw)), diag.Text{})
		return 0, false
	case v < f.min || v > f.max || f.openMin && v == f.min:
		var fix diag.Text
		switch {
		case f == &settingTable[KeyBitWidth] && v > f.max:
			fix = diag.Textf(`write at most 32, or "datatype": "float32" to leave the tensor alone`)
		case f == &settingTable[KeyBitWidth]:
			fix = diag.Textf("write at least 2")
		case f == &settingTable[KeyPercentage]:
			fix = diag.Textf("write for example 99.99")
		}
		p.error("bad-value", p.t.rng(n.span), pl.path, diag.Textf("%s takes %s, not %s", f.name, f.takes(), clip(n.raw)), fix)
		return 0, false
	}
	return v, true
}

// enum reads one of the field's names and returns its index.
func (p *parser) enum(f *field, n *node, pl place) (int, bool) {
	if n.typ != stringNode {
		p.wrongType(n, pl.path, f.name, f.takes(), diag.Text{})
		return 0, false
	}
	if i := slices.Index(f.names, n.str); i >= 0 {
		return i, true
	}
	if i := slices.IndexFunc(f.names, func(s string) bool { return strings.EqualFold(s, n.str) }); i >= 0 {
		p.add(diag.Finding{Severity: diag.Note, Code: "spelling", Range: p.t.rng(n.span), Path: pl.path,
			Message: diag.Textf("%q is read as %q", n.str, f.names[i]), Fix: diag.Textf("write %q: vai_q_pytorch takes no other spelling", f.names[i]),
			Suggestions: []string{f.names[i]}})
		return i, true
	}
	fd := p.error("unknown-value", p.t.rng(n.span), pl.path, diag.Textf("%s has no value %s: it takes %s", f.name, clip(strconv.Quote(n.str)), f.takes()), diag.Text{})
	fd.Suggestions = suggest(n.str, f.names)
	fd.Fix = didYouMean(fd.Suggestions)
	if bits, ok := intBits(n.str); ok && f == &settingTable[KeyDatatype] {
		fd.Fix = diag.Textf(`write "datatype": "int" and "bit_width": %s`, bits)
		fd.Suggestions = []string{"int"}
	}
	return 0, false
}

// intBits takes the width out of a name such as int8 or uint4.
func intBits(s string) (string, bool) {
	digits, ok := strings.CutPrefix(strings.TrimPrefix(strings.ToLower(s), "u"), "int")
	if _, err := strconv.ParseUint(digits, 10, 8); !ok || err != nil {
		return "", false
	}
	return digits, true
}

// kinds reads quantizable_data_type. ok is false where not all of it can be
// read.
func (p *parser) kinds(n *node, pl place) (set Kinds, ok bool) {
	names := scheme.KindNames()
	if n.typ != arrayNode {
		var fix diag.Text
		if n.typ == stringNode && slices.Contains(names, n.str) {
			fix = diag.Textf("write [%q]", n.str)
		}
		p.wrongType(n, pl.path, keyKinds, diag.Textf("a list of %s", diag.Commas(names)), fix)
		return 0, false
	}
	ok = true
	f := &field{name: keyKinds, names: names}
	for i, e := range n.elems {
		epath := fmt.Sprintf("%s[%d]", pl.path, i)
		k, known := p.enum(f, e, place{path: epath})
		if !known {
			ok = false
			continue
		}
		kind := scheme.Kind(k + 1)
		if set.Has(kind) {
			p.add(diag.Finding{Severity: diag.Warning, Code: "no-effect", Range: p.t.rng(e.span), Path: epath,
				Message: diag.Textf("%q is in this list already", kind), Fix: diag.Textf("delete one of the two")})
		}
		set |= KindsOf(kind)
	}
	return set, ok
}

// settings reads an object of settings.
func (p *parser) settings(n *node, pl place, text diag.Text) layer {
	l := layer{text: text, place: pl}
	what := diag.Verbatim(clip(pl.path[strings.LastIndexByte(pl.path, '.')+1:]))
	isObject := p.object(n, pl.path, what, settingTable[:], func(f *field, m *member, mpl place) {
		k := keyOf(f.name)
		f = &settingTable[k]
		ok := false
		switch f.typ {
		case boolValue:
			var v bool
			if ok = p.bool(f, m.val, mpl, &v); ok {
				setBool(&l.vals, k, v)
			}
		case enumValue:
			var i int
			if i, ok = p.enum(f, m.val, mpl); ok {
				setEnum(&l.vals, k, i)
			}
		default:
			var v float64
			if v, ok = p.number(f, m.val, mpl); ok && k == KeyBitWidth {
				l.vals.BitWidth = int(v)
			} else if ok {
				l.vals.Percentage = v
				if v <= 1 {
					p.add(diag.Finding{Severity: diag.Note, Code: "small-percentage", Range: mpl.val, Path: mpl.path,
						Message: diag.Textf("percentage is in percent: %s clips all but the smallest %s %% of the values", m.val.raw, m.val.raw),
						Fix:     diag.Textf("write %s if a fraction was meant", strconv.FormatFloat(math.Round(v*1e8)/1e6, 'f', -1, 64))})
				}
			}
		}
		if ok {
			l.at[k] = &mpl
		}
		l.unsure[k] = !ok
	}, func(key string) { l.unsure[keyOf(key)] = true })
	if !isObject {
		l.doubt()
	}
	return l
}

// keyOf returns the setting of that name, which must exist.
func keyOf(name string) Key {
	k := KeyDatatype
	for settingTable[k].name != name {
		k++
	}
	return k
}

// kindTable has a field for each kind of tensor.
var kindTable = []field{
	{name: scheme.Input.String(), typ: settingsValue, doc: "Settings for what enters the network."},
	{name: scheme.Weights.String(), typ: settingsValue, doc: "Settings for weights."},
	{name: scheme.Bias.String(), typ: settingsValue, doc: "Settings for biases."},
	{name: scheme.Activation.String(), typ: settingsValue, doc: "Settings for what layers output."},
}

// tensors reads tensor_quantize_config; text is what messages call the object
// of a kind, nil where none will ask.
func (p *parser) tensors(n *node, pl place, text func(scheme.Kind) diag.Text, dst *[scheme.Activation + 1]layer) {
	kindOf := func(name string) scheme.Kind { return scheme.Kind(slices.Index(scheme.KindNames(), name) + 1) }
	isObject := p.object(n, pl.path, diag.Verbatim(keyTensor), kindTable, func(f *field, m *member, mpl place) {
		k := kindOf(f.name)
		doubt := dst[k].unsure
		var called diag.Text
		if text != nil {
			called = text(k)
		}
		dst[k] = p.settings(m.val, mpl, called)
		for i := range doubt {
			dst[k].unsure[i] = dst[k].unsure[i] || doubt[i]
		}
	}, func(key string) { dst[kindOf(key)].doubt() })
	if !isObject {
		doubtAll(dst)
	}
}

// rules reads layer_quantize_config.
func (p *parser) rules(n *node, pl place) {
	if n.typ != arrayNode {
		var fix diag.Text
		if n.typ == objectNode {
			fix = diag.Textf("write [ ] around the object: it is a list of layer rules")
		}
		p.wrongType(n, pl.path, keyLayers, diag.Textf("a list of layer rules, [ {...}, ... ]"), fix)
		return
	}
	p.s.Rules = nil
	for i, e := range n.elems {
		if r := p.rule(i, e, fmt.Sprintf("%s[%d]", pl.path, i)); r != nil {
			p.s.Rules = append(p.s.Rules, r)
		}
	}
}

// rule reads one layer rule, nil if it is no object.
func (p *parser) rule(i int, n *node, path string) *Rule {
	r := &Rule{Index: i + 1, Range: p.t.rng(n.span), NameRange: p.t.rng(n.span), Path: path, NamePath: path}
	what := r.Text() // before it has a type or a name
	if n.typ != objectNode {
		p.wrongType(n, path, what, diag.Textf("an object, { ... }"), diag.Text{})
		return nil
	}
	// What settings say about themselves needs the rule's name, which may
	// stand behind them: read it first.
	var at [2]*member
	unsure := false
	for _, m := range n.members {
		for j, key := range []string{keyLayerType, keyLayerName} {
			if m.key != key {
				continue
			}
			switch m.val.typ {
			case nullNode:
			case arrayNode:
				if key != keyLayerName {
					unsure = true
					p.wrongType(m.val, join(path, key), key, diag.Textf("a string or null"), diag.Textf("write a rule for each type"))
					continue
				}
				at[j] = m
			case stringNode:
				if m.val.str == "" {
					p.add(diag.Finding{Severity: diag.Note, Code: "spelling", Range: p.t.rng(m.val.span), Path: join(path, key),
						Message: diag.Textf(`"" is read as null`), Fix: diag.Textf("write null")})
					continue
				}
				at[j] = m
			default:
				unsure = true
				want := diag.Textf("a string or null")
				if key == keyLayerName {
					want = diag.Textf("a string, a list of strings or null")
				}
				p.wrongType(m.val, join(path, key), key, want, diag.Text{})
			}
		}
	}
	if at[0] != nil {
		r.LayerType = at[0].val.str
		r.NameRange, r.NamePath = p.t.rng(at[0].val.span), join(path, keyLayerType)
	}
	if at[1] != nil {
		r.NameRange, r.NamePath = p.t.rng(at[1].val.span), join(path, keyLayerName)
		if at[1].val.typ == arrayNode {
			r.LayerNames, unsure = p.layerNames(at[1].val, r.NamePath)
			if len(r.LayerNames) == 0 {
				at[1] = nil
				unsure = true // what is wrong was said
			}
		} else {
			r.LayerName = at[1].val.str
		}
	}
	open := p.t.rng(span{n.span.start, n.span.start + 1})
	misspelled := false
	if at[0] != nil && at[1] != nil {
		f := p.error("both-type-and-name", p.t.rng(at[1].val.span), join(path, keyLayerName),
			diag.Textf("%s sets both layer_type and layer_name", what), diag.Textf("set one of the two to null, or write two rules"))
		f.Related = []diag.Related{{Range: p.t.rng(at[0].val.span), Message: diag.Textf("layer_type is set here")}}
	}
	text := r.Text()
	p.object(n, path, what, ruleTable, func(f *field, m *member, pl place) {
		switch f.name {
		case keyKinds:
			var ok bool
			r.kindsPlace = pl
			r.Kinds, ok = p.kinds(m.val, pl)
			r.unsure = !ok
		case keyOverall:
			r.overall = p.settings(m.val, pl, diag.Textf("%s, overall_quantize_config", text))
		case keyTensor:
			p.tensors(m.val, pl, func(kind scheme.Kind) diag.Text { return diag.Textf("%s, tensor %s", text, kind) }, &r.tensor)
		}
	}, func(key string) {
		switch key {
		case keyKinds:
			r.unsure = true
		case keyOverall:
			r.overall.doubt()
		case keyTensor:
			doubtAll(&r.tensor)
		case keyLayerType, keyLayerName:
			misspelled = true
		}
	})
	if at[0] == nil && at[1] == nil && !unsure && !misspelled && p.whole {
		p.error("no-type-or-name", open, path, diag.Textf("%s sets neither layer_type nor layer_name, so it is for no layer", what), diag.Textf("set one of the two"))
	}
	if at[0] != nil {
		p.layerType(r)
	}
	if r.kindsPlace.path == "" {
		r.unsure = true
	}
	return r
}

// layerNames reads a list of names; unsure is set where some could not be read.
func (p *parser) layerNames(n *node, path string) (names []string, unsure bool) {
	names = []string{}
	if len(n.elems) == 0 {
		p.error("bad-value", p.t.rng(n.span), path, diag.Textf("%s is an empty list, so the rule is for no layer", keyLayerName), diag.Textf("list names of layers, or delete the rule"))
	}
	seen := map[string]*node{}
	for i, e := range n.elems {
		epath := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case e.typ != stringNode:
			unsure = true
			p.wrongType(e, epath, keyLayerName, diag.Textf("a list of strings"), diag.Text{})
		case e.str == "":
			unsure = true
			p.error("bad-value", p.t.rng(e.span), epath, diag.Textf("%s lists an empty name", keyLayerName), diag.Textf("delete it"))
		case seen[e.str] != nil:
			p.add(diag.Finding{Severity: diag.Warning, Code: "no-effect", Range: p.t.rng(e.span), Path: epath,
				Message: diag.Textf("%q is in this list already", e.str), Fix: diag.Textf("delete one of the two")})
		default:
			seen[e.str] = e
			names = append(names, e.str)
		}
	}
	return names, unsure
}

// layerType checks that a rule's type is one that a layer can have.
func (p *parser) layerType(r *Rule) {
	t := r.LayerType
	bare := BareType(t)
	isTorch := bare != t
	switch {
	case knownClass(bare), knownFunction(bare), !isTorch && knownOp(bare):
		return
	case !isTorch && strings.Contains(bare, "."):
		p.add(diag.Finding{Severity: diag.Warning, Code: "foreign-type", Range: r.NameRange, Path: r.NamePath,
			Message: diag.Textf("%s is a class of another package: it matches only in models whose exporter wrote class names down", clip(strconv.Quote(t))),
			Fix:     diag.Textf("check with --model, or use a torch.nn class or an ONNX operator")})
		return
	}
	f := p.error("unknown-layer-type", r.NameRange, r.NamePath,
		diag.Textf("%s is neither a torch.nn class nor an ONNX operator", clip(strconv.Quote(t))), diag.Text{})
	prefix := t[:len(t)-len(bare)]
	candidates := slices.Concat(torchClassNames, onnxOpNames, torchFunctionNames)
	if isTorch {
		candidates = slices.Concat(torchClassNames, torchFunctionNames)
	}
	for _, n := range suggest(bare, candidates) {
		f.Suggestions = append(f.Suggestions, prefix+n)
	}
	f.Fix = didYouMean(f.Suggestions)
}
