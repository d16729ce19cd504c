// Package graphtext reads and writes networks as text, for tests.
//
// The form is ONNX's own (onnx/docs/Syntax.md) as far as it goes, so that
// tests can show a network on a few lines:
//
//	<ir_version: 8, opset_import: ["": 13]>
//	net (float[N, 3, 8, 8] x) => (float[N, 4, 8, 8] y)
//	<float[4, 3, 1, 1] w = {0.5, -0.25, ...}, float[4] b = {0, 0, 0, 1}, float[N, 4, 8, 8] h>
//	{
//	  [conv1] h = Conv <kernel_shape = [1, 1], auto_pad = "NOTSET"> (x, w, b)
//	  y = Relu (h)
//	}
//
// The header may be left out and says ir_version 8 and opset 13 then. It also
// knows producer_name, producer_version and metadata_props. Between the
// signature and the body stand initializers (with a value) and the types of
// inner values (without). "float" alone is a scalar, "float[]" has an unknown
// rank, "?" is an unknown dimension. The name of a node stands before it in
// brackets. "# " starts a comment.
//
// Beyond ONNX's form: "..." at the end of a tensor's elements repeats those
// before it until the shape is full; any name can be quoted as in Go; data types may
// also be written as numpy does (float32); a node's metadata_props follow it
// as {"key": "value"}; an omitted input is an empty place or "".
//
// What [Format] prints [Parse] reads: the same model but for Source fields and
// attributes of kind AttrOther, which are left out.
package graphtext

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"narrow/graph"
)

var textTypes = map[string]graph.DataType{"float": graph.Float32, "double": graph.Float64}

// Parse reads a model's text form. Errors tell the line and column.
func Parse(text string) (*graph.Model, error) {
	p := &textParser{lex: lexer{text: text, line: 1, col: 1}}
	p.next()
	m := &graph.Model{IRVersion: 8, Opsets: map[string]int64{"": 13}}
	p.header(m)
	m.Graph = p.graph()
	if p.tok.kind != tokEnd {
		p.fail("expected the end")
	}
	if p.err != nil {
		return nil, p.err
	}
	return m, nil
}

// MustParse is [Parse] for texts that stand in the program, as in tests. It
// panics on an error.
func MustParse(text string) *graph.Model {
	m, err := Parse(text)
	if err != nil {
		panic(err)
	}
	return m
}

type tokKind int

const (
	tokEnd    tokKind = iota + 1
	tokName           // an identifier
	tokString         // a quoted string, unquoted in text
	tokInt
	tokFloat
	tokPunct // one of < > ( ) [ ] { } , = : ? or "=>" or "..."
	tokBad
)

type token struct {
	kind      tokKind
	text      string
	line, col int
}

type lexer struct {
	text      string
	pos       int
	line, col int
}

func (l *lexer) advance(n int) {
	for _, c := range l.text[l.pos : l.pos+n] {
		if c == '\n' {
			l.line, l.col = l.line+1, 0
		}
		l.col++
	}
	l.pos += n
}

// nameByte reports whether c may stand in a name that is not quoted. Beyond
// identifiers that is what exporters' names are made of.
func nameByte(c byte) bool {
	return c == '_' || c == '.' || c == '/' || c == '$' || c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= 0x80
}

func (l *lexer) token() token {
	for l.pos < len(l.text) {
		c := l.text[l.pos]
		if c == '#' {
			end := strings.IndexByte(l.text[l.pos:], '\n')
			if end < 0 {
				end = len(l.text) - l.pos
			}
			l.advance(end)
		} else if c == ' ' || c == '\t' || c == '\n' || c == '\r' {
			l.advance(1)
		} else {
			break
		}
	}
	t := token{line: l.line, col: l.col}
	rest := l.text[l.pos:]
	n := 0
	switch {
	case rest == "":
		t.kind = tokEnd
	case rest[0] == '"':
		t.kind = tokBad
		if q, err := strconv.QuotedPrefix(rest); err == nil {
			t.text, _ = strconv.Unquote(q)
			t.kind, n = tokString, len(q)
			l.advance(n)
			return t
		}
		n = 1
	case strings.HasPrefix(rest, "..."):
		t.kind, n = tokPunct, 3
	case strings.HasPrefix(rest, "=>"):
		t.kind, n = tokPunct, 2
	case rest[0] == '-' || rest[0] >= '0' && rest[0] <= '9':
		n = 1
		for n < len(rest) && (nameByte(rest[n]) && rest[n] != '/' || (rest[n] == '-' || rest[n] == '+') && (rest[n-1] == 'e' || rest[n-1] == 'E')) {
			n++
		}
		// "{1, ...}" may be written "{1...}".
		if i := strings.Index(rest[:n], "..."); i > 0 {
			n = i
		}
		t.kind = tokBad
		if _, err := strconv.ParseInt(rest[:n], 10, 64); err == nil {
			t.kind = tokInt
		} else if _, err := strconv.ParseUint(rest[:n], 10, 64); err == nil {
			t.kind = tokInt
		} else if _, err := strconv.ParseFloat(rest[:n], 64); err == nil {
			t.kind = tokFloat
		} else if rest[0] != '-' {
			t.kind = tokName // names of values are often numbers, or start with digits
		}
	case nameByte(rest[0]):
		for n < len(rest) && nameByte(rest[n]) {
			n++
		}
		t.kind = tokName
	case strings.IndexByte("<>()[]{},=:?", rest[0]) >= 0:
		t.kind, n = tokPunct, 1
	default:
		t.kind, n = tokBad, 1
	}
	t.text = rest[:n]
	l.advance(n)
	return t
}

// textParser is a recursive descent parser. After its first mistake every
// token is tokEnd, so that all loops end.
type textParser struct {
	lex lexer
	tok token
	err error
}

func (p *textParser) next() token {
	t := p.tok
	if p.err == nil {
		p.tok = p.lex.token()
		if p.tok.kind == tokBad {
			p.fail("unexpected")
		}
	}
	return t
}

func (p *textParser) fail(format string, args ...any) {
	if p.err != nil {
		return
	}
	what := fmt.Sprintf(format, args...)
	if p.tok.kind == tokEnd {
		p.err = fmt.Errorf("%d:%d: %s, but the text ends", p.tok.line, p.tok.col, what)
	} else {
		p.err = fmt.Errorf("%d:%d: %s at %q", p.tok.line, p.tok.col, what, p.tok.text)
	}
	p.tok = token{kind: tokEnd, line: p.tok.line, col: p.tok.col}
}

func (p *textParser) is(punct string) bool { return p.tok.kind == tokPunct && p.tok.text == punct }

func (p *textParser) accept(punct string) bool {
	if p.is(punct) {
		p.next()
		return true
	}
	return false
}

func (p *textParser) expect(punct string) {
	if !p.accept(punct) {
		p.fail("expected %q", punct)
	}
}

// list calls item until the closing mark, with commas between.
func (p *textParser) list(open, shut string, item func()) {
	p.expect(open)
	for p.err == nil && !p.accept(shut) {
		item()
		if !p.is(shut) {
			p.expect(",")
		}
	}
}

// name reads a name: an identifier, a number or a quoted string.
func (p *textParser) name() string {
	switch p.tok.kind {
	case tokName, tokString:
		return p.next().text
	case tokInt:
		return p.next().text
	}
	p.fail("expected a name")
	return ""
}

func (p *textParser) int() int64 {
	if p.tok.kind != tokInt {
		p.fail("expected an integer")
		return 0
	}
	v, err := strconv.ParseInt(p.tok.text, 10, 64)
	if err != nil {
		p.fail("expected an integer of 64 bits")
	}
	p.next()
	return v
}

func (p *textParser) str() string {
	if p.tok.kind != tokString {
		p.fail("expected a string")
	}
	return p.next().text
}

func (p *textParser) header(m *graph.Model) {
	if !p.is("<") {
		return
	}
	p.list("<", ">", func() {
		key := p.name()
		p.expect(":")
		switch key {
		case "ir_version":
			m.IRVersion = p.int()
		case "producer_name":
			m.Producer = p.str()
		case "producer_version":
			m.ProducerVersion = p.str()
		case "opset_import":
			m.Opsets = map[string]int64{}
			p.list("[", "]", func() {
				domain := p.str()
				p.expect(":")
				m.Opsets[domain] = p.int()
			})
		case "metadata_props":
			m.Metadata = p.pairs("[", "]")
		default:
			p.fail("unknown key %q", key)
		}
	})
}

func (p *textParser) pairs(open, shut string) map[string]string {
	m := map[string]string{}
	p.list(open, shut, func() {
		k := p.str()
		p.expect(":")
		m[k] = p.str()
	})
	return m
}

func (p *textParser) graph() *graph.Graph {
	g := &graph.Graph{Name: p.name()}
	p.signature(g)
	return g
}

// signature reads a graph from its inputs on.
func (p *textParser) signature(g *graph.Graph) {
	p.list("(", ")", func() { g.Inputs = append(g.Inputs, p.value()) })
	p.expect("=>")
	p.list("(", ")", func() { g.Outputs = append(g.Outputs, p.value()) })
	if p.is("<") {
		p.list("<", ">", func() {
			v := p.value()
			if p.accept("=") {
				g.Initializers = append(g.Initializers, p.tensor(v))
				return
			}
			if g.Values == nil {
				g.Values = map[string]*graph.Value{}
			}
			g.Values[v.Name] = v
		})
	}
	p.expect("{")
	for p.err == nil && !p.accept("}") {
		g.Nodes = append(g.Nodes, p.node())
	}
}

// value reads a type and a name; the type may be left out.
func (p *textParser) value() *graph.Value {
	v := &graph.Value{}
	if _, ok := textType(p.tok.text); ok && p.tok.kind == tokName {
		v.Type, v.Shape = p.valueType()
	}
	v.Name = p.name()
	return v
}

func textType(name string) (graph.DataType, bool) {
	if t, ok := textTypes[name]; ok {
		return t, true
	}
	for t := graph.DataType(1); t.Known(); t++ {
		if t.String() == name {
			return t, true
		}
	}
	return graph.Undefined, false
}

func (p *textParser) valueType() (graph.DataType, []graph.Dim) {
	t, ok := textType(p.tok.text)
	if !ok {
		p.fail("expected a data type")
	}
	p.next()
	if !p.is("[") {
		return t, []graph.Dim{}
	}
	var shape []graph.Dim
	p.list("[", "]", func() {
		switch {
		case p.accept("?"):
			shape = append(shape, graph.Dim{Size: -1})
		case p.tok.kind == tokInt:
			size := p.int()
			if size < 0 {
				p.fail("a dimension is negative")
			}
			shape = append(shape, graph.Dim{Size: size})
		default:
			shape = append(shape, graph.Dim{Size: -1, Param: p.name()})
		}
	})
	return t, shape
}

// maxTextElements bounds what a few letters of text can ask for.
const maxTextElements = 1 << 20

// tensor reads the elements of a tensor that was declared as v.
func (p *textParser) tensor(v *graph.Value) *graph.Tensor {
	t := &graph.Tensor{Name: v.Name, Type: v.Type}
	n := 1
	for _, d := range v.Shape {
		if d.Size < 0 {
			p.fail("a tensor needs sizes, not %v,", d)
			return t
		}
		if d.Size > maxTextElements || n*int(d.Size) > maxTextElements {
			p.fail("a tensor of more than %d elements", maxTextElements)
			return t
		}
		t.Dims = append(t.Dims, d.Size)
		n *= int(d.Size)
	}
	if v.Type.Bits() == 0 || v.Type == graph.Complex128 {
		p.fail("a tensor of type %v has no elements that can be written", v.Type)
		return t
	}
	var words []string
	repeat := false
	p.list("{", "}", func() {
		switch {
		case len(words) > 0 && p.accept("..."):
			repeat = true
			if !p.is("}") {
				p.fail(`expected "}" after "..."`)
			}
		case p.tok.kind == tokInt || p.tok.kind == tokFloat || p.tok.kind == tokName:
			words = append(words, p.next().text)
		default:
			p.fail("expected a number")
		}
	})
	if repeat {
		for i := 0; len(words) < n; i++ {
			words = append(words, words[i])
		}
	}
	if len(words) != n {
		p.fail("tensor %q of shape %v needs %d elements, not %d,", t.Name, t.Dims, n, len(words))
		return t
	}
	raw, err := parseElements(t.Type, words)
	if err != nil {
		p.fail("tensor %q: %v", t.Name, err)
	}
	t.Raw = raw
	return t
}

// parseElements encodes numbers. Types without a spelling of their own (the
// small floats) are written as the integers of their bits.
func parseElements(t graph.DataType, words []string) ([]byte, error) {
	size, err := t.ByteSize(len(words))
	if err != nil {
		return nil, err
	}
	raw := make([]byte, 0, size)
	bits := t.Bits()
	var pack uint64
	for i, w := range words {
		var v uint64
		switch {
		case t == graph.Bool && (w == "true" || w == "false"):
			if w == "true" {
				v = 1
			}
		case t == graph.Float32 || t == graph.Float64:
			f, err := strconv.ParseFloat(w, bits)
			if err != nil {
				return nil, fmt.Errorf("%q is no %v", w, t)
			}
			v = math.Float64bits(f)
			if t == graph.Float32 {
				v = uint64(math.Float32bits(float32(f)))
			}
		default:
			var err error
			switch t {
			case graph.Int2, graph.Int4, graph.Int8, graph.Int16, graph.Int32, graph.Int64:
				var s int64
				s, err = strconv.ParseInt(w, 10, bits)
				v = uint64(s)
			default:
				v, err = strconv.ParseUint(w, 10, bits)
			}
			if err != nil {
				return nil, fmt.Errorf("%q is no %v", w, t)
			}
		}
		if bits < 8 {
			per := 8 / bits
			pack |= (v & (1<<bits - 1)) << (bits * (i % per))
			if i%per == per-1 || i == len(words)-1 {
				raw = append(raw, byte(pack))
				pack = 0
			}
			continue
		}
		raw = binary.LittleEndian.AppendUint64(raw, v)[:len(raw)+min(bits/8, 8)]
	}
	return raw, nil
}

func (p *textParser) node() *graph.Node {
	n := &graph.Node{}
	if p.accept("[") {
		n.Name = p.name()
		p.expect("]")
	}
	if !p.is("=") {
		n.Outputs = p.names(func() bool { return p.is("=") })
	}
	p.expect("=")
	n.OpType = p.name()
	if i := strings.LastIndexByte(n.OpType, '.'); i >= 0 {
		n.Domain, n.OpType = n.OpType[:i], n.OpType[i+1:]
	}
	if p.is("<") {
		p.list("<", ">", func() { n.Attrs = append(n.Attrs, p.attr()) })
	}
	p.expect("(")
	if !p.is(")") {
		n.Inputs = p.names(func() bool { return p.is(")") })
	}
	p.expect(")")
	if p.is("{") {
		n.Metadata = p.pairs("{", "}")
	}
	return n
}

// names reads names with commas between; an empty place is "".
func (p *textParser) names(end func() bool) []string {
	var names []string
	for p.err == nil {
		if p.is(",") || end() {
			names = append(names, "")
		} else {
			names = append(names, p.name())
		}
		if end() {
			break
		}
		p.expect(",")
	}
	return names
}

func (p *textParser) attr() *graph.Attr {
	a := &graph.Attr{Name: p.name()}
	kind := ""
	if p.accept(":") {
		kind = p.name()
	}
	p.expect("=")
	switch {
	case p.is("["):
		p.listAttr(a, kind)
	case p.tok.kind == tokString && kind != "graph":
		a.Kind, a.String = graph.AttrString, p.next().text
	case p.tok.kind == tokInt && kind != "float":
		a.Kind, a.Int = graph.AttrInt, p.int()
	case p.isFloat():
		a.Kind, a.Float = graph.AttrFloat, p.float()
	default:
		if _, ok := textType(p.tok.text); ok && p.tok.kind == tokName {
			t, shape := p.valueType()
			v := &graph.Value{Type: t, Shape: shape}
			if !p.is("{") {
				v.Name = p.name()
				p.expect("=")
			}
			a.Kind, a.Tensor = graph.AttrTensor, p.tensor(v)
			break
		}
		a.Kind, a.Graph = graph.AttrGraph, p.graph()
	}
	return a
}

func (p *textParser) isFloat() bool {
	switch p.tok.kind {
	case tokInt, tokFloat:
		return true
	case tokName:
		return slices.Contains([]string{"inf", "nan"}, strings.ToLower(p.tok.text))
	}
	return false
}

func (p *textParser) float() float32 {
	f, err := strconv.ParseFloat(p.tok.text, 32)
	if err != nil {
		p.fail("expected a float")
	}
	p.next()
	return float32(f)
}

// listAttr reads a list. A list of integers becomes one of floats when a
// float is among them.
func (p *textParser) listAttr(a *graph.Attr, kind string) {
	a.Kind = map[string]graph.AttrKind{"floats": graph.AttrFloats, "strings": graph.AttrStrings}[kind]
	p.list("[", "]", func() {
		switch {
		case p.tok.kind == tokString:
			a.Kind = graph.AttrStrings
			a.Strings = append(a.Strings, p.next().text)
		case p.tok.kind == tokInt && a.Kind != graph.AttrFloats:
			a.Kind = graph.AttrInts
			a.Ints = append(a.Ints, p.int())
		case p.isFloat():
			for _, i := range a.Ints {
				a.Floats = append(a.Floats, float32(i))
			}
			a.Kind, a.Ints = graph.AttrFloats, nil
			a.Floats = append(a.Floats, p.float())
		default:
			p.fail("expected a number or a string")
		}
	})
	if a.Kind == 0 {
		a.Kind = graph.AttrInts
	}
	if a.Kind == graph.AttrStrings && len(a.Ints)+len(a.Floats) > 0 || a.Kind != graph.AttrStrings && len(a.Strings) > 0 {
		p.fail("a list of numbers and strings")
	}
}

// Format returns m's text form. The same model gives the same text.
func Format(m *graph.Model) string {
	var b strings.Builder
	fmt.Fprintf(&b, "<ir_version: %d, opset_import: [", m.IRVersion)
	for i, d := range slices.Sorted(maps.Keys(m.Opsets)) {
		fmt.Fprintf(&b, "%s%q: %d", comma(i), d, m.Opsets[d])
	}
	b.WriteString("]")
	if m.Producer != "" {
		fmt.Fprintf(&b, ", producer_name: %q", m.Producer)
	}
	if m.ProducerVersion != "" {
		fmt.Fprintf(&b, ", producer_version: %q", m.ProducerVersion)
	}
	if len(m.Metadata) > 0 {
		fmt.Fprintf(&b, ", metadata_props: [%s]", formatPairs(m.Metadata))
	}
	b.WriteString(">\n")
	formatGraph(&b, m.Graph, "")
	b.WriteString("\n")
	return b.String()
}

func comma(i int) string {
	if i == 0 {
		return ""
	}
	return ", "
}

func formatPairs(m map[string]string) string {
	var parts []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		parts = append(parts, fmt.Sprintf("%q: %q", k, m[k]))
	}
	return strings.Join(parts, ", ")
}

// formatName quotes a name that would not be read as one name.
func formatName(s string) string {
	plain := s != ""
	for i := range len(s) {
		plain = plain && nameByte(s[i])
	}
	if plain && (strings.Contains(s, "...") || s[0] >= '0' && s[0] <= '9') {
		_, err := strconv.ParseInt(s, 10, 64)
		plain = err == nil && !strings.Contains(s, "...")
	}
	if _, isType := textType(s); plain && !isType {
		return s
	}
	return strconv.Quote(s)
}

func formatType(t graph.DataType) string {
	switch t {
	case graph.Float32:
		return "float"
	case graph.Float64:
		return "double"
	}
	return t.String()
}

func formatValue(v *graph.Value) string {
	if v.Type == graph.Undefined {
		return formatName(v.Name)
	}
	shape := ""
	switch {
	case v.Shape == nil:
		shape = "[]"
	case len(v.Shape) > 0:
		var dims []string
		for _, d := range v.Shape {
			dim := d.String()
			if d.Size < 0 && d.Param != "" {
				dim = formatName(d.Param)
				if _, err := strconv.ParseInt(dim, 10, 64); err == nil {
					dim = strconv.Quote(dim)
				}
			}
			dims = append(dims, dim)
		}
		shape = "[" + strings.Join(dims, ", ") + "]"
	}
	return formatType(v.Type) + shape + " " + formatName(v.Name)
}

func formatGraph(b *strings.Builder, g *graph.Graph, indent string) {
	b.WriteString(formatName(g.Name) + " (")
	for i, v := range g.Inputs {
		b.WriteString(comma(i) + formatValue(v))
	}
	b.WriteString(") => (")
	for i, v := range g.Outputs {
		b.WriteString(comma(i) + formatValue(v))
	}
	b.WriteString(")\n")
	if len(g.Initializers)+len(g.Values) > 0 {
		b.WriteString(indent + "<")
		for i, t := range g.Initializers {
			b.WriteString(comma(i))
			formatTensor(b, t, true)
		}
		for i, name := range slices.Sorted(maps.Keys(g.Values)) {
			b.WriteString(comma(i+len(g.Initializers)) + formatValue(g.Values[name]))
		}
		b.WriteString(">\n")
	}
	b.WriteString(indent + "{\n")
	for _, n := range g.Nodes {
		b.WriteString(indent + "  ")
		formatNode(b, n, indent+"  ")
		b.WriteString("\n")
	}
	b.WriteString(indent + "}")
}

func formatNode(b *strings.Builder, n *graph.Node, indent string) {
	if n.Name != "" {
		fmt.Fprintf(b, "[%s] ", formatName(n.Name))
	}
	for i, o := range n.Outputs {
		b.WriteString(comma(i) + formatName(o))
	}
	if len(n.Outputs) > 0 {
		b.WriteString(" ")
	}
	b.WriteString("= ")
	if n.Domain != "" {
		b.WriteString(formatName(n.Domain+"."+n.OpType) + " ")
	} else {
		b.WriteString(formatName(n.OpType) + " ")
	}
	first := true
	for _, a := range n.Attrs {
		if a.Kind == graph.AttrOther {
			continue
		}
		if first {
			b.WriteString("<")
		} else {
			b.WriteString(", ")
		}
		first = false
		formatAttr(b, a, indent)
	}
	if !first {
		b.WriteString("> ")
	}
	b.WriteString("(")
	for i, in := range n.Inputs {
		b.WriteString(comma(i) + formatName(in))
	}
	b.WriteString(")")
	if len(n.Metadata) > 0 {
		fmt.Fprintf(b, " {%s}", formatPairs(n.Metadata))
	}
}

func formatAttr(b *strings.Builder, a *graph.Attr, indent string) {
	b.WriteString(formatName(a.Name))
	empty := map[graph.AttrKind]string{graph.AttrFloats: ": floats", graph.AttrInts: ": ints", graph.AttrStrings: ": strings"}
	if len(a.Ints)+len(a.Floats)+len(a.Strings) == 0 {
		b.WriteString(empty[a.Kind])
	}
	b.WriteString(" = ")
	switch a.Kind {
	case graph.AttrInt:
		fmt.Fprint(b, a.Int)
	case graph.AttrFloat:
		b.WriteString(formatFloat(float64(a.Float), 32, true))
	case graph.AttrString:
		b.WriteString(strconv.Quote(a.String))
	case graph.AttrInts:
		b.WriteString(strings.ReplaceAll(fmt.Sprint(a.Ints), " ", ", "))
	case graph.AttrFloats:
		b.WriteString("[")
		for i, f := range a.Floats {
			b.WriteString(comma(i) + formatFloat(float64(f), 32, true))
		}
		b.WriteString("]")
	case graph.AttrStrings:
		b.WriteString("[")
		for i, s := range a.Strings {
			b.WriteString(comma(i) + strconv.Quote(s))
		}
		b.WriteString("]")
	case graph.AttrTensor:
		formatTensor(b, a.Tensor, false)
	case graph.AttrGraph:
		formatGraph(b, a.Graph, indent)
	}
}

// formatFloat writes the shortest form that reads back the same; point asks
// for one that does not look like an integer.
func formatFloat(f float64, bits int, point bool) string {
	s := strconv.FormatFloat(f, 'g', -1, bits)
	switch {
	case math.IsInf(f, 1):
		return "inf"
	case math.IsNaN(f):
		return "nan"
	case point && !strings.ContainsAny(s, ".eI"):
		return s + ".0"
	}
	return s
}

func formatTensor(b *strings.Builder, t *graph.Tensor, named bool) {
	b.WriteString(formatType(t.Type))
	if len(t.Dims) > 0 {
		b.WriteString(strings.ReplaceAll(fmt.Sprint(t.Dims), " ", ", "))
	}
	if named || t.Name != "" {
		b.WriteString(" " + formatName(t.Name) + " =")
	}
	b.WriteString(" {")
	words := formatElements(t)
	// A tensor of one repeated value is common and may be large.
	if len(words) > 2 && !slices.ContainsFunc(words, func(w string) bool { return w != words[0] }) {
		words = []string{words[0], "..."}
	}
	b.WriteString(strings.Join(words, ", "))
	b.WriteString("}")
}

func formatElements(t *graph.Tensor) []string {
	bits := t.Type.Bits()
	n := t.Len()
	size, err := t.Type.ByteSize(n)
	if err != nil || len(t.Raw) != size || t.Type == graph.Complex128 {
		return nil
	}
	words := make([]string, n)
	for i := range words {
		if bits < 8 {
			per := 8 / bits
			v := int64(t.Raw[i/per]>>(bits*(i%per))) & (1<<bits - 1)
			if (t.Type == graph.Int4 || t.Type == graph.Int2) && v >= 1<<(bits-1) {
				v -= 1 << bits
			}
			words[i] = fmt.Sprint(v)
			continue
		}
		var b [8]byte
		copy(b[:], t.Raw[i*bits/8:(i+1)*bits/8])
		v := binary.LittleEndian.Uint64(b[:])
		switch t.Type {
		case graph.Float32:
			words[i] = formatFloat(float64(math.Float32frombits(uint32(v))), 32, false)
		case graph.Float64:
			words[i] = formatFloat(math.Float64frombits(v), 64, false)
		case graph.Int8, graph.Int16, graph.Int32, graph.Int64:
			words[i] = fmt.Sprint(int64(v<<(64-bits)) >> (64 - bits))
		default:
			words[i] = fmt.Sprint(v)
		}
	}
	return words
}
