package report

import "narrow/evaluate"

// Metric is what the user's metric tells: see [evaluate.Metric].
type Metric struct {
	Name          string  `json:"name"`
	Unit          Unit    `json:"unit"`
	LowerIsBetter bool    `json:"lower_is_better,omitempty"`
	Float         *Number `json:"float,omitempty"`
	Quantized     *Number `json:"quantized"`
	Drop          *Number `json:"drop,omitempty"`
}

// MetricOf returns m for a page, nil for nil.
func MetricOf(m *evaluate.Metric) *Metric {
	if m == nil {
		return nil
	}
	return &Metric{
		Name: m.Name, Unit: UnitOf(m.Name), LowerIsBetter: m.LowerIsBetter,
		Float: numberOf(m.Float), Quantized: numberOf(m.Quantized), Drop: numberOf(m.Drop),
	}
}

// UnitOf returns how figures of a metric are written: those that narrow knows by
// name have units, a command's numbers stand as they are.
func UnitOf(name string) Unit {
	switch name {
	case "top1", "top5", "top-1", "top-5":
		return Share
	case "sqnr":
		return Decibel
	}
	return ""
}

func numberOf(x *float64) *Number {
	if x == nil {
		return nil
	}
	n := Number(*x)
	return &n
}
