package search

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"narrow/diag"
)

// ProvenanceFormat is the format of a [Provenance] in a file.
const ProvenanceFormat = "narrow.provenance/1"

// Provenance says where a strategy file comes from and what it promises.
type Provenance struct {
	Format string `json:"format"`
	// StrategySHA256 is of the strategy file's bytes.
	StrategySHA256 string `json:"strategy_file_sha256"`
	// Search is what the search depended on.
	Search Key `json:"search"`
	// Model, Calibration and Test are as they were named.
	Model       string  `json:"model"`
	Calibration Dataset `json:"calibration"`
	Test        Dataset `json:"test"`
	// Searched and HeldOut are how many of the test samples were searched on, and
	// how many were not.
	Searched int `json:"searched_samples"`
	HeldOut  int `json:"held_out_samples"`
	// Trials is how many there were. Complete says that the search came to its
	// end.
	Trials   int  `json:"trials"`
	Complete bool `json:"complete"`
	// Words say what the strategy is, Cost what the network costs with it next to
	// float32.
	Words string `json:"words"`
	// Why are reasons for it, each a sentence.
	Why  []string `json:"why,omitempty"`
	Cost float64  `json:"cost"`
	// Promise is what Command prints.
	Promise Promise `json:"promise"`
	Command string  `json:"command"`
}

// Dataset names samples.
type Dataset struct {
	Path    string `json:"path"`
	Labels  string `json:"labels,omitempty"`
	Samples int    `json:"samples"`
}

// Encode writes the provenance as a file.
func (p *Provenance) Encode() ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(p); err != nil {
		return nil, diag.Errorf("writing a strategy's provenance: %w", err)
	}
	return b.Bytes(), nil
}

// Vouches reports whether provenance, a file, is of a strategy file as it is.
func Vouches(provenance, strategyFile []byte) bool {
	var p Provenance
	return json.Unmarshal(provenance, &p) == nil && p.Format == ProvenanceFormat && p.StrategySHA256 == FileSHA256(strategyFile)
}

// FileSHA256 returns the SHA-256 of a file's bytes in hex.
func FileSHA256(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}

// LabelsSHA256 returns the SHA-256 of classes in hex.
func LabelsSHA256(labels []int) string {
	var b []byte
	for _, l := range labels {
		b = binary.LittleEndian.AppendUint64(b, uint64(l))
	}
	return FileSHA256(b)
}

func leastText(v *float64) string {
	if v == nil {
		return "none"
	}
	return fmt.Sprint(*v)
}

// Differ lists in words how k differs from other.
func (k Key) Differ(other Key) []string {
	var out []string
	for _, f := range []struct {
		name        string
		here, there any
	}{
		{"narrow's version", k.Version, other.Version},
		{"the model", k.ModelSHA256, other.ModelSHA256},
		{"the calibration samples", k.CalibrationSHA256, other.CalibrationSHA256},
		{"the test samples", k.TestSHA256, other.TestSHA256},
		{"the labels", k.LabelsSHA256, other.LabelsSHA256},
		{"the target", k.Target, other.Target},
		{"the largest drop", k.MaxDrop, other.MaxDrop},
		{"the seed", k.Seed, other.Seed},
		{"the number of samples to search on", k.SearchSamples, other.SearchSamples},
		{"the batch size", k.BatchSize, other.BatchSize},
		{"the propagation", k.Propagate, other.Propagate},
		{"the way to quantize", k.Accuracy, other.Accuracy},
		{"the metric", k.Metric, other.Metric},
		{"the metric's number", k.MetricName, other.MetricName},
		{"which way is better", k.LowerIsBetter, other.LowerIsBetter},
		{"the least of the metric", leastText(k.Least), leastText(other.Least)},
	} {
		if f.here != f.there {
			out = append(out, fmt.Sprintf("%s: %.12v here, %.12v there", f.name, f.here, f.there))
		}
	}
	return out
}
