package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"narrow/graph/graphtext"
	"narrow/graph/onnx"
)

// growing are inputs whose work must grow as they do, of size n, and the
// command that works on each.
var growing = []struct {
	name  string
	n     int // the smallest size that takes a while
	write func(file string, n int) error
	args  string
}{
	{"mistakes on one line", 2000, func(file string, n int) error {
		return writeText(file, `{"overall_quantize_config": {`, n, func(i int) string { return fmt.Sprintf(`"k%d": 1`, i) }, `}}`)
	}, "lint FILE"},
	{"rules with mistakes", 500, func(file string, n int) error {
		return writeText(file, `{"layer_quantize_config": [`, n, func(i int) string {
			return fmt.Sprintf(`{"layer_type": null, "layer_name": "a%d", "quantizable_data_type": ["weights"], "overall_quantize_config": {"bit_widht": 8}}`, i)
		}, `]}`)
	}, "lint FILE"},
	{"rules", 1000, func(file string, n int) error {
		return writeText(file, `{"layer_quantize_config": [`, n, func(i int) string {
			return fmt.Sprintf(`{"layer_type": null, "layer_name": "a%d", "quantizable_data_type": ["weights"], "overall_quantize_config": {"bit_width": 8}}`, i)
		}, `]}`)
	}, "lint FILE"},
	{"a long group", 500, writeChain, "explain --model FILE"},
	{"a long group as JSON", 500, writeChain, "explain --json --model FILE"},
	{"layers", 500, writeChain, "layers --model FILE"},
}

func writeText(file, before string, n int, part func(int) string, after string) error {
	parts := make([]string, n)
	for i := range parts {
		parts[i] = part(i)
	}
	return os.WriteFile(file, []byte(before+strings.Join(parts, ", ")+after), 0o600)
}

// writeChain writes a network of n functions, one after the other.
func writeChain(file string, n int) error {
	var b strings.Builder
	b.WriteString("g (float[N, 4] x) => (float[N, 4] y) { a0 = Relu (x) ")
	for i := range n {
		fmt.Fprintf(&b, "a%d = Relu (a%d) ", i+1, i)
	}
	fmt.Fprintf(&b, "y = Relu (a%d) }", n)
	return saveText(file, b.String())
}

// TestGrowth: four times as much takes four times as long, not sixteen.
func TestGrowth(t *testing.T) {
	if testing.Short() {
		t.Skip("with -short: it compares times")
	}
	dir := t.TempDir()
	for _, g := range growing {
		took := func(n int) time.Duration {
			file := filepath.Join(dir, fmt.Sprintf("%d", n))
			if err := g.write(file, n); err != nil {
				t.Fatal(err)
			}
			args := strings.Fields(strings.ReplaceAll(g.args, "FILE", file))
			least := time.Hour
			for range 3 {
				start := time.Now()
				run(context.Background(), args, strings.NewReader(""), io.Discard, io.Discard)
				least = min(least, time.Since(start))
			}
			return least
		}
		ok := false
		var one, eight time.Duration          // eight times as long where it grows in step, 64 times where it is quadratic
		for try := 0; !ok && try < 3; try++ { // other programs take their time too
			one, eight = took(g.n), took(8*g.n)
			ok = eight < 24*one
		}
		if !ok {
			t.Errorf("%s: %d take %v, %d take %v", g.name, g.n, one, 8*g.n, eight)
		}
	}
}

// BenchmarkGrowth shows how work grows: n, 2n, 4n.
func BenchmarkGrowth(b *testing.B) {
	for _, g := range growing {
		for _, n := range []int{g.n, 2 * g.n, 4 * g.n} {
			b.Run(fmt.Sprintf("of=%s/n=%d", strings.ReplaceAll(g.name, " ", "_"), n), func(b *testing.B) {
				file := filepath.Join(b.TempDir(), "file")
				if err := g.write(file, n); err != nil {
					b.Fatal(err)
				}
				args := strings.Fields(strings.ReplaceAll(g.args, "FILE", file))
				for b.Loop() {
					run(context.Background(), args, strings.NewReader(""), io.Discard, io.Discard)
				}
			})
		}
	}
}

// TestOneLine holds the caret of a mistake in a long line: its neighbourhood is
// shown, and the caret stands under it.
func TestOneLine(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "long.json")
	if err := writeText(file, `{"layer_quantize_config": [`, 400, func(i int) string {
		key := "bit_width"
		if i == 200 {
			key = "bit_widht"
		}
		return fmt.Sprintf(`{"layer_type": null, "layer_name": "a%d", "quantizable_data_type": ["weights"], "overall_quantize_config": {"%s": 8}}`, i, key)
	}, `]}`); err != nil {
		t.Fatal(err)
	}
	_, stdout, stderr := execute("lint " + file)
	lines := strings.Split(stdout+stderr, "\n")
	for i, line := range lines {
		if at := strings.Index(line, `"bit_widht"`); at >= 0 && strings.HasPrefix(line, "1 |") {
			if len([]rune(line)) > snippetWidth+10 || !strings.Contains(line, "…") {
				t.Errorf("the line has %d characters", len([]rune(line)))
			}
			column := len([]rune(line[:at]))
			if caret := []rune(lines[i+1]); column >= len(caret) || caret[column] != '^' || caret[column-1] != ' ' {
				t.Errorf("the caret does not stand under the mistake:\n%s\n%s", line, lines[i+1])
			}
			return
		}
	}
	t.Errorf("no line is shown:\n%s%s", stdout, stderr)
}

// saveText saves a network that is written as text.
func saveText(file, text string) error {
	m, err := graphtext.Parse(text)
	if err != nil {
		return err
	}
	return onnx.Save(m, file)
}
