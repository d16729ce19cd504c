package strategy

import (
	"bytes"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"narrow/diag"
)

// nodeType is a JSON type. The zero value stands for a value that could not
// be read; nothing more is said about such a value.
type nodeType int

const (
	badNode nodeType = iota
	nullNode
	boolNode
	numberNode
	stringNode
	arrayNode
	objectNode
)

// Text returns the type as messages call it.
func (t nodeType) Text() diag.Text {
	switch t {
	case nullNode:
		return diag.Verbatim("null")
	case boolNode:
		return diag.Textf("a boolean")
	case numberNode:
		return diag.Textf("a number")
	case stringNode:
		return diag.Textf("a string")
	case arrayNode:
		return diag.Textf("a list")
	case objectNode:
		return diag.Textf("an object")
	}
	return diag.Textf("something unreadable")
}

// node is a JSON value with its place.
type node struct {
	typ     nodeType
	span    span
	raw     string // the text of a number
	str     string
	num     float64
	b       bool
	elems   []*node
	members []*member
}

// member is a key and value of an object.
type member struct {
	key     string
	keySpan span
	val     *node
}

// maxDepth is how deep lists and objects may nest. The format needs five
// levels; the limit keeps hostile files from exhausting the stack.
const maxDepth = 64

// reader reads JSON with comments and trailing commas. It continues behind the
// mistakes that people make by hand (a missing comma, single quotes, True for
// true), so that one of these does not hide what else is wrong.
type reader struct {
	t     *text
	off   int
	depth int
	list  diag.List
	// dead is set when the rest of the file could not be read.
	dead bool
	// str is the file once more: strings of the tree are pieces of it.
	str string
	// nodes and memberSlab are cut off one by one: a file has thousands.
	nodes      []node
	memberSlab []member
}

func (r *reader) newNode(s span) *node {
	if len(r.nodes) == 0 {
		r.nodes = make([]node, 256)
	}
	n := &r.nodes[0]
	r.nodes = r.nodes[1:]
	n.span = s
	return n
}

func (r *reader) newMember() *member {
	if len(r.memberSlab) == 0 {
		r.memberSlab = make([]member, 256)
	}
	m := &r.memberSlab[0]
	r.memberSlab = r.memberSlab[1:]
	return m
}

// readJSON reads a whole file. ok is false when not all of it could be read;
// then what is missing in the tree may well be in the file.
func readJSON(t *text) (root *node, list diag.List, ok bool) {
	r := &reader{t: t, off: t.first, str: string(t.src)}
	if bad := invalidUTF8(t.src); bad >= 0 {
		fix := diag.Textf("save the file as UTF-8")
		if len(t.src) >= 2 && (t.src[0] == 0xff && t.src[1] == 0xfe || t.src[0] == 0xfe && t.src[1] == 0xff) {
			fix = diag.Textf("this looks like UTF-16: save the file as UTF-8")
		} else if bytes.IndexByte(t.src, 0) >= 0 {
			fix = diag.Textf("this is no text: give the strategy file, which is JSON")
		}
		r.fail("not-utf8", span{bad, bad + 1}, diag.Textf("the file is not UTF-8 text"), fix)
		return &node{span: span{t.first, t.first}}, r.list, false
	}
	r.space()
	if r.off == len(t.src) {
		r.fail("syntax", span{r.off, r.off}, diag.Textf("the file is empty: expected an object, { ... }"), diag.Textf(`write {} to take all defaults, or let "narrow init" write a file`))
		return &node{span: span{r.off, r.off}}, r.list, false
	}
	root = r.value(true)
	if !r.dead {
		r.space()
		if r.off < len(t.src) {
			s := r.token()
			fix := diag.Textf("delete what follows the last }")
			if c := t.src[s.start]; c == '}' || c == ']' {
				fix = diag.Textf("delete this %c, or look for a bracket above that closes too early", c)
			}
			r.fail("syntax", s, diag.Textf("expected the end of the file, found %s", r.quote(s)), fix)
		}
	}
	return root, r.list, !r.dead
}

func invalidUTF8(src []byte) int {
	for i := 0; i < len(src); {
		if src[i] < utf8.RuneSelf {
			i++
			continue
		}
		c, n := utf8.DecodeRune(src[i:])
		if c == utf8.RuneError && n == 1 {
			return i
		}
		i += n
	}
	return -1
}

func (r *reader) report(code string, s span, msg, fix diag.Text, rel ...diag.Related) {
	r.list = append(r.list, diag.Finding{
		Severity: diag.Error, Code: code, Range: r.t.rng(s), Message: msg, Fix: fix, Related: rel,
	})
}

// fail reports a mistake behind which nothing can be read.
func (r *reader) fail(code string, s span, msg, fix diag.Text, rel ...diag.Related) {
	if !r.dead {
		r.report(code, s, msg, fix, rel...)
	}
	r.dead = true
}

func (r *reader) peek() byte {
	if r.off < len(r.t.src) {
		return r.t.src[r.off]
	}
	return 0
}

// space skips white space and comments.
func (r *reader) space() {
	src := r.t.src
	for r.off < len(src) {
		switch c := src[r.off]; {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			r.off++
		case c == '/' && r.off+1 < len(src) && src[r.off+1] == '/':
			r.line()
		case c == '/' && r.off+1 < len(src) && src[r.off+1] == '*':
			end := bytes.Index(src[r.off+2:], []byte("*/"))
			if end < 0 {
				start := r.off
				r.off = len(src)
				r.fail("syntax", span{start, start + 2}, diag.Textf("this comment is not closed: expected */ before the end of the file"), diag.Textf("close it with */"))
				return
			}
			r.off += 2 + end + 2
		case c == '#':
			start := r.off
			r.line()
			r.report("syntax", span{start, start + 1}, diag.Textf("expected JSON, found #"), diag.Textf("start a comment with // instead of #"))
		case c >= utf8.RuneSelf:
			// Blanks that editors and web pages bring along, such as U+00A0.
			u, n := utf8.DecodeRune(src[r.off:])
			if !unicode.IsSpace(u) && u != '\u200b' && u != '\ufeff' {
				return
			}
			r.report("syntax", span{r.off, r.off + n}, diag.Textf("expected JSON, found the invisible character %U", u), diag.Textf("delete it or type a plain blank"))
			r.off += n
		default:
			return
		}
	}
}

func (r *reader) line() {
	for r.off < len(r.t.src) && r.t.src[r.off] != '\n' {
		r.off++
	}
}

// token returns the stretch of the next token, for messages only.
func (r *reader) token() span {
	s := span{r.off, r.off}
	if s.start >= len(r.t.src) {
		return s
	}
	if c := rune(r.t.src[s.start]); c < utf8.RuneSelf && !isWord(c) && c != '"' && c != '\'' {
		return span{s.start, s.start + 1}
	}
	for s.end < len(r.t.src) {
		c, n := utf8.DecodeRune(r.t.src[s.end:])
		if !isWord(c) && !(s.end == s.start) {
			break
		}
		s.end += n
	}
	return s
}

func isWord(c rune) bool {
	return c == '_' || c == '.' || c == '-' || c == '+' || unicode.IsLetter(c) || unicode.IsDigit(c)
}

// quote shows a piece of the file in a message.
func (r *reader) quote(s span) diag.Text {
	if s.start >= len(r.t.src) {
		return diag.Textf("the end of the file")
	}
	return diag.Verbatim(clip(string(r.t.src[s.start:max(s.end, s.start+1)])))
}

// clip keeps a text of the file short and on one line in a message.
func clip(s string) string { return clipTo(s, 60) }

func clipTo(s string, limit int) string {
	s = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || unicode.Is(unicode.Cf, c) || unicode.Is(unicode.Zl, c) || unicode.Is(unicode.Zp, c) || c >= 0x80 && c < 0xa0 {
			return '·'
		}
		return c
	}, s)
	if n := []rune(s); len(n) > limit {
		return string(n[:limit-3]) + "..."
	}
	return s
}

// value reads one value; whole says that it is to be the whole file.
func (r *reader) value(whole bool) *node {
	r.space()
	n := r.newNode(span{r.off, r.off})
	if r.dead {
		return n
	}
	if r.off >= len(r.t.src) {
		r.fail("syntax", n.span, diag.Textf("expected a value, found the end of the file"), diag.Text{})
		return n
	}
	switch c := r.peek(); {
	case c == '{':
		r.object(n)
	case c == '[':
		r.array(n)
	case c == '"':
		n.typ = stringNode
		n.str, n.span = r.string('"')
	case c == '\'':
		n.typ = stringNode
		n.str, n.span = r.string('\'')
		if !r.dead {
			r.report("syntax", n.span, diag.Textf("expected a string in double quotes, found %s", clip(r.text(n.span))), diag.Textf("write %s", clip(strconv.Quote(n.str))))
		}
	case r.curly() != "":
		n.typ = stringNode
		n.str, n.span = r.curlyString()
	case c == '-' || c == '+' || c == '.' || c >= '0' && c <= '9':
		r.number(n)
	case isWord(rune(c)) || c >= utf8.RuneSelf:
		r.word(n)
	default:
		s := r.token()
		msg := diag.Textf("expected a value, found %s", r.quote(s))
		if whole {
			msg = diag.Textf("a strategy file is one object, { ... }, found %s", r.quote(s))
		}
		if strings.ContainsAny(r.text(s), ",:]}") && r.depth > 0 {
			// The value was forgotten: what follows can still be read.
			r.report("syntax", s, msg, diag.Textf("write the missing value"))
			break
		}
		r.fail("syntax", s, msg, diag.Text{})
	}
	return n
}

func (r *reader) text(s span) string { return r.str[s.start:s.end] }

// word reads true, false, null, and what people write for them.
func (r *reader) word(n *node) {
	start := r.off
	s := r.token()
	w := r.text(s)
	r.off = s.end
	n.span = s
	if !setWord(n, w) {
		if setWord(n, strings.ToLower(w)) || strings.ToLower(w) == "none" && setWord(n, "null") {
			good := map[nodeType]string{nullNode: "null", boolNode: strconv.FormatBool(n.b)}[n.typ]
			r.report("syntax", s, diag.Textf("expected %s in lower case, found %s", good, w), diag.Textf("write %s", good))
			return
		}
		fix := diag.Textf("write %s if it is meant as a string", clip(strconv.Quote(w)))
		if strings.EqualFold(w, "nan") || strings.EqualFold(w, "infinity") {
			fix = diag.Textf("JSON has no such number")
		}
		n.typ = badNode
		r.report("syntax", span{start, s.end}, diag.Textf("expected a value, found %s", clip(w)), fix)
	}
}

func setWord(n *node, w string) bool {
	switch w {
	case "true", "false":
		n.typ, n.b = boolNode, w == "true"
	case "null":
		n.typ = nullNode
	default:
		return false
	}
	return true
}

func (r *reader) number(n *node) {
	s := r.token()
	n.span, n.raw = s, r.text(s)
	r.off = s.end
	n.typ = numberNode
	f, err := strconv.ParseFloat(n.raw, 64)
	if !isNumber(n.raw) {
		n.typ = badNode
		fix := diag.Textf("write a plain decimal number")
		if err == nil && !math.IsInf(f, 0) && !math.IsNaN(f) {
			fix = diag.Textf("write %s", strconv.FormatFloat(f, 'g', -1, 64))
		}
		r.report("syntax", s, diag.Textf("expected a number, found %s", clip(n.raw)), fix)
		return
	}
	n.num = f // ±Inf where it is too large: no key takes that
}

// isNumber reports whether s is a number in JSON's grammar.
func isNumber(s string) bool {
	s = strings.TrimPrefix(s, "-")
	digits := func() bool {
		n := 0
		for n < len(s) && s[n] >= '0' && s[n] <= '9' {
			n++
		}
		s = s[n:]
		return n > 0
	}
	if strings.HasPrefix(s, "0") {
		s = s[1:]
	} else if !digits() {
		return false
	}
	if strings.HasPrefix(s, ".") {
		s = s[1:]
		if !digits() {
			return false
		}
	}
	if s != "" && (s[0] == 'e' || s[0] == 'E') {
		s = s[1:]
		if s != "" && (s[0] == '+' || s[0] == '-') {
			s = s[1:]
		}
		if !digits() {
			return false
		}
	}
	return s == ""
}

// string reads a string and the quotes around it.
func (r *reader) string(quote byte) (string, span) {
	src := r.t.src
	start := r.off
	r.off++
	if n := strings.IndexAny(r.str[r.off:min(len(r.str), r.off+4096)], "\"'\\\n\r"); n >= 0 && src[r.off+n] == quote && !hasControl(r.str[r.off:r.off+n]) {
		s := r.str[r.off : r.off+n] // most strings are plain
		r.off += n + 1
		return s, span{start, r.off}
	}
	var b strings.Builder
	for r.off < len(src) {
		c := src[r.off]
		switch {
		case c == quote:
			r.off++
			return b.String(), span{start, r.off}
		case c == '\n' || c == '\r':
			r.report("syntax", span{start, r.off}, diag.Textf("this string is not closed: expected %c before the end of the line", quote), diag.Textf("close it with %c", quote))
			return strings.TrimRight(b.String(), ", \t"), span{start, r.off}
		case c == '\\':
			r.escape(&b)
		case c < ' ':
			r.report("syntax", span{r.off, r.off + 1}, diag.Textf("expected a printable character in a string, found the control character %U", c), diag.Textf("delete it"))
			r.off++
		default:
			_, n := utf8.DecodeRune(src[r.off:])
			b.Write(src[r.off : r.off+n])
			r.off += n
		}
	}
	r.fail("syntax", span{start, start + 1}, diag.Textf("this string is not closed: expected %c before the end of the file", quote), diag.Textf("close it with %c", quote))
	return b.String(), span{start, r.off}
}

func hasControl(s string) bool {
	return strings.IndexFunc(s, func(c rune) bool { return c < ' ' }) >= 0
}

func (r *reader) escape(b *strings.Builder) {
	src := r.t.src
	at := r.off
	r.off++
	if r.off >= len(src) {
		return
	}
	c := src[r.off]
	if i := strings.IndexByte(`"\/bfnrt'`, c); i >= 0 {
		b.WriteByte("\"\\/\b\f\n\r\t'"[i])
		r.off++
		if c == '\'' {
			r.report("syntax", span{at, r.off}, diag.Textf(`expected an escape such as \" or \n, found \'`), diag.Textf(`write ' without the backslash`))
		}
		return
	}
	if c == 'u' {
		u, ok := r.hex4()
		if ok && u >= 0xd800 && u < 0xdc00 && strings.HasPrefix(string(src[r.off:min(r.off+2, len(src))]), `\u`) {
			save := r.off
			r.off++
			if low, ok2 := r.hex4(); ok2 && low >= 0xdc00 && low < 0xe000 {
				u = (u-0xd800)<<10 + (low - 0xdc00) + 0x10000
			} else {
				r.off = save
			}
		}
		if ok {
			b.WriteRune(u) // a lone surrogate becomes U+FFFD
			return
		}
	}
	_, n := utf8.DecodeRune(src[r.off:])
	r.report("syntax", span{at, r.off + n}, diag.Textf(`expected an escape such as \" or \n, found %s`, clip(string(src[at:r.off+n]))), diag.Textf(`write a backslash itself as \\`))
	b.Write(src[at : r.off+n])
	r.off += n
}

// hex4 reads the u of an escape and its four digits.
func (r *reader) hex4() (rune, bool) {
	if r.off+5 > len(r.t.src) {
		return 0, false
	}
	v, err := strconv.ParseUint(string(r.t.src[r.off+1:r.off+5]), 16, 32)
	if err != nil {
		return 0, false
	}
	r.off += 5
	return rune(v), true
}

// enter counts one more level; it refuses when there are too many.
func (r *reader) enter() bool {
	r.depth++
	if r.depth > maxDepth {
		r.fail("syntax", span{r.off, r.off + 1}, diag.Textf("lists and objects nest more than %d levels deep here", maxDepth), diag.Text{})
		return false
	}
	return true
}

func (r *reader) array(n *node) {
	start := r.off
	n.typ = arrayNode
	defer func() { r.depth--; n.span = span{start, max(r.off, start+1)} }()
	if !r.enter() {
		return
	}
	r.off++
	for !r.dead {
		r.space()
		if r.close(']', start) {
			return
		}
		before := r.off
		n.elems = append(n.elems, r.value(false))
		if !r.separator(']', before, start) {
			return
		}
	}
}

func (r *reader) object(n *node) {
	start := r.off
	n.typ = objectNode
	defer func() { r.depth--; n.span = span{start, max(r.off, start+1)} }()
	if !r.enter() {
		return
	}
	r.off++
	for !r.dead {
		r.space()
		if r.close('}', start) {
			return
		}
		before := r.off
		m := r.key()
		if r.dead {
			return
		}
		n.members = append(n.members, m)
		r.space()
		switch c := r.peek(); {
		case c == ':':
			r.off++
			m.val = r.value(false)
		case r.fullWidth("：", ":"):
			m.val = r.value(false)
		case c == '=':
			r.report("syntax", span{r.off, r.off + 1}, diag.Textf("expected : after the key %s, found =", clip(strconv.Quote(m.key))), diag.Textf("write : instead of ="))
			r.off++
			m.val = r.value(false)
		default:
			m.val = &node{span: m.keySpan}
			s := r.token()
			msg := diag.Textf("expected : and a value after the key %s, found %s", clip(strconv.Quote(m.key)), r.quote(s))
			if c == ',' || c == '}' {
				r.report("syntax", s, msg, diag.Textf("write the missing value"))
			} else if c == '"' || isWord(rune(c)) || c == '{' || c == '[' {
				r.report("syntax", s, msg, diag.Textf("write : between the key and its value"))
				m.val = r.value(false)
			} else {
				r.fail("syntax", s, msg, diag.Text{})
			}
		}
		if !r.separator('}', before, start) {
			return
		}
	}
}

// curly returns the typographic quote that is next, "" if there is none. Text
// that went through a word processor or a web page has them.
func (r *reader) curly() string {
	if r.peek() < utf8.RuneSelf {
		return ""
	}
	for _, q := range [...]string{"“", "”", "„", "‘", "’"} {
		if strings.HasPrefix(r.str[r.off:], q) {
			return q
		}
	}
	return ""
}

// curlyString reads a string in typographic quotes, up to the end of the line
// at most.
func (r *reader) curlyString() (string, span) {
	start := r.off
	r.off += len(r.curly())
	from := r.off
	for r.off < len(r.t.src) && r.t.src[r.off] != '\n' {
		q := r.curly()
		if q == "" && r.peek() == '"' {
			q = `"`
		}
		if q != "" {
			s := string(r.t.src[from:r.off])
			r.off += len(q)
			sp := span{start, r.off}
			r.report("syntax", sp, diag.Textf("expected a string in straight double quotes, found %s", clip(r.text(sp))), diag.Textf("write %s", clip(strconv.Quote(s))))
			return s, sp
		}
		_, n := utf8.DecodeRune(r.t.src[r.off:])
		r.off += n
	}
	sp := span{start, r.off}
	r.report("syntax", sp, diag.Textf("this string is not closed"), diag.Textf("write it in straight double quotes"))
	return strings.TrimSpace(string(r.t.src[from:r.off])), sp
}

// fullWidth consumes the full-width form of a character, as Chinese and
// Japanese keyboards type it, and reports it.
func (r *reader) fullWidth(wide, narrow string) bool {
	if !strings.HasPrefix(r.str[r.off:], wide) {
		return false
	}
	s := span{r.off, r.off + len(wide)}
	r.report("syntax", s, diag.Textf("expected %q, found the full-width %q", narrow, wide), diag.Textf("write %s", narrow))
	r.off = s.end
	return true
}

// key reads the key of a member.
func (r *reader) key() *member {
	m := r.newMember()
	if r.curly() != "" {
		m.key, m.keySpan = r.curlyString()
		return m
	}
	switch c := r.peek(); {
	case c == '"':
		m.key, m.keySpan = r.string('"')
	case c == '\'':
		m.key, m.keySpan = r.string('\'')
		if !r.dead {
			r.report("syntax", m.keySpan, diag.Textf("expected a key in double quotes, found %s", clip(r.text(m.keySpan))), diag.Textf("write %s", clip(strconv.Quote(m.key))))
		}
	case isWord(rune(c)):
		m.keySpan = r.token()
		m.key = r.text(m.keySpan)
		r.off = m.keySpan.end
		r.report("syntax", m.keySpan, diag.Textf("expected a key in double quotes, found %s", clip(m.key)), diag.Textf("write %s", clip(strconv.Quote(m.key))))
	default:
		s := r.token()
		r.fail("syntax", s, diag.Textf("expected a key in double quotes, found %s", r.quote(s)), diag.Text{})
	}
	return m
}

// close consumes the closing bracket if it is next. It reports true when the
// list or object is over, for good or bad.
func (r *reader) close(bracket byte, open int) bool {
	if r.dead {
		return true
	}
	if r.off >= len(r.t.src) {
		o := r.t.src[open]
		rel := diag.Related{Range: r.t.rng(span{open, open + 1}), Message: diag.Textf("this %c is never closed", o)}
		r.fail("syntax", span{r.off, r.off}, diag.Textf("expected %c, found the end of the file: the %c of line %d is not closed", bracket, o, rel.Range.Start.Line),
			diag.Textf("add %c", bracket), rel)
		return true
	}
	switch c := r.peek(); c {
	case bracket:
		r.off++
		return true
	case '}', ']':
		rel := diag.Related{Range: r.t.rng(span{open, open + 1}), Message: diag.Textf("this %c needs a %c", r.t.src[open], bracket)}
		r.fail("syntax", span{r.off, r.off + 1}, diag.Textf("expected %c to close the %c of line %d, found %c", bracket, r.t.src[open], rel.Range.Start.Line, c),
			diag.Textf("write %c here, or look for a missing bracket above", bracket), rel)
		return true
	}
	return false
}

// separator consumes the comma behind an element, or leaves the closing
// bracket for close. It reports false when nothing more can be read.
func (r *reader) separator(bracket byte, before, open int) bool {
	if r.dead {
		return false
	}
	end := r.off
	r.space()
	switch c := r.peek(); {
	case r.off >= len(r.t.src) || c == '}' || c == ']':
		return true // close says what is wrong, if anything is
	case c == ',':
		for first := true; r.peek() == ','; first = false {
			if !first {
				r.report("syntax", span{r.off, r.off + 1}, diag.Textf("expected a value between two commas, found none"), diag.Textf("delete one comma"))
			}
			r.off++
			r.space()
		}
		return !r.dead
	case r.fullWidth("，", ","), r.fullWidth("、", ","):
		return true
	case r.off > before && (c == '"' || c == '\'' || c == '{' || c == '[' || isWord(rune(c))):
		// Point behind the element that lacks its comma, where it has to go.
		r.report("syntax", span{end, end + 1}, diag.Textf("expected , or %c here", bracket), diag.Textf("add a comma"))
		return true
	}
	s := r.token()
	rel := diag.Related{Range: r.t.rng(span{open, open + 1}), Message: diag.Textf("the list starts here")}
	if bracket == '}' {
		rel.Message = diag.Textf("the object starts here")
	}
	r.fail("syntax", s, diag.Textf("expected , or %c, found %s", bracket, r.quote(s)), diag.Text{}, rel)
	return false
}
