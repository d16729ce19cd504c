package evaluate

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"

	"narrow/calibrate/observe"
	"narrow/diag"
	"narrow/engine"
	"narrow/graph"
	"narrow/internal/kernel"
)

// PartFormat is the format of a [Part]'s bytes: a line of JSON, and its SHA-256 in
// hex on a line of its own.
const PartFormat = "narrow.result/1"

// PartOf says what test a part is of. Parts that agree in all of it make a result.
type PartOf struct {
	// Version is narrow's, Engine the name and version of what runs networks.
	Version string `json:"version"`
	Engine  string `json:"engine"`
	// Calibration is the hash of what was calibrated, How which network stands for it.
	Calibration string `json:"calibration"`
	How         string `json:"how"`
	// BatchSize is how many samples ran at once.
	BatchSize int `json:"batch_size"`
	// Samples is how many the whole test has, SamplesHead how they are read, Labels the
	// hash of their labels.
	Samples     int    `json:"samples"`
	SamplesHead string `json:"samples_head"`
	Labels      string `json:"labels"`
}

// Part is what a test found on a part of the samples.
type Part struct {
	PartOf
	// Machine names the machine and the processor that computed it.
	Machine string `json:"machine"`
	// File is where it was read, for messages.
	File string `json:"-"`
	// First and Count are the samples.
	First int `json:"first"`
	Count int `json:"count"`
	// Canary is the hash of the outputs for the first batch of all.
	Canary string `json:"canary"`
	// Extra is kept for the caller, beside what is summed up.
	Extra json.RawMessage `json:"extra,omitempty"`

	Score scoreState `json:"score"`
}

// scoreState is a [Score] as a file holds it.
type scoreState struct {
	Labelled, Invalid, Outside int
	Unfit                      bool
	Outputs                    []outputState
}

// outputState is an output's part of it. Sums are those of every batch in order, or of
// the single samples of one that were compared: 48 bytes each.
type outputState struct {
	Name                           string
	Shape                          []int64
	Floats, Left, Seen             bool
	Unlike, Same, All              int
	Min, Max                       uint32 // as bits: it may be infinite
	Classes, Positions, Inner      int
	Agree, Compared, Judged        int
	FloatTop1, FloatTop5, QuantTop int
	QuantTop5                      int
	Sums                           []byte
}

// state returns what s added up.
func (s *Score) state() scoreState {
	st := scoreState{Labelled: s.labelled, Invalid: s.invalid, Outside: s.outside, Unfit: s.unfit}
	for i := range s.outputs {
		o := &s.outputs[i]
		n := outputState{
			Name: o.name, Shape: o.shape, Floats: o.floats, Left: o.skipped, Seen: o.seen, Unlike: o.unlike, Same: o.same, All: o.all,
			Min: math.Float32bits(o.min), Max: math.Float32bits(o.max),
			Classes: o.layout.classes, Positions: o.layout.positions, Inner: o.layout.inner, Agree: o.agree, Compared: o.compared, Judged: o.judged,
			FloatTop1: o.hits[0][0], FloatTop5: o.hits[0][1], QuantTop: o.hits[1][0], QuantTop5: o.hits[1][1],
		}
		for _, e := range o.log {
			n.Sums = binary.LittleEndian.AppendUint64(n.Sums, uint64(e.N))
			for _, v := range []float64{e.RefSquares, e.TestSquares, e.Dot, e.DiffSquares, e.MaxDiff} {
				n.Sums = binary.LittleEndian.AppendUint64(n.Sums, math.Float64bits(v))
			}
		}
		st.Outputs = append(st.Outputs, n)
	}
	return st
}

// add adds what the next part of the samples gave.
func (s *Score) add(st *scoreState, samples int) error {
	if len(st.Outputs) != len(s.outputs) {
		return diag.Errorf("it has %d outputs, not %d", len(st.Outputs), len(s.outputs))
	}
	if s.started && (s.labelled != st.Labelled || s.unfit != st.Unfit) {
		return diag.Errorf("the labels fit another output")
	}
	first := !s.started
	s.started, s.labelled, s.unfit = true, st.Labelled, st.Unfit
	s.n += samples
	s.invalid += st.Invalid
	s.outside += st.Outside
	for i := range st.Outputs {
		if err := s.outputs[i].add(&st.Outputs[i], first); err != nil {
			return diag.Errorf("output %q: %w", st.Outputs[i].Name, err)
		}
	}
	return nil
}

func (o *output) add(n *outputState, first bool) error {
	l := layout{n.Classes, n.Positions, n.Inner}
	if !first && (o.name != n.Name || o.layout != l || o.floats != n.Floats) {
		return diag.Errorf("it is another one than in the parts before")
	}
	o.name, o.layout, o.floats = n.Name, l, n.Floats
	o.see(-1, engine.Tensor{Shape: n.Shape})
	if n.Seen {
		lo, hi := math.Float32frombits(n.Min), math.Float32frombits(n.Max)
		if o.seen {
			lo, hi = min(lo, o.min), max(hi, o.max)
		}
		o.seen, o.min, o.max = true, lo, hi
	}
	o.skipped = o.skipped || n.Left
	o.unlike += n.Unlike
	o.same += n.Same
	o.all += n.All
	o.agree += n.Agree
	o.compared += n.Compared
	o.judged += n.Judged
	o.hits[0][0] += n.FloatTop1
	o.hits[0][1] += n.FloatTop5
	o.hits[1][0] += n.QuantTop
	o.hits[1][1] += n.QuantTop5
	const size = 48
	if len(n.Sums)%size != 0 {
		return diag.Errorf("its sums are damaged")
	}
	for b := n.Sums; len(b) > 0; b = b[size:] {
		v := func(i int) float64 { return math.Float64frombits(binary.LittleEndian.Uint64(b[8*i:])) }
		o.quality.Merge(observe.Quality{Sums: kernel.ErrorSums{
			N: int64(binary.LittleEndian.Uint64(b)), RefSquares: v(1), TestSquares: v(2), Dot: v(3), DiffSquares: v(4), MaxDiff: v(5),
		}})
	}
	return nil
}

// Bytes returns the part as its file holds it.
func (p *Part) Bytes() ([]byte, error) {
	line, err := json.Marshal(struct {
		Format string `json:"format"`
		*Part
	}{PartFormat, p})
	if err != nil {
		return nil, diag.Errorf("writing a part of a test: %w", err)
	}
	sum := sha256.Sum256(line)
	return append(append(append(line, '\n'), hex.EncodeToString(sum[:])...), '\n'), nil
}

// ReadPart reads what [Part.Bytes] returned.
func ReadPart(data []byte) (*Part, error) {
	line, rest, _ := bytes.Cut(data, []byte("\n"))
	var head struct {
		Format string `json:"format"`
	}
	if err := json.Unmarshal(line, &head); err != nil || !strings.HasPrefix(head.Format, "narrow.result/") {
		return nil, diag.Errorf("it is no part of a test, or cut off: save it again")
	}
	if head.Format != PartFormat {
		return nil, diag.Errorf("its format is %q; this version reads %q: save it again", head.Format, PartFormat)
	}
	damaged := diag.Errorf("the part of a test is damaged or cut off: save it again")
	if sum := sha256.Sum256(line); string(rest) != hex.EncodeToString(sum[:])+"\n" {
		return nil, damaged
	}
	p := &Part{}
	if err := json.Unmarshal(line, p); err != nil || p.First < 0 || p.Count < 1 || p.First+p.Count > p.Samples {
		return nil, damaged
	}
	return p, nil
}

// Name says which part it is, for messages.
func (p *Part) Name() diag.Text {
	if p.File != "" {
		return diag.Verbatim(p.File)
	}
	return diag.Textf("the part of the samples %d to %d", p.First, p.First+p.Count-1)
}

// differs says in what p is of another test than o; the zero Text where it is of the same.
func (p *PartOf) differs(o *PartOf) diag.Text {
	switch {
	case p.Version != o.Version:
		return diag.Textf("another version of narrow")
	case p.Engine != o.Engine:
		return diag.Textf("another engine")
	case p.Calibration != o.Calibration:
		return diag.Textf("another calibration")
	case p.How != o.How:
		return diag.Textf("another form of the network (simulated, as exported, or the exported file)")
	case p.BatchSize != o.BatchSize:
		return diag.Textf("another batch size")
	case p.Samples != o.Samples:
		return diag.Textf("another number of samples")
	case p.SamplesHead != o.SamplesHead:
		return diag.Textf("other samples, or another preprocessing")
	case p.Labels != o.Labels:
		return diag.Textf("other labels")
	}
	return diag.Text{}
}

// Whole puts parts, in any order, in the order of their samples; the same one twice
// counts once. The error names the parts that do not go together, or the samples that
// none of them is of.
func Whole(parts []*Part) ([]*Part, error) {
	if len(parts) == 0 {
		return nil, diag.Errorf("no part was given")
	}
	for _, p := range parts[1:] {
		if what := p.differs(&parts[0].PartOf); !what.IsZero() {
			return nil, diag.Errorf("%s is of a test with %s than %s: give the parts of one test", p.Name(), what, parts[0].Name())
		}
		if p.Canary != parts[0].Canary {
			return nil, diag.Errorf("%s, from %s, has other outputs than %s, from %s, for the same first samples: the samples differ, or these machines differ in the last bits; run it again on a machine like the others, from the same samples",
				p.Name(), p.Machine, parts[0].Name(), parts[0].Machine)
		}
	}
	all := slices.Clone(parts)
	slices.SortStableFunc(all, func(a, b *Part) int { return a.First - b.First })
	var out []*Part
	at := 0
	var missing []string
	gap := func(to int) {
		if to > at {
			missing = append(missing, fmt.Sprintf("%d to %d", at, to-1))
		}
	}
	for _, p := range all {
		if n := len(out); n > 0 && p.First == out[n-1].First && p.Count == out[n-1].Count {
			if !reflect.DeepEqual(p.Score, out[n-1].Score) {
				return nil, diag.Errorf("%s and %s are of the same samples, and differ: compute them again", out[n-1].Name(), p.Name())
			}
			continue
		}
		if p.First < at {
			return nil, diag.Errorf("%s and %s overlap: cut all parts alike", out[len(out)-1].Name(), p.Name())
		}
		gap(p.First)
		at = p.First + p.Count
		out = append(out, p)
	}
	gap(parts[0].Samples)
	if len(missing) > 0 {
		return nil, diag.Errorf("the samples %s of %d are in no part that was given: give the parts of these too", strings.Join(missing, ", "), parts[0].Samples)
	}
	return out, nil
}

// Merge returns the result of a test by its parts, as [Whole] orders them: that of one
// run over all samples, bit for bit.
func Merge(parts []*Part) (*Result, error) {
	s := &Score{labelled: -1, outputs: make([]output, len(parts[0].Score.Outputs))}
	for _, p := range parts {
		if err := s.add(&p.Score, p.Count); err != nil {
			return nil, diag.Errorf("%s does not go with %s: %w", p.Name(), parts[0].Name(), err)
		}
	}
	return s.Result(), nil
}

// canary hashes the outputs of the float and the tested network for the first samples.
func canary(outs ...[]engine.Tensor) string {
	h := sha256.New()
	for _, list := range outs {
		for _, t := range list {
			fmt.Fprintln(h, t.Type, t.Shape, t.Strings)
			b := make([]byte, 0, 4*len(t.Floats))
			for _, v := range t.Floats {
				b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
			}
			h.Write(b)
			h.Write(t.Raw)
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// RunPart is [Run] of one network over a part of the samples. Canary yields the first
// batch of all. What is returned lacks [PartOf] and the machine.
func RunPart(ctx context.Context, r engine.Runner, float *graph.Model, tested engine.Network, in, first engine.Batches, opts Options) (*Part, *Result, error) {
	p := &Part{}
	o := Options{Threads: opts.Threads, Labels: opts.Labels}
	o.outputs = func(want []engine.Tensor, outs [][]engine.Tensor) {
		if p.Canary == "" {
			p.Canary = canary(want, outs[0])
		}
	}
	if _, err := Run(ctx, r, float, []engine.Network{tested}, first, o); err != nil {
		return nil, nil, err
	}
	opts.scored = func(s *Score) { p.Score, p.Count = s.state(), s.n }
	res, err := Run(ctx, r, float, []engine.Network{tested}, in, opts)
	if err != nil {
		return nil, nil, err
	}
	return p, res[0], nil
}
