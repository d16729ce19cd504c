package evaluate

import (
	"bytes"
	"encoding/json"
)

// Figure is a number with a name. Value is nil where there is none, as of the float
// network for what compares with it.
type Figure struct {
	Name  string
	Value *float64
}

// Figures are written as a JSON object in their order.
type Figures []Figure

// MarshalJSON writes {"name": value, ...}, null for what has no value.
func (f Figures) MarshalJSON() ([]byte, error) {
	var b bytes.Buffer
	b.WriteByte('{')
	for i, x := range f {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(x.Name)
		if err != nil {
			return nil, err
		}
		value, err := json.Marshal(x.Value)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(value)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}

// Find returns the value of a name, and whether there is such a name.
func (f Figures) Find(name string) (*float64, bool) {
	for _, x := range f {
		if x.Name == name {
			return x.Value, true
		}
	}
	return nil, false
}

// Metric is what a metric tells of the float and the quantized network.
type Metric struct {
	// Name is that of the number that counts.
	Name          string `json:"name"`
	LowerIsBetter bool   `json:"lower_is_better,omitempty"`
	// Float is nil where the float network has no value of it.
	Float     *float64 `json:"float"`
	Quantized *float64 `json:"quantized"`
	// Drop is by how much the quantized network is worse; nil where the float
	// network has no value.
	Drop *float64 `json:"drop,omitempty"`
	// Numbers are all that the metric told.
	Numbers struct {
		Float     Figures `json:"float,omitempty"`
		Quantized Figures `json:"quantized"`
	} `json:"numbers"`
	// Seconds is how long telling them took.
	Seconds float64 `json:"seconds"`
}
