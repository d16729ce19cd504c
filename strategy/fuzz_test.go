package strategy_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"narrow/diag"
	"narrow/internal/bounded"
	"narrow/strategy"
)

func seeds(f *testing.F) {
	files, err := filepath.Glob("../examples/configs/*.json")
	if err != nil || len(files) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	for _, s := range []string{
		"", "\ufeff", "{", "[[[[", `{"a":`, `{'a': True}`, "{\"a\": \"\\ud83d\\ude00\\ud83d\"}", "{\"a\"： “b”，}", "/*", "//", "# x\n{}",
		`{"percentage": 1e999}`, `{"overall_quantize_config": {"percentage": 1e-300, "method": "percentile"}}`, "\xff\xfe{\x00", "{\"a\": \"\x80\"}",
		`{"overall_quantize_config": {"bit_width": 8, "bit_width": 9}, "tensor_quantize_config": {"weights": null, "weights": {}}}`,
		`{"layer_quantize_config": [{"layer_name": "\u0000\n", "layer_type": "", "quantizable_data_type": ["bias","bias"], "overall_quantize_config": {"percentage": 0.1}}]}`,
	} {
		f.Add([]byte(s))
	}
}

// parseBound is what parsing may allocate: a file can be all mistakes, and each
// is told. See docs/robustness.md.
var parseBound = bounded.Bound{Factor: 4096, Constant: 1 << 20}

// TestParseMemory holds the bound where a file is all small parts.
func TestParseMemory(t *testing.T) {
	many := func(s string) string { return strings.Repeat(s, 2000) }
	for _, text := range []string{
		`{"layer_quantize_config": [` + many("{},") + "{}]}", `{"layer_quantize_config": [` + many("5,") + "{}]}", "[" + many(","), many("{"), many("@"),
		"{" + many(`"a":1,`) + `"a":1}`, "{" + many(`"bit_width":1,`) + `"a":1}`,
	} {
		parseBound.Run(t, len(text), func() { _, _ = strategy.Parse("f.json", []byte(text)) })
	}
}

// FuzzParse: no bytes make it panic, and every place that it names lies in the
// file.
func FuzzParse(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, src []byte) {
		var s *strategy.Strategy
		var list diag.List
		parseBound.Run(t, len(src), func() { s, list = strategy.Parse("f.json", src) })
		if s == nil {
			t.Fatal("no strategy")
		}
		for _, fd := range list {
			inFile(t, src, fd.Range)
			for _, r := range fd.Related {
				inFile(t, src, r.Range)
			}
			if fd.Message.IsZero() || fd.Code == "" || fd.Severity == 0 || bytes.ContainsAny([]byte(fd.Message.String()+fd.Fix.String()), "\n\r\x1b") {
				t.Errorf("finding %+v", fd)
			}
		}
		for _, r := range append(s.Rules, nil) {
			for _, k := range strategy.AllKinds.List() {
				res := s.Resolve(k, r)
				for _, b := range res.All() {
					if b.Text.IsZero() || b.Value == "" {
						t.Errorf("no reason: %+v", b)
					}
					if !b.Range.IsZero() {
						inFile(t, src, b.Range)
					}
				}
			}
		}
	})
}

func inFile(t *testing.T, src []byte, r diag.Range) {
	t.Helper()
	if r.File != "f.json" || r.Start.Offset < 0 || r.Start.Offset > r.End.Offset || r.End.Offset > len(src) {
		t.Fatalf("range %+v is not in the file of %d bytes", r, len(src))
	}
	for _, p := range []diag.Pos{r.Start, r.End} {
		// Count from the line's start again, the slow way.
		start := bytes.LastIndexByte(src[:p.Offset], '\n') + 1
		if start == 0 && bytes.HasPrefix(src, []byte("\ufeff")) {
			start = 3
		}
		if line, col := bytes.Count(src[:p.Offset], []byte("\n"))+1, utf8.RuneCount(src[start:max(p.Offset, start)])+1; p.Line != line || p.Col != col {
			t.Fatalf("%+v: want line %d, column %d", p, line, col)
		}
	}
}

// FuzzFormat: what parses, formats to a file that means the same, and
// formatting that changes nothing.
func FuzzFormat(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, src []byte) {
		s, list := strategy.Parse("f.json", src)
		if list.HasErrors() {
			return
		}
		for _, out := range [][]byte{s.Format(), s.MarshalResolved()} {
			again, list := strategy.Parse("g.json", out)
			if list.HasErrors() {
				t.Fatalf("%s\nformats to\n%s\n%v", src, out, list)
			}
			if !bytes.Equal(again.MarshalResolved(), s.MarshalResolved()) {
				t.Fatalf("%s\nmeans\n%s\nformatted\n%s", src, s.MarshalResolved(), again.MarshalResolved())
			}
			if len(s.Rules) != len(again.Rules) {
				t.Fatalf("%d rules became %d", len(s.Rules), len(again.Rules))
			}
			for i, r := range append(s.Rules, nil) {
				r2 := r
				if r != nil {
					r2 = again.Rules[i]
				}
				for _, k := range strategy.AllKinds.List() {
					a, b := s.Resolve(k, r), again.Resolve(k, r2)
					if a.Settings != b.Settings || a.Quantize != b.Quantize {
						t.Fatalf("%s: %+v became %+v", k, a.Settings, b.Settings)
					}
				}
			}
		}
		once := s.Format()
		again, _ := strategy.Parse("g.json", once)
		if twice := again.Format(); !bytes.Equal(once, twice) {
			t.Fatalf("formatting twice:\n%s\n%s", once, twice)
		}
	})
}
