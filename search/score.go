package search

import (
	"math"
	"regexp"
	"strconv"

	"narrow/diag"
)

// Score is what a strategy does on some samples next to the float network, by
// top-1.
type Score struct {
	Samples int `json:"samples"`
	// Float and Quantized are how many samples each network gets right; Lost are
	// those that only the float network does, Gained those that only the
	// quantized one does.
	Float     int `json:"float"`
	Quantized int `json:"quantized"`
	Lost      int `json:"lost"`
	Gained    int `json:"gained"`
	// Agree is for how many both give the same class.
	Agree int `json:"agree"`
	// Metric is set where a metric of the user's scores the samples: the counts
	// above then say nothing.
	Metric *Metric `json:"metric,omitempty"`
	// Value is set where a metric of all samples together is told: the counts above
	// then say nothing either.
	Value *Value `json:"value,omitempty"`
	// Noise is the power of the first output's error as a share of that of the
	// float output itself: 0.01 is an SQNR of 20 dB. At most [MaxNoise].
	Noise float64 `json:"noise"`
	// Stopped says that the trial was given up: there are more samples.
	Stopped bool `json:"stopped,omitempty"`
	// Failed says why the network could not be calibrated: a tensor that a
	// datatype makes NaN or infinite. All samples count as lost then. It is in English;
	// Failure says it in any language.
	Failed string `json:"failed,omitempty"`
}

// failed are the words of a failure.
var failed = regexp.MustCompile(`^layer (.*): tensor ("(?:[^"\\]|\\.)*") holds (\S+)$`)

// failure says that a tensor holds NaN or an infinity.
func failure(layer, tensor string, value any) diag.Text {
	return diag.Textf("layer %s: tensor %q holds %v", layer, tensor, value)
}

// Failure says why the network could not be calibrated.
func (s Score) Failure() diag.Text {
	if m := failed.FindStringSubmatch(s.Failed); m != nil {
		if tensor, err := strconv.Unquote(m[2]); err == nil {
			return failure(m[1], tensor, m[3])
		}
	}
	return diag.Verbatim(s.Failed)
}

// Metric holds sums of the samples' scores.
type Metric struct {
	Float     float64 `json:"float"`
	Quantized float64 `json:"quantized"`
	// Squares is the sum of the squared differences of a sample's two scores.
	Squares float64 `json:"squares"`
}

func (m *Metric) add(f, q float64) {
	m.Float += f
	m.Quantized += q
	m.Squares += (f - q) * (f - q)
}

// MaxNoise stands for any noise that is larger, or no number.
const MaxNoise = 1e12

// Drop returns the top-1 that was lost, as a share of the samples: negative
// where the quantized network is better.
func (s Score) Drop() float64 { return s.lost() / float64(max(s.Samples, 1)) }

// lost is how many samples, or how much of the scores' sum, quantizing lost.
func (s Score) lost() float64 {
	if s.Value != nil {
		return s.Value.drop() * float64(s.Samples)
	}
	if s.Metric != nil {
		return s.Metric.Float - s.Metric.Quantized
	}
	return float64(s.Lost - s.Gained)
}

// StdErr is 0 where a metric of all samples together is told, of which none is
// known. Else it returns the standard error of Drop: how far the drop on other samples
// of the same kind would typically lie from this one. Both networks see the same
// samples, so only those count on which one is right and the other wrong
// (McNemar 1947).
func (s Score) StdErr() float64 {
	if s.Value != nil {
		return 0
	}
	n, d := float64(max(s.Samples, 1)), s.lost()
	squares := float64(s.Lost + s.Gained)
	if s.Metric != nil {
		squares = s.Metric.Squares
	}
	return math.Sqrt(max(squares-d*d/n, 0)) / n
}

// Top1 returns the accuracies of the float and the quantized network, or their mean
// scores where there is a metric.
func (s Score) Top1() (float, quantized float64) {
	n := float64(max(s.Samples, 1))
	if s.Value != nil {
		if s.Value.Float != nil {
			float = *s.Value.Float
		}
		return float, s.Value.Quantized
	}
	if s.Metric != nil {
		return s.Metric.Float / n, s.Metric.Quantized / n
	}
	return float64(s.Float) / n, float64(s.Quantized) / n
}

// Agreement returns the share of samples for which both give the same class.
func (s Score) Agreement() float64 { return float64(s.Agree) / float64(max(s.Samples, 1)) }

// better reports whether s promises more than t on the same samples. Agreement
// is less noisy than top-1: it needs no luck with samples that the float network
// gets wrong.
func (s Score) better(t Score) bool {
	if s.Metric == nil && s.Value == nil && s.Agree != t.Agree {
		return s.Agree > t.Agree
	}
	return s.Noise < t.Noise
}

// hopelessFrom is how many samples a trial sees before it may be given up.
const hopelessFrom = 64

// GiveUp returns what to give up a trial by that may be given up: see
// [Evaluator.Search].
func GiveUp(maxDrop float64) func(Score) bool {
	return func(s Score) bool { return s.hopeless(maxDrop) }
}

// hopeless reports whether a trial need not see more samples: its drop is over
// most by more than three standard errors, with one sample to spare.
func (s Score) hopeless(most float64) bool {
	if s.Samples < hopelessFrom || s.Value != nil {
		return false
	}
	if s.Metric != nil {
		return s.Drop()-3*s.StdErr()-1/float64(s.Samples) > most
	}
	s.Gained++
	return s.Drop()-3*s.StdErr() > most
}

// tally adds up a Score.
type tally struct {
	Score
	signal, noise float64
	// spectrum adds up the noise where a metric is told; else signal and noise do.
	spectrum *spectrum
}

// add counts one sample of class label by the float and the quantized output.
func (t *tally) add(label int, f, q []float32) {
	cf, cq := class(f), class(q)
	t.Samples++
	right := func(c int) int {
		if c == label {
			return 1
		}
		return 0
	}
	a, b := right(cf), right(cq)
	t.Float += a
	t.Quantized += b
	t.Lost += a &^ b
	t.Gained += b &^ a
	if cf == cq && cf >= 0 {
		t.Agree++
	}
	t.addNoise(f, q)
}

// addScore counts one sample by the scores that a metric gives the float and the
// quantized output.
func (t *tally) addScore(sf, sq float64, f, q []float32) {
	if t.Metric == nil {
		t.Metric = &Metric{}
	}
	t.Samples++
	t.Metric.add(sf, sq)
	t.addNoise(f, q)
}

func (t *tally) addNoise(f, q []float32) {
	if t.spectrum != nil {
		t.spectrum.add(f, q)
		return
	}
	for i, v := range f {
		d := float64(v) - float64(q[i])
		t.signal += float64(v) * float64(v)
		t.noise += d * d
	}
}

// score returns the Score of what was added.
func (t *tally) score() Score {
	s := t.Score
	if s.Metric != nil { // which keeps counting
		m := *s.Metric
		s.Metric = &m
	}
	if t.spectrum != nil {
		s.Noise = t.spectrum.worst()
		return s
	}
	if t.noise != 0 { // or NaN
		s.Noise = t.noise / t.signal
	}
	if !(s.Noise <= MaxNoise) {
		s.Noise = MaxNoise
	}
	return s
}

// class returns the index of the first largest element, -1 where that is NaN:
// such a sample is wrong, as in package calibrate.
func class(x []float32) int {
	best := -1
	for i, v := range x {
		if best < 0 || v > x[best] || x[best] != x[best] {
			best = i
		}
	}
	if best >= 0 && x[best] != x[best] {
		return -1
	}
	return best
}
