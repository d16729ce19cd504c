package diag

import "fmt"

// Text is a message that can be told in other languages: an English format and
// what goes into it. The format is the message's name in the catalogue of
// package internal/messages. The zero Text says nothing.
type Text struct {
	format string
	args   []any
}

// Texter is what has a Text of its own: a rule, a severity. As an argument of
// [Textf] it is told in the language of the message that it stands in.
type Texter interface{ Text() Text }

// Textf makes a message. format is as for fmt.Sprintf, and a constant: a test
// of package internal/messages reads all of them from the source. Arguments
// that are a Text or have one are translated with the message, and so are errors;
// others, such as names out of files, stand for themselves.
func Textf(format string, args ...any) Text {
	t := Text{format, make([]any, len(args))}
	for i, a := range args {
		switch x := a.(type) {
		case Texter:
			a = x.Text()
		case error:
			a = ErrorText(x)
		}
		t.args[i] = a
	}
	return t
}

// Verbatim makes a text that is the same in every language.
func Verbatim(s string) Text { return Text{"%s", []any{s}} }

// And joins parts as "a", "a and b", "a, b and c".
func And[T any](parts []T) Text { return conjoin("%s and %s", parts) }

// Commas joins parts as "a", "a, b", "a, b, c".
func Commas[T any](parts []T) Text { return conjoin("%s, %s", parts) }

// Or joins parts as "a", "a or b", "a, b or c".
func Or[T any](parts []T) Text { return conjoin("%s or %s", parts) }

func conjoin[T any](last string, parts []T) Text {
	var t Text
	for i, p := range parts {
		switch {
		case i == 0:
			t = Textf("%s", p)
		case i < len(parts)-1:
			t = Textf("%s, %s", t, p)
		default:
			t = Textf(last, t, p)
		}
	}
	return t
}

// IsZero reports whether t says nothing.
func (t Text) IsZero() bool { return t.format == "" }

// String returns the message in English, "" where there is none.
func (t Text) String() string { return t.Render(func(format string) string { return format }) }

// Render returns the message with its format, and those of the texts among its
// arguments, replaced by what translate makes of them.
func (t Text) Render(translate func(format string) string) string {
	if t.IsZero() {
		return ""
	}
	args := make([]any, len(t.args))
	for i, a := range t.args {
		switch x := a.(type) {
		case Text:
			a = x.Render(translate)
		case systemText:
			a = translate(string(x))
		}
		args[i] = a
	}
	return fmt.Sprintf(translate(t.format), args...)
}

// Map returns the message with the strings that go into it, and into the texts
// among its arguments, replaced by what f makes of them.
func (t Text) Map(f func(string) string) Text {
	if t.IsZero() {
		return t
	}
	args := make([]any, len(t.args))
	for i, a := range t.args {
		switch v := a.(type) {
		case Text:
			a = v.Map(f)
		case string:
			a = f(v)
		case error:
			a = f(v.Error())
		}
		args[i] = a
	}
	return Text{t.format, args}
}

// MarshalText writes the message in English: what programs read does not depend
// on the language of whoever runs them.
func (t Text) MarshalText() ([]byte, error) { return []byte(t.String()), nil }
