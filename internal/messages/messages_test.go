package messages

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"narrow/diag"
)

// TestNothingIsMissing: every format in the source has a Chinese form that takes
// the same arguments, and the catalogue holds nothing else.
func TestNothingIsMissing(t *testing.T) {
	source := formats(t)
	if len(source) < 250 {
		t.Fatalf("only %d formats found: is the source read rightly?", len(source))
	}
	for _, format := range slices.Sorted(maps.Keys(source)) {
		where := source[format]
		want, err := verbs(format)
		if err != nil {
			t.Errorf("%s: %v", where.where, err)
			continue
		}
		if where.args >= 0 && where.args != len(want) {
			t.Errorf("%s: %q takes %d arguments and gets %d", where.where, format, len(want), where.args)
		}
		if !speaks(format) {
			continue
		}
		chinese, ok := catalogue(t)[format]
		if !ok {
			t.Errorf("%s: no Chinese for\n\t%q", where.where, format)
			continue
		}
		got, err := verbs(chinese)
		if err != nil {
			t.Error(err)
			continue
		}
		slices.Sort(want)
		slices.Sort(got)
		if !slices.Equal(slices.Compact(got), want) {
			t.Errorf("%q takes %v, its Chinese %q takes %v", format, want, chinese, got)
		}
	}
	for format, chinese := range catalogue(t) {
		args := make([]any, 9)
		for i, v := range dummies(t, format) {
			args[i] = v
		}
		if told := fmt.Sprintf(chinese+"%.0[10]s", append(args, "")...); strings.Contains(told, "%!") {
			t.Errorf("%q: %q comes out as %q", format, chinese, told)
		}
		if _, ok := source[format]; !ok {
			t.Errorf("the catalogue holds %q, which nothing in the source says", format)
		}
	}
}

// catalogue returns the Chinese of all formats.
func catalogue(t *testing.T) map[string]string {
	t.Helper()
	all := maps.Clone(zh)
	for format, chinese := range zhErrors {
		if _, ok := all[format]; ok {
			t.Fatalf("%q stands in zh and in zhErrors", format)
		}
		all[format] = chinese
	}
	return all
}

// dummies returns arguments that the verbs of a format take.
func dummies(t *testing.T, format string) []any {
	t.Helper()
	list, err := verbs(format)
	if err != nil {
		t.Error(err)
	}
	var args []any
	for _, v := range list {
		switch v[len(v)-1] {
		case 'd', 'c', 'U':
			args = append(args, 'x')
		case 'f', 'g':
			args = append(args, 1.5)
		default:
			args = append(args, "x")
		}
	}
	return args
}

// speaks reports whether a format holds words, not only arguments and the
// punctuation that both languages share.
func speaks(format string) bool {
	for _, v := range []string{"%s", "%v", "%q", "%d"} {
		format = strings.ReplaceAll(format, v, "")
	}
	return strings.ContainsFunc(format, unicode.IsLetter) || strings.ContainsAny(format, ",;:()?")
}

// code matches what stands in a message as it would in a file.
var code = regexp.MustCompile(`\[[^]]*\]|\{[^}]*\}| , |np\.savez\([^)]*\)`)

// TestChineseIsChinese: a message says something in Chinese, and ends as the
// English one does: without a full stop.
func TestChineseIsChinese(t *testing.T) {
	for format, s := range catalogue(t) {
		if !strings.ContainsFunc(s, func(c rune) bool { return unicode.Is(unicode.Han, c) || strings.ContainsRune("，：、；（）", c) }) {
			t.Errorf("%q: %q is not Chinese", format, s)
		}
		if strings.HasSuffix(s, "。") != strings.HasSuffix(format, ".") {
			t.Errorf("%q: %q ends otherwise", format, s)
		}
		words := code.ReplaceAllString(s, "")
		for _, mark := range []string{", ", "; ", " (", "? "} {
			if strings.Contains(words, mark) {
				t.Errorf("%q: %q has half-width %q", format, s, mark)
			}
		}
	}
}

func TestFromEnv(t *testing.T) {
	tests := []struct {
		env  map[string]string
		want Language
	}{
		{nil, English},
		{map[string]string{"NARROW_LANG": "zh"}, Chinese},
		{map[string]string{"NARROW_LANG": "zh-Hans"}, Chinese},
		{map[string]string{"NARROW_LANG": "en", "LANG": "zh_CN.UTF-8"}, English},
		{map[string]string{"LANG": "zh_CN.UTF-8"}, Chinese},
		{map[string]string{"LANG": "ZH_TW"}, Chinese},
		{map[string]string{"LC_MESSAGES": "zh_CN", "LANG": "de_DE"}, Chinese},
		{map[string]string{"LC_ALL": "C.UTF-8", "LANG": "zh_CN.UTF-8"}, English},
		{map[string]string{"LC_ALL": "", "LANG": "zh_CN.UTF-8"}, Chinese},
		{map[string]string{"LANG": "zhz"}, English},
		{map[string]string{"LANG": "zh_CN.utf8@pinyin"}, Chinese},
		{map[string]string{"LANG": "zh_CN.GBK"}, English},
		{map[string]string{"LANG": "zh_TW.Big5"}, English},
		{map[string]string{"NARROW_LANG": "zh", "LANG": "zh_CN.GB18030"}, Chinese},
		{map[string]string{"LANG": "."}, English},
	}
	for _, tt := range tests {
		if got := FromEnv(func(name string) string { return tt.env[name] }); got != tt.want {
			t.Errorf("%v: %d, want %d", tt.env, got, tt.want)
		}
	}
}

// TestTranslatesWithin: texts among the arguments are told in the same language.
func TestTranslatesWithin(t *testing.T) {
	text := diag.Textf("at %s", diag.Or([]diag.Text{diag.Textf("a string"), diag.Textf("a list")}))
	if got := English.Sprint(text); got != "at a string or a list" {
		t.Error(got)
	}
	if got := Chinese.Sprint(text); got != "位置：字符串 或 列表" {
		t.Error(got)
	}
}
