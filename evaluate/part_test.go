package evaluate

import (
	"encoding/json"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"

	"narrow/engine"
	"narrow/graph"
)

// batchOf is a batch of outputs: classes, and integers.
type batchOf struct {
	first, count int
	f, q         []engine.Tensor
}

func randomBatches(n, size int) (out []batchOf) {
	r := rand.New(rand.NewPCG(5, 6))
	for first := 0; first < n; first += size {
		b := batchOf{first: first, count: min(size, n-first)}
		for _, list := range []*[]engine.Tensor{&b.f, &b.q} {
			x := make([]float32, 7*b.count)
			for i := range x {
				x[i] = float32(r.NormFloat64() * math.Pow(10, float64(first%5)))
			}
			raw := make([]byte, b.count)
			for i := range raw {
				raw[i] = byte(r.IntN(3))
			}
			*list = []engine.Tensor{{Type: graph.Float32, Shape: []int64{int64(b.count), 7}, Floats: x}, {Type: graph.Uint8, Shape: []int64{int64(b.count)}, Raw: raw}}
		}
		if first == 2*size {
			b.f[0].Floats[3] = float32(math.NaN())
		}
		out = append(out, b)
	}
	return out
}

func scoreOf(t *testing.T, labels engine.Labels, bs []batchOf) *Score {
	t.Helper()
	s := NewScore(outputs("y", "z"), labels)
	s.logs = true
	for _, b := range bs {
		if err := s.Add(b.first, b.count, b.f, b.q); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

func partOf(t *testing.T, labels engine.Labels, bs []batchOf, all int) *Part {
	t.Helper()
	s := scoreOf(t, labels, bs)
	p := &Part{PartOf: PartOf{Samples: all}, Machine: "here", First: bs[0].first, Count: s.n, Canary: "c", Score: s.state()}
	data, err := p.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	back, err := ReadPart(data)
	if err != nil {
		t.Fatal(err)
	}
	for at := range data {
		bad := slices.Clone(data)
		bad[at] ^= 1
		if _, err := ReadPart(bad); err == nil {
			t.Fatalf("a part that is damaged at byte %d was read", at)
		}
	}
	return back
}

// TestParts: parts in any order give the bits of one run.
func TestParts(t *testing.T) {
	const n = 90
	labels := engine.Labels{Classes: make([]int, n)}
	for i := range labels.Classes {
		labels.Classes[i] = i%9 - 1
	}
	bs := randomBatches(n, 8)
	for _, l := range []engine.Labels{{}, labels} {
		want := scoreOf(t, l, bs).Result()
		var parts []*Part
		for _, b := range [][]batchOf{bs[7:], bs[:2], bs[2:7], bs[:2]} {
			parts = append(parts, partOf(t, l, b, n))
		}
		whole, err := Whole(parts)
		if err != nil {
			t.Fatal(err)
		}
		got, err := Merge(whole)
		if err != nil {
			t.Fatal(err)
		}
		a, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := json.Marshal(want); err != nil || string(a) != string(b) {
			t.Errorf("%s, want %s (%v)", a, b, err)
		}
		refused := func(change func(*Part), part string, of ...*Part) {
			t.Helper()
			p := *parts[0]
			p.File = "other"
			change(&p)
			if _, err := Whole(append(slices.Clone(of), &p)); err == nil || !strings.Contains(err.Error(), part) {
				t.Errorf("%v does not say %q", err, part)
			}
		}
		refused(func(*Part) {}, "the samples 16 to 55 of 90", parts[1])
		refused(func(p *Part) { p.Calibration = "x" }, "other is of a test with another calibration than the part of the samples 0 to 15", parts[1])
		refused(func(p *Part) { p.Canary, p.Machine = "x", "there" }, "other, from there, has other outputs", parts[1])
		refused(func(p *Part) { p.First = 48 }, "other overlap", parts[1], parts[2])
		refused(func(p *Part) { p.Score.Invalid = 9 }, "differ: compute them again", parts[0], parts[1], parts[2])
	}
}

// TestPartsDiffer: parts that differ in any field are of two tests.
func TestPartsDiffer(t *testing.T) {
	told := map[string]bool{}
	for i := range reflect.TypeFor[PartOf]().NumField() {
		var a, b PartOf
		switch f := reflect.ValueOf(&b).Elem().Field(i); f.Kind() {
		case reflect.Int:
			f.SetInt(1)
		default:
			f.SetString("x")
		}
		what := a.differs(&b).String()
		if what == "" || told[what] {
			t.Errorf("%s: told as %q", reflect.TypeFor[PartOf]().Field(i).Name, what)
		}
		told[what] = true
	}
}

func FuzzReadPart(f *testing.F) {
	p := &Part{PartOf: PartOf{Samples: 9}, Count: 9, Score: scoreState{Outputs: []outputState{{Name: "y", Sums: make([]byte, 48)}}}}
	data, err := p.Bytes()
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := ReadPart(data)
		if err != nil {
			return
		}
		if whole, err := Whole([]*Part{p}); err == nil {
			_, _ = Merge(whole) // must not panic
		}
	})
}
