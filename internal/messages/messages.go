// Package messages holds what narrow says in other languages than English.
//
// In come a diag.Text (an English format and what goes into it) and a language;
// out comes the message. There is one catalogue per language: English is the
// formats themselves, as they stand in the source, and each other language a
// table from these to its own.
//
// Rule of the house: every format that the source names has an entry in every
// table, with the same arguments, and no table has another; a test reads the
// source and holds that. Names out of files, keys and values of the strategy
// language, flags and paths are the same in every language, and so is --json.
package messages

import (
	"strings"

	"narrow/diag"
	"narrow/internal/printable"
)

// Language is one that narrow can speak. The zero value is invalid.
type Language int

const (
	// English is the language of the source and of everything that programs read.
	English Language = iota + 1
	// Chinese is simplified Chinese.
	Chinese
)

// FromEnv returns the language that the environment asks for: the one of the
// first variable that is set among NARROW_LANG, LC_ALL, LC_MESSAGES and LANG. It
// is Chinese for "zh" and what begins so (zh_CN.UTF-8), else English. A locale of
// another encoding (zh_CN.GBK) is English too, since its terminal cannot show UTF-8.
func FromEnv(getenv func(string) string) Language {
	for _, name := range []string{"NARROW_LANG", "LC_ALL", "LC_MESSAGES", "LANG"} {
		v := strings.ToLower(getenv(name))
		if v == "" {
			continue
		}
		tag := strings.FieldsFunc(v, func(c rune) bool { return strings.ContainsRune("_-.@", c) })
		_, encoding, _ := strings.Cut(v, ".")
		encoding, _, _ = strings.Cut(encoding, "@")
		if len(tag) > 0 && tag[0] == "zh" && (encoding == "" || encoding == "utf-8" || encoding == "utf8") {
			return Chinese
		}
		return English
	}
	return English
}

// Sprint returns t in the language l, fit to be printed: see [printable.Text].
func (l Language) Sprint(t diag.Text) string {
	if l == Chinese {
		return printable.Text(t.Render(chinese))
	}
	return printable.Text(t.String())
}

// chinese returns the Chinese form of a format; a format without one, which the
// test does not let pass, stays English.
func chinese(format string) string {
	for _, table := range []map[string]string{zh, zhErrors, zhSystem} {
		if s, ok := table[format]; ok {
			return s
		}
	}
	return format
}
