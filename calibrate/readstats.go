package calibrate

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"maps"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"narrow/calibrate/observe"
	"narrow/diag"
	"narrow/plan"
)

// Stats are the statistics of a network over samples, read from a file that
// was written as [SaveStats] says. They may be used many times and by several
// goroutines at once.
type Stats struct {
	Info StatsInfo

	records map[string][]recordsFrame // by value
	means   map[int]meansFrame        // by node
}

// recordsFrame is what some samples of a value gave, still encoded.
type recordsFrame struct {
	first, count int
	data         []byte
}

type meansFrame struct {
	samples, invalid int
	sum              []float64
}

// ReadStats reads a file of statistics. The Stats keep data. The error says
// what is wrong with it.
func ReadStats(data []byte) (*Stats, error) {
	if !bytes.HasPrefix(data, []byte(statsMagic)) {
		if bytes.HasPrefix(data, []byte("narrow.stats/")) {
			line, _, _ := bytes.Cut(data[:min(len(data), 40)], []byte("\n"))
			return nil, diag.Errorf("its format is %q; this version reads %q: save the statistics again", line, StatsFormat)
		}
		return nil, diag.Errorf("these are no statistics that narrow saved: they begin with %q", StatsFormat)
	}
	damaged := diag.Errorf("the file is damaged or cut off: save the statistics again")
	if len(data) < len(statsMagic)+4 {
		return nil, damaged
	}
	body, sum := data[:len(data)-4], binary.LittleEndian.Uint32(data[len(data)-4:])
	if crc32.Checksum(body, castagnoli) != sum {
		return nil, damaged
	}
	s := &Stats{records: map[string][]recordsFrame{}, means: map[int]meansFrame{}}
	values := map[int][]recordsFrame{}
	r := cursor{b: body[len(statsMagic):]}
	for len(r.b) > 0 && !r.bad {
		kind := r.byte()
		f := cursor{b: r.take(r.uint())}
		switch kind {
		case frameRecords:
			v, first, count := f.uint(), f.uint(), f.uint()
			values[v] = append(values[v], recordsFrame{first, count, f.b})
		case frameMeans:
			node := f.uint()
			m := meansFrame{samples: f.uint(), invalid: f.uint()}
			n := f.uint()
			if n > len(f.b)/8 {
				return nil, damaged
			}
			m.sum = make([]float64, n)
			for i := range m.sum {
				m.sum[i] = math.Float64frombits(binary.LittleEndian.Uint64(f.take(8)))
			}
			s.means[node] = m
		case frameInfo:
			if err := json.Unmarshal(f.b, &s.Info); err != nil {
				return nil, diag.Errorf("%w (%w)", damaged, err)
			}
			f.b = nil
			if len(r.b) > 0 {
				return nil, damaged
			}
		default:
			return nil, damaged
		}
		if f.bad {
			return nil, damaged
		}
	}
	if r.bad || s.Info.Format != StatsFormat || s.Info.Samples < 1 || s.Info.Batches < 1 {
		return nil, damaged
	}
	for v, fs := range values {
		if v >= len(s.Info.Values) {
			return nil, damaged
		}
		s.records[s.Info.Values[v]] = append(s.records[s.Info.Values[v]], fs...)
	}
	return s, nil
}

// cursor takes numbers and bytes from the front of b; bad says that there were
// not enough.
type cursor struct {
	b   []byte
	bad bool
}

func (r *cursor) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *cursor) take(n int) []byte {
	if n > len(r.b) || r.bad {
		r.bad, r.b = true, nil
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

// uint takes a varint below 2^31.
func (r *cursor) uint() int {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || v > math.MaxInt32 || r.bad {
		r.bad, r.b = true, nil
		return 0
	}
	r.b = r.b[n:]
	return int(v)
}

// entries decodes a frame, one sample after the other.
func (f recordsFrame) entries(yield func(i int, e entry) error) error {
	r := cursor{b: f.data}
	for i := range f.count {
		switch r.byte() {
		case 0:
			if r.bad {
				return diag.Errorf("a record is missing")
			}
			rec, rest, err := observe.DecodeRecord(r.b)
			if err != nil {
				return err
			}
			r.b = rest
			if err := yield(i, entry{record: rec}); err != nil {
				return err
			}
		case 1:
			v := r.take(4)
			if r.bad {
				return diag.Errorf("a value is missing")
			}
			if err := yield(i, entry{bad: math.Float32frombits(binary.LittleEndian.Uint32(v))}); err != nil {
				return err
			}
		default:
			return diag.Errorf("an unknown kind of record")
		}
	}
	return nil
}

// Missing says that a strategy needs what statistics do not hold.
type Missing struct {
	// Layer and Value are what it is about, Why what is missing.
	Layer, Value string
	Why          diag.Text
}

// Error names the layer and the value.
func (e *Missing) Error() string { return e.Text().String() }

// Text is Error in words that can be translated.
func (e *Missing) Text() diag.Text {
	return diag.Textf("layer %s: the statistics hold no %s of %q: calibrate this strategy on the samples", e.Layer, e.Why, e.Value)
}

// CalibrateStats returns what [Calibrate] with Propagate [Float] returns for the
// samples that s was made on, without running the network: the same encodings
// and corrected biases, bit for bit. Only [Calibrated.Ties] stays empty: what
// rounds to where is not in statistics. The plan's network must be the one that
// s is of, which [StatsInfo] tells. A [*Missing] names what s does not hold.
func CalibrateStats(p *plan.Plan, s *Stats, opts Options) (*Calibrated, error) {
	opts.Propagate = Float
	c, err := newCalibration(p, opts)
	if err != nil {
		return nil, err
	}
	c.out.Samples, c.out.Batches = s.Info.Samples, s.Info.Batches
	for node, p := range c.float.means {
		m, ok := s.means[node]
		if !ok || len(m.sum) > 0 && !p.fits(len(m.sum)) {
			delete(c.float.means, node)
			continue
		}
		p.total, p.samples, p.invalid = m.sum, m.samples, m.invalid
	}
	for _, l := range c.bias.layers {
		if l.inputMeans == nil || c.float.means[c.float.nodes[l.op.Node]] != l.inputMeans {
			return nil, &Missing{Layer: l.op.Node.Label(), Value: l.op.Bias.Name, Why: diag.Textf("means for the bias correction")}
		}
	}
	ts := p.Activations()
	invalid := make([]int, len(ts))
	errs := make([]error, len(ts))
	empty := make([]bool, len(ts))
	c.pool.Run(len(ts), func(i int) {
		frames, ok := s.records[ts[i].Name]
		if !ok {
			errs[i] = &Missing{Layer: ts[i].Layer.Name, Value: ts[i].Name, Why: diag.Textf("record")}
			return
		}
		for _, f := range frames {
			empty[i] = empty[i] || f.count == 0
			if errs[i] = c.feedFrame(ts[i], f, &invalid[i]); errs[i] != nil {
				return
			}
		}
	})
	for i, err := range errs {
		if err != nil {
			return nil, err
		}
		c.out.Invalid += invalid[i]
		if empty[i] {
			c.empty[ts[i]] = true
		}
	}
	if err := c.finish(); err != nil {
		return nil, err
	}
	return c.out, nil
}

// feedFrame gives t what a frame holds.
func (c *calibration) feedFrame(t *plan.Tensor, f recordsFrame, invalid *int) error {
	var own error
	err := f.entries(func(i int, e entry) error {
		own = c.feed(t, e, strconv.Itoa(f.first+i), invalid)
		return own
	})
	if err != nil && own == nil {
		return diag.Errorf("the statistics of %q are damaged: %w: save them again", t.Name, err)
	}
	return err
}

// OpenStats reads a file of statistics. The error names it.
func OpenStats(file string) (*Stats, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, diag.Errorf("reading the statistics: %w", err)
	}
	s, err := ReadStats(data)
	if err != nil {
		return nil, diag.Errorf("%s: %w", file, err)
	}
	return s, nil
}

// Match says whether statistics of i serve a calibration of what own tells. A
// hash of samples that is "" in own agrees with all. The error is a
// [*MismatchError].
func (i StatsInfo) Match(own StatsInfo) error {
	if i.ModelSHA256 != own.ModelSHA256 {
		return &MismatchError{Of: "model", Message: diag.Textf("the statistics are of another model: of %s, whose SHA-256 begins with %.12s, not of %s (%.12s): save them of this one",
			i.ModelPath, i.ModelSHA256, own.ModelPath, own.ModelSHA256)}
	}
	if own.SamplesSHA256 != "" && own.SamplesSHA256 != i.SamplesSHA256 {
		return &MismatchError{Of: "samples", Message: diag.Textf("the statistics are of other samples: of %d whose hash begins with %.12s, not %.12s: give the samples that they were saved on, preprocessed alike, or save them of these",
			i.Samples, i.SamplesSHA256, own.SamplesSHA256)}
	}
	if i.NetworkSHA256 == own.NetworkSHA256 {
		return nil
	}
	var differ []diag.Text
	for _, k := range slices.Sorted(maps.Keys(own.Switches)) {
		if was, ok := i.Switches[k]; ok && was != own.Switches[k] {
			differ = append(differ, diag.Textf("%s is %v here and was %v there", strings.TrimPrefix(k, "--"), own.Switches[k], was))
		}
	}
	if len(differ) == 0 {
		return &MismatchError{Of: "network", Message: diag.Textf("the statistics are of the same model, but rewritten otherwise, by narrow %s: save them again", i.Version)}
	}
	return &MismatchError{Of: "network", Message: diag.Textf("the statistics are of another network, since the strategy rewrites the model otherwise: %s: save statistics with this strategy, or with one that has the same switches",
		diag.Commas(differ))}
}
