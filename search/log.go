package search

import (
	"bytes"
	"encoding/json"

	"narrow/diag"
)

// LogFormat is the format of a [Log] in a file.
const LogFormat = "narrow.search/1"

// Key is what the results of a search depend on. A [Log] serves a search of the
// same key only.
type Key struct {
	// Version is narrow's.
	Version string `json:"version"`
	// ModelSHA256 is of the model's file, CalibrationSHA256 and TestSHA256 of the
	// samples, LabelsSHA256 of the test samples' classes.
	ModelSHA256       string `json:"model_sha256"`
	CalibrationSHA256 string `json:"calibration_sha256"`
	TestSHA256        string `json:"test_sha256"`
	LabelsSHA256      string `json:"labels_sha256"`

	Target        string  `json:"target"`
	MaxDrop       float64 `json:"max_drop"`
	Seed          uint64  `json:"seed"`
	SearchSamples int     `json:"search_samples"`
	BatchSize     int     `json:"batch_size"`
	Propagate     string  `json:"propagate"`
	// Accuracy is the way to quantize; "" is guide.
	Accuracy string `json:"accuracy,omitempty"`
	// Metric is the user's, a command or a built-in one, with the number that
	// counts, which way is better, and what it must be at least.
	Metric        string   `json:"metric,omitempty"`
	MetricName    string   `json:"metric_name,omitempty"`
	LowerIsBetter bool     `json:"lower_is_better,omitempty"`
	Least         *float64 `json:"least,omitempty"`
}

// Phase says why a trial was made.
type Phase string

// The phases of a search, in order; Confirm ends several of them.
const (
	// Wide tries 16-bit floats throughout: what is nearly always accurate.
	Wide Phase = "wide"
	// Recipe tries the choices for the whole network on the base rung.
	Recipe Phase = "recipe"
	// Spare leaves in float what costs next to nothing there, where 8 bits
	// throughout do not do.
	Spare Phase = "spare"
	// Rank measures what each layer costs in accuracy, one rung a trial.
	Rank Phase = "rank"
	// Mix looks for the cheapest mix of rungs on the front.
	Mix Phase = "mix"
	// Polish tries the choices for the whole network again, with the mix.
	Polish Phase = "polish"
	// Lower takes layers one rung down.
	Lower Phase = "lower"
	// Confirm tests what was chosen on all test samples.
	Confirm Phase = "confirm"
)

// Trial is one measurement.
type Trial struct {
	Number int   `json:"number"`
	Phase  Phase `json:"phase"`
	// Words say what was tried, in English; Tried says it in any language.
	Words string `json:"words"`
	// StrategySHA256 is the strategy's hash, Cost what the network costs with it
	// next to float32.
	StrategySHA256 string  `json:"strategy_sha256"`
	Cost           float64 `json:"cost"`
	// One of these is set: Noise in the phase Rank, Confirm in Confirm, else Score.
	Score   *Score    `json:"score,omitempty"`   // on the search split
	Noise   []float64 `json:"noise,omitempty"`   // of each layer alone, as in Score.Noise
	Confirm *Promise  `json:"confirm,omitempty"` // on all test samples

	// tried is what Words say; the zero value for a trial that only a log knows.
	tried diag.Text
	// guess is in their place in a search that is run on guesses: see ahead.go.
	guess *bool
}

// Tried says what was tried.
func (t *Trial) Tried() diag.Text {
	if t.tried.IsZero() {
		return diag.Verbatim(t.Words)
	}
	return t.tried
}

// Promise is what a strategy does on all test samples: what a run of it prints.
type Promise struct {
	Samples   int     `json:"samples"`
	Float     float64 `json:"float_top1"`
	Quantized float64 `json:"quantized_top1"`
	Agreement float64 `json:"agreement"`
	// All counts over all samples, HeldOut over those that were not searched on;
	// nil where there are none.
	All     Score  `json:"all"`
	HeldOut *Score `json:"held_out,omitempty"`
}

// Within reports whether the drop on all samples is at most most, and that on
// those held out not above it by more than its standard error.
func (p *Promise) Within(most float64) bool {
	return Goal{MaxDrop: most}.Kept(p)
}

// Log is every trial of a search, in order.
type Log struct {
	Key    Key     `json:"key"`
	Trials []Trial `json:"trials"`
}

// Encode writes the log as a file.
func (l *Log) Encode() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", " ")
	err := e.Encode(struct {
		Format string `json:"format"`
		*Log
	}{LogFormat, l})
	if err != nil {
		return nil, diag.Errorf("writing the log of a search: %w", err)
	}
	return b.Bytes(), nil
}

// ReadLog reads what [Log.Encode] wrote. The error says what is wrong with it.
func ReadLog(data []byte) (*Log, error) {
	var f struct {
		Format string `json:"format"`
		Log
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return nil, diag.Errorf("this is no log of a search: %w", err)
	}
	if f.Format != LogFormat {
		return nil, diag.Errorf("this is no log of a search: its format is %q, not %q", f.Format, LogFormat)
	}
	for i, t := range f.Trials {
		whole := t.Score != nil
		switch t.Phase {
		case Rank:
			whole = true // a network may have no layers to rank
		case Confirm:
			whole = t.Confirm != nil
		}
		if t.Number != i+1 || !whole {
			return nil, diag.Errorf("this log of a search is damaged at trial %d", i+1)
		}
	}
	return &f.Log, nil
}
