package export_test

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"narrow/calibrate"
	"narrow/diag"
	"narrow/export"
	"narrow/graph/graphtext"
	"narrow/internal/bounded"
	"narrow/plan"
	"narrow/scheme"
	"narrow/strategy"
)

var update = flag.Bool("update", false, "rewrite the golden files")

// golden compares got with testdata/name.
func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.MkdirAll("testdata", 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, got, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs from what is written there; got\n%s", file, got)
	}
}

// small is a network with every kind of tensor.
const small = `<ir_version: 8, opset_import: ["": 13]> g (float[N, 3, 8, 8] image) => (float[N, 2] y)
	<float[4, 3, 3, 3] c1.weight = {0.25, -0.5, 0.125, 0.375, -0.25, 0.5, 0.75, ...}, float[4] c1.bias = {0.5, -0.25, 0.1, 0}, float[2, 4] fc.weight = {1, 2, 3, 4, -1, -2, -3, -4}, float[2] fc.bias = {0.1, -0.1}> {
	["/c1/Conv"] a = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (image, c1.weight, c1.bias)
	["/act/Relu"] b = Relu (a)
	["/pool/GlobalAveragePool"] c = GlobalAveragePool (b)
	["/Flatten"] d = Flatten (c)
	["/fc/Gemm"] y = Gemm <transB = 1> (d, fc.weight, fc.bias)
}`

// byHand plans small by a strategy and makes up encodings.
func byHand(t *testing.T, text string) *calibrate.Calibrated {
	t.Helper()
	p, list, err := plan.Build(graphtext.MustParse(small), settings(t, text))
	if err != nil || list.HasErrors() {
		t.Fatal(err, list)
	}
	in := &calibrate.Calibrated{
		Source: calibrate.Source{ModelPath: "nets/small.onnx", ModelSHA256: strings.Repeat("ab", 32), SamplesSHA256: strings.Repeat("cd", 32), Version: "1.2.3"},
		Plan:   p, Encodings: map[*tensor]scheme.Encoding{}, Samples: 8, Batches: 2, Propagate: calibrate.Progressive,
	}
	for i, x := range p.Tensors {
		s := x.Settings.Settings
		if s.Datatype != scheme.Int {
			continue
		}
		e := scheme.Encoding{Axis: x.Axis, Batches: 2}
		e.Min, e.Max = s.Range()
		channels := 1
		if x.Axis >= 0 {
			channels = int(x.Constant.Dims[x.Axis])
		}
		for c := range channels {
			if s.ScaleType == scheme.PowerOfTwo {
				e.FixPosition = append(e.FixPosition, 4+i+c)
				e.Scale = append(e.Scale, scheme.FixScale(4+i+c))
			} else {
				e.Scale = append(e.Scale, float32(i+1)*0.01+float32(c)*0.001)
			}
			e.ZeroPoint = append(e.ZeroPoint, (e.Min+e.Max+1)/2)
		}
		in.Encodings[x] = e
	}
	return in
}

func TestQuantInfo(t *testing.T) {
	for _, c := range []struct{ name, strategy string }{
		{"dpu", `{}`},
		{"perchannel", config(t, "int8_perchannel")},
		{"asym", config(t, "int8_asym")},
		{"bfloat16", config(t, "bfloat16")},
	} {
		t.Run(c.name, func(t *testing.T) {
			in := byHand(t, c.strategy)
			q, err := export.NewQuantInfo(in)
			if err != nil {
				t.Fatal(err)
			}
			text, err := q.Marshal()
			if err != nil {
				t.Fatal(err)
			}
			golden(t, "quant_info_"+c.name+".json", text)
			back, err := export.ReadQuantInfo("quant_info.json", text)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := back.Marshal(); err != nil || !bytes.Equal(again, text) {
				t.Errorf("reading and writing changes it: %v\n%s", err, again)
			}
			if s, _, err := back.ReadStrategy("quant_info.json"); err != nil || s.SHA256() != in.Plan.Strategy.SHA256() {
				t.Errorf("the strategy in it: %v", err)
			}
			got, err := back.Apply(in.Plan)
			if err != nil {
				t.Fatal(err)
			}
			if !maps.EqualFunc(got, in.Encodings, func(a, b scheme.Encoding) bool { return reflect.DeepEqual(a, b) }) {
				t.Errorf("applied: %v, not %v", got, in.Encodings)
			}
		})
	}
}

// TestFloatsKeepTheirBits writes and reads scales of all magnitudes.
func TestFloatsKeepTheirBits(t *testing.T) {
	in := byHand(t, config(t, "int8_maxmin"))
	x := in.Plan.Tensors[0]
	for bits := uint32(1); bits < 0x7f800000; bits += 0x5f5e1b {
		e := in.Encodings[x]
		e.Scale = []float32{math.Float32frombits(bits)}
		in.Encodings[x] = e
		q, err := export.NewQuantInfo(in)
		if err != nil {
			t.Fatal(err)
		}
		text, err := q.Marshal()
		if err != nil {
			t.Fatal(err)
		}
		back, err := export.ReadQuantInfo("f", text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := back.Apply(in.Plan)
		if err != nil {
			t.Fatal(err)
		}
		if b := math.Float32bits(got[x].Scale[0]); b != bits {
			t.Fatalf("bits %#x become %#x", bits, b)
		}
	}
}

// TestQuantInfoErrors breaks one thing at a time.
func TestQuantInfoErrors(t *testing.T) {
	in := byHand(t, config(t, "int8_perchannel"))
	q, err := export.NewQuantInfo(in)
	if err != nil {
		t.Fatal(err)
	}
	text, err := q.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	// The strategy in it has some of the words too: those of the tensors count.
	replace := func(old, new string) []byte {
		if !strings.Contains(string(text), old) {
			t.Fatalf("%s is not in the file:\n%s", old, text)
		}
		head, tail, _ := strings.Cut(string(text), `"tensors"`)
		if strings.Contains(tail, old) {
			return []byte(head + `"tensors"` + strings.Replace(tail, old, new, 1))
		}
		return []byte(strings.Replace(string(text), old, new, 1))
	}
	for _, c := range []struct{ old, new, want string }{
		{`"narrow.quant_info/1"`, `"narrow.quant_info/9"`, `dir/q.json: its format is "narrow.quant_info/9"`},
		{`"format": "narrow.quant_info/1",`, ``, `no "format"`},
		{`"name": "image"`, `"name": ""`, "tensors[0] \"\": no name"},
		{`"kind": "input"`, `"kind": "inputs"`, `"inputs" is no Kind`},
		{`"bit_width": 8`, `"bit_width": true`, "line "},
		{`"bit_width": 8`, `"bit_width": 64`, `tensors[0] "image": bit_width 64`},
		{`"quant_max": 127`, `"quant_max": -500`, `quant_min -128 is not below quant_max -500`},
		{`"quant_min": -128`, `"quant_min": null`, "no quant_min"},
		{"]\n}", "", "the file ends too early"},
		{"]\n}", "]\n} {}", "more follows"},
		{`"scale": [0.009999999776482582]`, `"scale": [0]`, "scale 0 is not positive"},
		{`"scale": [0.009999999776482582]`, `"scale": [1e300]`, "line "},
		{`"scale": [0.009999999776482582]`, `"scale": []`, "0 scales without an axis"},
	} {
		_, err := export.ReadQuantInfo("dir/q.json", replace(c.old, c.new))
		if err == nil || !strings.Contains(err.Error(), c.want) || !strings.HasPrefix(err.Error(), "dir/q.json: ") {
			t.Errorf("%s instead of %s: %v, not %s", c.new, c.old, err, c.want)
		}
	}
	for _, c := range []struct{ old, new, want string }{
		{`"name": "image"`, `"name": "picture"`, `has no tensor "image" (input of layer "image")`},
		{`"bit_width": 8`, `"bit_width": 7`, `tensor "image" (input of layer "image") does not fit quant_info.json: its bit_width is 7 there, 8 here`},
		{`"method": "maxmin"`, `"method": "mse"`, "its method is mse there, maxmin here"},
		{`"quant_max": 127`, `"quant_max": 126`, "its integers lie in [-128, 127], not [-128, 126]"},
		{`"axis": 0`, `"axis": 1`, "its channel axis is 0, not 1"},
	} {
		back, err := export.ReadQuantInfo("q", replace(c.old, c.new))
		if err != nil {
			t.Errorf("%s: %v", c.new, err)
			continue
		}
		if _, err := back.Apply(in.Plan); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s instead of %s: %v, not %s", c.new, c.old, err, c.want)
		}
	}
	q.Tensors = append(q.Tensors, q.Tensors[0])
	if _, err := q.Apply(in.Plan); err == nil || !strings.Contains(err.Error(), "which is not quantized in this model") {
		t.Errorf("one tensor too many: %v", err)
	}
	q.StrategySHA256 = strings.Repeat("0", 64)
	if _, _, err := q.ReadStrategy("q"); err == nil || !strings.Contains(err.Error(), "strategy_sha256") {
		t.Errorf("another hash: %v", err)
	}
}

func FuzzReadQuantInfo(f *testing.F) {
	for _, name := range []string{"dpu", "perchannel", "bfloat16"} {
		b, err := os.ReadFile(filepath.Join("testdata", "quant_info_"+name+".json"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Add([]byte(`{"format":"narrow.quant_info/1","strategy":{},"tensors":[{"name":"a","kind":"bias","datatype":"int"}]}`))
	p, _, err := plan.Build(graphtext.MustParse(small), strategy.Default())
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, data []byte) { readAndWrite(t, p, data) })
}

// infoBound is what reading a quant_info.json or bias_corr.json may allocate:
// docs/robustness.md.
var infoBound = bounded.Bound{Factor: 1024, Constant: 1 << 20}

// TestReadMemory holds readers to their bound where a file is all small parts.
func TestReadMemory(t *testing.T) {
	many := func(s string) string { return strings.Repeat(s, 5000) }
	const head = `{"format": "narrow.quant_info/1", "strategy": {}, "tensors": [`
	for _, text := range []string{
		head + many("{},") + "{}]}", head + many("null,") + "{}]}", head + `{"scale": [` + many("1,") + "1]}]}",
		head + `{"because": [` + many(`"",`) + `""]}]}`, head + `{"x": ` + many("["), `{"a": ` + many("{"),
	} {
		infoBound.Run(t, len(text), func() {
			if _, err := export.ReadQuantInfo("f", []byte(text)); err == nil {
				t.Errorf("no error: %.80s", text)
			}
		})
	}
	var keys strings.Builder
	for i := range 5000 {
		fmt.Fprintf(&keys, `"%x":[],`, i)
	}
	for _, text := range []string{"{" + keys.String() + `"z":[]}`, `{"a":[` + many("1,") + "1]}"} {
		infoBound.Run(t, len(text), func() {
			if _, err := export.ReadBiasCorr("f", []byte(text)); err != nil {
				t.Error(err)
			}
		})
	}
}

// FuzzReadBiasCorr: what can be read can be written, and reading that changes
// nothing.
func FuzzReadBiasCorr(f *testing.F) {
	f.Add([]byte(`{"conv1": [0.5, -1e-3, 0], "/layer/fc": []}`))
	f.Add([]byte(`{"a": [1e39]}`))
	f.Add([]byte(`{"a": null, "a": [1]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		var corr map[string][]float32
		var err error
		infoBound.Run(t, len(data), func() { corr, err = export.ReadBiasCorr("f", data) })
		if err != nil {
			return
		}
		text, err := export.MarshalBiasCorr(corr)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		back, err := export.ReadBiasCorr("f", text)
		if err != nil || !maps.EqualFunc(corr, back, slices.Equal) {
			t.Fatalf("%v came back as %v, %v", corr, back, err)
		}
	})
}

// readAndWrite checks that what can be read can be written, and reading that
// changes nothing.
func readAndWrite(t *testing.T, p *plan.Plan, data []byte) (read bool) {
	t.Helper()
	var q *export.QuantInfo
	var err error
	infoBound.Run(t, len(data), func() { q, err = export.ReadQuantInfo("f", data) })
	if err != nil {
		return false
	}
	text, err := q.Marshal()
	if err != nil {
		t.Fatalf("what was read cannot be written: %v", err)
	}
	back, err := export.ReadQuantInfo("f", text)
	if err != nil {
		t.Fatalf("what was written cannot be read: %v\n%s", err, text)
	}
	if again, err := back.Marshal(); err != nil || !bytes.Equal(again, text) {
		t.Fatalf("reading changes it: %v\n%s\n%s", err, text, again)
	}
	_, _ = q.Apply(p) // must not panic
	return true
}

// TestReadQuantInfoDamaged reads files with words exchanged, doubled and left
// out.
func TestReadQuantInfoDamaged(t *testing.T) {
	in := byHand(t, config(t, "int8_perchannel"))
	q, err := export.NewQuantInfo(in)
	if err != nil {
		t.Fatal(err)
	}
	text, err := q.Marshal()
	if err != nil {
		t.Fatal(err)
	}
	words := regexp.MustCompile(`"[^"]*"|[-+.0-9e]+|[\[\]{},:]|[a-z]+|\s+`).FindAllString(string(text), -1)
	odd := []string{"null", "-1", "1e999", "1e-400", "[]", "{}", `""`, `"\ud800"`, "true", "9223372036854775808", "0.5"}
	r := rand.New(rand.NewPCG(5, 6))
	reads := 0
	for range 1500 {
		w := slices.Clone(words)
		for range 1 + r.IntN(2) {
			i, j := r.IntN(len(w)), r.IntN(len(w))
			switch r.IntN(4) {
			case 0:
				w[i] = w[j]
			case 1:
				w[i] = odd[r.IntN(len(odd))]
			case 2:
				w[i] = ""
			case 3:
				w[i], w[j] = w[j], w[i]
			}
		}
		if readAndWrite(t, in.Plan, []byte(strings.Join(w, ""))) {
			reads++
		}
	}
	if reads == 0 {
		t.Error("not one of the damaged files could be read: the damage is too great to test anything")
	}
}

func TestBiasCorr(t *testing.T) {
	corr := map[string][]float32{"/b/Conv": {0.1, -1e-30, math.MaxFloat32, math.SmallestNonzeroFloat32}, "a \"quoted\"\n<name>": {}, "": {0}}
	text, err := export.MarshalBiasCorr(corr)
	if err != nil {
		t.Fatal(err)
	}
	back, err := export.ReadBiasCorr("bias_corr.json", text)
	if err != nil || !reflect.DeepEqual(back, corr) {
		t.Errorf("%v becomes %v (%v) in\n%s", corr, back, err, text)
	}
	if _, err := export.MarshalBiasCorr(map[string][]float32{"conv": {0, float32(math.NaN())}}); err == nil || !strings.Contains(err.Error(), `"conv": element 1 is NaN`) {
		t.Errorf("NaN: %v", err)
	}
	if _, err := export.ReadBiasCorr("dir/b.json", []byte("{\n\"a\": [1, \"x\"]}")); err == nil || !strings.HasPrefix(err.Error(), "dir/b.json: line 2") {
		t.Errorf("a string: %v", err)
	}
}

// TestAsked: that the guide's result was kept where high was asked for is told, and comes
// back from the files; a result of --accuracy guide says nothing.
func TestAsked(t *testing.T) {
	for _, kept := range []bool{true, false} {
		in := byHand(t, `{"target_device": "CPU"}`)
		if kept {
			in.Findings = diag.List{{Severity: diag.Note, Code: calibrate.GuideKept}}
		}
		files, err := export.Files(in)
		if err != nil {
			t.Fatal(err)
		}
		q, err := export.ReadQuantInfo("quant_info.json", files[export.QuantInfoFile])
		if err != nil {
			t.Fatal(err)
		}
		back, err := q.Restore(in.Plan, in.Source, ".", files)
		if err != nil {
			t.Fatal(err)
		}
		if back.KeptGuide() != kept || (q.Asked == "high") != kept {
			t.Errorf("kept %v: asked %q, read back %v", kept, q.Asked, back.Findings)
		}
	}
}
