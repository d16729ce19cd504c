package rewrite_test

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"narrow/graph"
	"narrow/graph/graphtext"
	"narrow/rewrite"
)

// steps draws steps for every class of channels of m.
func steps(t *testing.T, m *graph.Model, seed uint64) map[string][]int {
	t.Helper()
	c, err := rewrite.FindChannels(m)
	if err != nil {
		t.Fatal(err)
	}
	bounded := map[int]bool{}
	for _, v := range c.Bounded {
		for _, id := range c.Layouts[v].IDs {
			class, _, _ := c.Class(id)
			bounded[class] = true
		}
	}
	r := rand.New(rand.NewPCG(seed, 0))
	class := make([]int, c.Classes())
	for i := range class {
		if !bounded[i] {
			class[i] = r.IntN(13) - 6
		}
	}
	return c.Steps(class)
}

// moved scales the channels of m by chance, and wants the outputs unchanged.
func moved(t *testing.T, m *graph.Model, n int64) *rewrite.Report {
	t.Helper()
	before := graphtext.Format(m)
	s := steps(t, m, 5)
	out, report := apply(t, m, rewrite.MoveScales(s))
	if graphtext.Format(m) != before {
		t.Error("the model that came in was changed")
	}
	same(t, m, out, n)
	return report
}

// attention is a block of a transformer with the normalization in front, as an
// operator or written out.
func attention(norm string) string {
	return `g (float[N, 4, 6] x) => (float[N, 4, 6] z)
<float[6] lnw = {1, 2, 0.5, 3, 1, 0.1}, float[6] lnb = {0.1, 0.2, -0.3, 0, 1, 2}, float[1] e = {0.00001},
 float[6, 6] wq, float[6, 6] wk, float[6, 6] wv, float[6, 6] wo, float[6] bq = {1, 2, 3, 4, 5, 6}, float[6] bv = {6, 5, 4, 3, 2, 1}, float[6] bo = {1, 1, 0, 0, 2, 2},
 int64[4] heads = {0, 0, 2, 3}, int64[3] flat = {0, 0, 6}, float half = {0.5}>
{ ` + norm + `
[q] q0 = MatMul (n, wq) [qb] q1 = Add (q0, bq) [qh] q2 = Reshape (q1, heads) [qt] q3 = Transpose <perm = [0, 2, 1, 3]> (q2)
[k] k0 = MatMul (n, wk) [kh] k2 = Reshape (k0, heads) [kt] k3 = Transpose <perm = [0, 2, 3, 1]> (k2)
[v] v0 = MatMul (n, wv) [vb] v1 = Add (bv, v0) [vh] v2 = Reshape (v1, heads) [vt] v3 = Transpose <perm = [0, 2, 1, 3]> (v2)
[s] s0 = MatMul (q3, k3) [m] s1 = Mul (s0, half) [p] s2 = Softmax <axis = -1> (s1)
[a] a0 = MatMul (s2, v3) [at] a1 = Transpose <perm = [0, 2, 1, 3]> (a0) [ar] a2 = Reshape (a1, flat)
[o] o0 = MatMul (a2, wo) [ob] o1 = Add (o0, bo) [r] z = Add (o1, x) }`
}

const (
	normOperator = `[ln] n = LayerNormalization (x, lnw, lnb)`
	normWritten  = `[mean] u = ReduceMean <axes = [-1]> (x) [sub] c = Sub (x, u) [sq] c2 = Mul (c, c) [var] v = ReduceMean <axes = [-1]> (c2)
[eps] ve = Add (v, e) [root] sd = Sqrt (ve) [div] d = Div (c, sd) [gain] dg = Mul (d, lnw) [off] n = Add (dg, lnb)`
)

// filled gives the constants that a text leaves open random elements.
func filled(t *testing.T, text string, open map[string][]int64) *graph.Model {
	t.Helper()
	for name, dims := range open {
		text = strings.Replace(text, "float"+list(dims)+" "+name+",", "", 1)
	}
	m, err := graphtext.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	b := &net{g: m.Graph, r: rand.New(rand.NewPCG(3, 0))}
	for name, dims := range open {
		b.floats(0.5, dims...)
		b.g.Initializers[len(b.g.Initializers)-1].Name = name
	}
	m.Opsets[""] = 17
	return m
}

func list(dims []int64) string {
	s := make([]string, len(dims))
	for i, d := range dims {
		s[i] = string(rune('0' + d))
	}
	return "[" + strings.Join(s, ", ") + "]"
}

func TestMoveScalesTransformer(t *testing.T) {
	for name, norm := range map[string]string{"operator": normOperator, "written out": normWritten} {
		t.Run(name, func(t *testing.T) {
			square := []int64{6, 6}
			m := filled(t, attention(norm), map[string][]int64{"wq": square, "wk": square, "wv": square, "wo": square})
			c, err := rewrite.FindChannels(m)
			if err != nil {
				t.Fatal(err)
			}
			// Behind the normalization, of the values, and of queries against keys; the
			// residual's channels stay, since the normalization reads them.
			for v, moves := range map[string]bool{"n": true, "v1": true, "a2": true, "q1": true, "k0": true, "o1": false, "z": false} {
				l := c.Layouts[v]
				if len(l.IDs) != 6 {
					t.Errorf("%s has channels %v", v, l)
					continue
				}
				for _, id := range l.IDs {
					if _, _, fixed := c.Class(id); fixed == moves {
						t.Errorf("channel %d of %s: fixed is %v", id, v, fixed)
					}
				}
			}
			a, _, _ := c.Class(c.Layouts["v1"].IDs[4])
			if b, _, _ := c.Class(c.Layouts["a2"].IDs[4]); a != b {
				t.Error("values and what attention makes of them have different scales")
			}
			_, up, _ := c.Class(c.Layouts["q1"].IDs[2])
			if _, down, _ := c.Class(c.Layouts["k0"].IDs[2]); up == down {
				t.Error("queries and keys have the same scale, not inverse ones")
			}
			if r := moved(t, m, 2); r.Count("move-scales") < 7 {
				t.Errorf("too little was scaled:\n%s", r)
			}
		})
	}
}

func TestMoveScales(t *testing.T) {
	const weights = `<float[4, 2, 3, 3] a, float[4, 4, 1, 1] b, float[4, 4, 1, 1] b2, float[4, 1, 3, 3] d, float[2, 8, 1, 1] e, float[4] bias = {1, 2, 3, 4}, float[4] gain = {1, 0.5, 2, 3}, float[4] off = {1, 1, 0, 2},
 float[4] zero = {0, 0, 0, 0}, float[4] one = {1, 1, 1, 1}, float[5, 64] f, float[5] fb = {1, 2, 3, 4, 5}, float six = {6}, float nil = {0}, int64[2] flat = {0, -1}>`
	dims := map[string][]int64{"a": {4, 2, 3, 3}, "b": {4, 4, 1, 1}, "b2": {4, 4, 1, 1}, "d": {4, 1, 3, 3}, "e": {2, 8, 1, 1}, "f": {5, 64}}
	for name, c := range map[string]struct {
		body string
		most int    // nodes that change, at least
		stay string // a value whose channels all stay
		move string // one whose channels all move
	}{
		"residual":                {`{ h = Conv <pads = [1, 1, 1, 1]> (x, a, bias) r = Relu (h) k = Conv (r, b) j = Add (k, r) y = Relu (j) i = Conv <group = 4, pads = [1, 1, 1, 1]> (y, d) z = Conv (i, b2) }`, 4, "", "y"},
		"the network's output":    {`{ z = Conv <pads = [1, 1, 1, 1]> (x, a, bias) }`, 0, "z", ""},
		"a function between":      {`{ h = Conv <pads = [1, 1, 1, 1]> (x, a) s = Sigmoid (h) z = Conv (s, b) }`, 0, "h", ""},
		"gates stay":              {`{ h = Conv <pads = [1, 1, 1, 1]> (x, a) p = GlobalAveragePool (h) k = Conv (p, b) s = Sigmoid (k) g = Mul (h, s) z = Conv (g, b) }`, 2, "k", "g"},
		"batch norm":              {`{ h = Conv <pads = [1, 1, 1, 1]> (x, a) r = Sigmoid (h) n = BatchNormalization <epsilon = 0.0> (r, gain, off, zero, one) z = Conv (n, b) }`, 2, "h", "n"},
		"concat":                  {`{ h = Conv <pads = [1, 1, 1, 1]> (x, a) k = Conv <pads = [1, 1, 1, 1]> (x, a) c = Concat <axis = 1> (h, k) z = Conv (c, e) }`, 3, "", "c"},
		"flatten":                 {`{ h = Conv <pads = [1, 1, 1, 1]> (x, a) r = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (h) w = Reshape (r, flat) z = Gemm <transB = 1> (w, f, fb) }`, 2, "", "w"},
		"shuffle":                 {`<int64[5] apart = {0, 2, 2, 8, 8}, int64[4] whole = {0, 4, 8, 8}> { h = Conv <pads = [1, 1, 1, 1]> (x, a) s = Reshape (h, apart) t = Transpose <perm = [0, 2, 1, 3, 4]> (s) u = Reshape (t, whole) z = Conv <group = 4, pads = [1, 1, 1, 1]> (u, d) }`, 2, "", "u"},
		"an added constant":       {`<float[1, 4, 1, 1] more = {3, 2, 1, 0}, float[4, 1, 1] gains = {1, 2, 3, 4}> { h = Conv <pads = [1, 1, 1, 1]> (x, a) s = Add (more, h) t = Mul (s, gains) z = Conv (t, b) }`, 4, "", "t"},
		"a constant read twice":   {`<float[1, 4, 1, 1] more = {3, 2, 1, 0}> { h = Conv <pads = [1, 1, 1, 1]> (x, a) s = Add (more, h) t = Mul (s, more) z = Conv (t, b) }`, 0, "h", ""},
		"an added number":         {`{ h = Conv <pads = [1, 1, 1, 1]> (x, a) s = Add (six, h) z = Conv (s, b) }`, 0, "h", ""},
		"a clip that is no relu6": {`{ h = Conv <pads = [1, 1, 1, 1]> (x, a) s = Clip (h, one1, six) z = Conv (s, b) }`, 0, "h", ""},
	} {
		t.Run(name, func(t *testing.T) {
			all := weights
			body := c.body
			if more, rest, ok := strings.Cut(body, "> {"); ok && strings.HasPrefix(more, "<") {
				all, body = strings.TrimSuffix(weights, ">")+", "+more[1:]+">", "{"+rest
			}
			body = strings.ReplaceAll(body, "one1", "nil1")
			all = strings.TrimSuffix(all, ">") + ", float nil1 = {1}>"
			m := filled(t, "g (float[N, 2, 8, 8] x) => (float[N, C, H, W] z) "+all+" "+body, dims)
			found, err := rewrite.FindChannels(m)
			if err != nil {
				t.Fatal(err)
			}
			for v, moves := range map[string]bool{c.stay: false, c.move: true} {
				if v == "" {
					continue
				}
				if len(found.Layouts[v].IDs) == 0 {
					t.Errorf("%s has no channels", v)
				}
				for _, id := range found.Layouts[v].IDs {
					if _, _, fixed := found.Class(id); fixed == moves {
						t.Errorf("channel %d of %s: fixed is %v", id, v, fixed)
					}
				}
			}
			if r := moved(t, m, 2); r.Count("move-scales") < c.most {
				t.Errorf("too little was scaled:\n%s", r)
			}
		})
	}
}

// TestMoveScalesOnModels scales what can be scaled of whole networks by chance.
func TestMoveScalesOnModels(t *testing.T) {
	files, err := filepath.Glob(models + "/*/model.onnx")
	if err != nil || len(files) == 0 {
		t.Fatalf("no models: %v", err)
	}
	changed := 0
	for _, file := range files {
		t.Run(filepath.Base(filepath.Dir(file)), func(t *testing.T) {
			m, _ := apply(t, load(t, file), rewrite.Before(rewrite.Options{})...)
			changed += moved(t, m, 4).Count("move-scales")
		})
	}
	for seed := range uint64(40) {
		m, _ := apply(t, randomNet(seed), rewrite.Before(rewrite.Options{})...)
		changed += moved(t, m, 2).Count("move-scales")
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	if changed < 100 {
		t.Errorf("%d constants changed, which is too few", changed)
	}
}

// FuzzMoveScales: whatever the network, its channels are found without a panic, and
// steps that are not of it do no harm.
func FuzzMoveScales(f *testing.F) {
	files, err := filepath.Glob("testdata/rules/*.txt")
	if err != nil || len(files) == 0 {
		f.Fatal("no seeds")
	}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		text, _, _ := strings.Cut(string(src), wantMark)
		f.Add(text)
	}
	f.Add(strings.ReplaceAll(attention(normOperator), "float[6, 6]", "float[1, 1]"))
	f.Fuzz(func(t *testing.T, text string) {
		m, err := graphtext.Parse(text)
		if err != nil {
			t.Skip()
		}
		c, err := rewrite.FindChannels(m)
		if err != nil {
			return
		}
		class := make([]int, c.Classes())
		for i := range class {
			class[i] = i%7 - 3
		}
		s := c.Steps(class)
		s["x"] = []int{1, 2, 3}
		out, _, err := rewrite.Apply(m, rewrite.MoveScales(s))
		if err != nil {
			return
		}
		if _, _, err := rewrite.Apply(out); err != nil {
			t.Errorf("what came out is not in order: %v", err)
		}
	})
}
