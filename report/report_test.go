package report

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math"
	"regexp"
	"slices"
	"strings"
	"testing"

	"narrow/diag"
	"narrow/evaluate"
	"narrow/inspect"
)

func render(t *testing.T, d *Document) string {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, d); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestWriteSameBytes(t *testing.T) {
	first, second := render(t, generated(60)), render(t, generated(60))
	if first != second {
		t.Error("two pages of the same document differ")
	}
}

// TestWriteLarge: a network of 1,000 layers, all with weights and a bias, stays
// under 5 MB.
func TestWriteLarge(t *testing.T) {
	d := generated(3000)
	if len(d.Layers) < 1000 || len(d.Tensors) < 3000 {
		t.Fatalf("only %d layers with %d tensors", len(d.Layers), len(d.Tensors))
	}
	n := len(render(t, d))
	t.Logf("%d bytes", n)
	if n >= 5_000_000 {
		t.Errorf("the page of %d layers with %d tensors has %d bytes", len(d.Layers), len(d.Tensors), n)
	}
}

// TestWriteLargeSearch: a search over a network of 1,000 layers, with a rule for
// each in nearly every strategy, stays under 5 MB, and no strategy is lost.
func TestWriteLargeSearch(t *testing.T) {
	d := searched(200, 1000)
	if n := len(d.Search.Strategies); n < 150 {
		t.Fatalf("only %d strategies", n)
	}
	n := len(render(t, d))
	t.Logf("%d bytes", n)
	if n >= 5_000_000 {
		t.Errorf("the page of %d trials has %d bytes", len(d.Search.Trials), n)
	}
}

// TestAddStrategy: what was kept in pieces is put together again, equal texts are
// one, and what strategies share is kept once.
func TestAddStrategy(t *testing.T) {
	rule := "    {\n      \"layer_name\": \"%\"\n    },\n"
	a := "{\n  \"x\": [\n" + strings.ReplaceAll(rule, "%", "one") + strings.ReplaceAll(rule, "%", "two") + "  ]\n}\n"
	texts := []string{a, strings.Replace(a, "two", "three", 1), "no newline", "", "}", a}
	s := &Search{}
	var at []int
	for _, text := range texts {
		at = append(at, s.AddStrategy(text))
	}
	if !slices.Equal(at, []int{0, 1, 2, 3, 4, 0}) {
		t.Errorf("places %v", at)
	}
	for i, text := range texts {
		var b strings.Builder
		for _, piece := range s.Strategies[at[i]] {
			b.WriteString(s.Pieces[piece])
		}
		if b.String() != text {
			t.Errorf("%q became %q", text, b.String())
		}
	}
	if len(s.Pieces) != 6 {
		t.Errorf("%d pieces: %q", len(s.Pieces), s.Pieces)
	}
}

// TestWriteEscapes: whatever names hold, the page has the elements that Write
// makes and no other.
func TestWriteEscapes(t *testing.T) {
	page := render(t, generated(20))
	var elements []string
	inside := regexp.MustCompile(`(?s)<style>.*?</style>|<script[^>]*>.*?</script>`).ReplaceAllStringFunc(page, func(s string) string {
		elements = append(elements, s[:strings.IndexByte(s, '>')+1])
		return ""
	})
	want := []string{"<style>", `<script type="application/json" id="document">`, "<script>"}
	if strings.Join(elements, " ") != strings.Join(want, " ") {
		t.Errorf("elements %q, want %q", elements, want)
	}
	for _, bad := range []string{"<img", "onerror=\"", "<script"} {
		if strings.Contains(inside, bad) {
			t.Errorf("outside of script and style stands %q", bad)
		}
	}
	if !strings.Contains(inside, "<title>generated.onnx&lt;/script&gt;") {
		t.Error("the title is not escaped")
	}
	data := regexp.MustCompile(`(?s)id="document">(.*?)</script>`).FindStringSubmatch(page)[1]
	var back struct {
		Layers []struct{ Name string }
	}
	if err := json.Unmarshal([]byte(data), &back); err != nil {
		t.Fatal(err)
	}
	if got := back.Layers[1].Name; got != hostile {
		t.Errorf("the name came back as %q, want %q", got, hostile)
	}
}

// TestWritePolicy: the policy names exactly the script and the style that stand
// in the page, and allows nothing else.
func TestWritePolicy(t *testing.T) {
	page := render(t, generated(1))
	policy := regexp.MustCompile(`http-equiv="Content-Security-Policy" content="([^"]*)"`).FindStringSubmatch(page)[1]
	sum := func(pattern string) string {
		s := sha256.Sum256([]byte(regexp.MustCompile(pattern).FindStringSubmatch(page)[1]))
		return "'sha256-" + base64.StdEncoding.EncodeToString(s[:]) + "'"
	}
	want := "default-src 'none'; script-src " + sum(`(?s)<script>(.*?)</script>`) + "; style-src " + sum(`(?s)<style>(.*?)</style>`) +
		"; connect-src 'none'; base-uri 'none'; form-action 'none'"
	if policy != want {
		t.Errorf("policy\n%s\nwant\n%s", policy, want)
	}
	if at, first := strings.Index(page, "Content-Security-Policy"), strings.Index(page, "<style>"); at > first {
		t.Error("the policy stands behind what it is about")
	}
}

// TestAssets: what is bundled carries its licence, and no address to load from.
func TestAssets(t *testing.T) {
	for name, content := range map[string][]byte{"report.js": script, "report.css": style} {
		text := string(content)
		if !strings.Contains(text, "The MIT License") || !strings.Contains(text, "Copyright (c) 2022 Leon Sorokin") {
			t.Errorf("%s lacks uPlot's licence", name)
		}
		if name == "report.js" && strings.Count(text, "Copyright (c) 2012-2014 Chris Pettitt") != 2 {
			t.Errorf("%s lacks the licences of dagre and graphlib", name)
		}
		text = strings.ReplaceAll(text, "http://www.w3.org/2000/svg", "") // the name of SVG's elements, not to be loaded
		for _, bad := range []string{"http://", "https://", "@import", "url(", "fetch(", "XMLHttpRequest", "WebSocket", "sendBeacon", "innerHTML", "eval("} {
			if strings.Contains(text, bad) {
				t.Errorf("%s holds %q", name, bad)
			}
		}
	}
}

func TestNumberWithoutValue(t *testing.T) {
	got, err := json.Marshal([]Number{1.5, Number(math.Inf(1)), Number(math.Inf(-1)), Number(math.NaN()), 0})
	if err != nil || string(got) != "[1.5,null,null,null,0]" {
		t.Errorf("%s, %v", got, err)
	}
}

func TestPack(t *testing.T) {
	floats, err := json.Marshal(Floats{1, -2.5})
	if want := `"AACAPwAAIMA="`; err != nil || string(floats) != want {
		t.Errorf("floats %s, %v, want %s", floats, err, want)
	}
	counts, err := json.Marshal(Counts{0, 127, 128, 1 << 40}) // 00, 7f, 80 01, 80 80 80 80 80 20
	if want := `"AH+AAYCAgICAIA=="`; err != nil || string(counts) != want {
		t.Errorf("counts %s, %v, want %s", counts, err, want)
	}
	if _, err := json.Marshal(Counts{3, -1}); err == nil || !strings.Contains(err.Error(), "count 1 is -1") {
		t.Errorf("a negative count: %v", err)
	}
}

func TestTextInBothLanguages(t *testing.T) {
	got, err := json.Marshal([]Text{{diag.Verbatim("a name")}, {diag.Textf("%d samples", 3)}})
	if want := `["a name",["3 samples","3 个样本"]]`; err != nil || string(got) != want {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
}

// TestLimitChannels: neighbours are joined to the widest range and the
// narrowest grid, and only as far as needed.
func TestLimitChannels(t *testing.T) {
	c := &Channels{Count: 5, Min: Floats{-1, -2, -3, -4, -5}, Max: Floats{5, 4, 3, 2, 1}, Low: Floats{-8, -7, -6, -5, -4}, High: Floats{4, 5, 6, 7, 8}}
	c.join(3)
	got, _ := json.Marshal(c)
	want, _ := json.Marshal(&Channels{Count: 5, Per: 2, Min: Floats{-2, -4, -5}, Max: Floats{5, 3, 1}, Low: Floats{-7, -5, -4}, High: Floats{4, 6, 8}})
	if !bytes.Equal(got, want) {
		t.Errorf("joined %s, want %s", got, want)
	}
	same := &Channels{Count: 3, Min: Floats{-1, -2, -3}, Max: Floats{1, 2, 3}, Low: Floats{-4, -4, -4}, High: Floats{4, 4, 4}}
	same.join(1024)
	if same.Per != 1 || len(same.Min) != 3 || len(same.Low) != 1 || len(same.High) != 1 {
		t.Errorf("three channels with one grid became %+v", same)
	}

	few, many := generated(30), generated(1000)
	total := func(d *Document) (n int) {
		for _, x := range d.Tensors {
			if x.Seen.Channels != nil {
				n += len(x.Seen.Channels.Min)
			}
		}
		return n
	}
	if got := total(few); got != 10*512 {
		t.Errorf("a small network holds %d channels, want all 5120", got)
	}
	if got := total(many); got > channelBudget || got < channelBudget/2 {
		t.Errorf("a large network holds %d channels, want nearly %d", got, channelBudget)
	}
}

// TestLimitHistograms: bins are joined by twos, where there are too many of them,
// and none of the values is lost.
func TestLimitHistograms(t *testing.T) {
	h := &Histogram{Low: -1, Width: 0.5, Counts: Counts{1, 2, 3, 4, 5}}
	h.halve()
	if h.Low != -1 || h.Width != 1 || !slices.Equal(h.Counts, Counts{3, 7, 5}) {
		t.Errorf("halved to %+v", h)
	}
	bins := func(d *Document) (n int) {
		for _, x := range d.Tensors {
			n += len(x.Seen.Histogram.Counts)
		}
		return n
	}
	few, many := generated(300), generated(3000)
	if got, want := bins(few), len(few.Tensors)*inspect.Bins; got != want {
		t.Errorf("a small network holds %d bins, want all %d", got, want)
	}
	if got := bins(many); got > binBudget || got < binBudget/4 {
		t.Errorf("a large network holds %d bins, want at most %d and no fewer than needed", got, binBudget)
	}
}

func TestResultWithoutDifference(t *testing.T) {
	all := 1.0
	r := result(&evaluate.Result{Samples: 3, Agreement: &all, SQNR: evaluate.Decibel(math.Inf(1)), Exact: true})
	got, _ := json.Marshal(r)
	if want := `{"samples":3,"float":null,"quantized":null,"agreement":1,"sqnr_db":null,"exact":true}`; string(got) != want {
		t.Errorf("%s, want %s", got, want)
	}
	if result(nil) != nil || measured(nil) != nil {
		t.Error("nothing measured became something")
	}
}
