package scheme

import (
	"fmt"

	"narrow/diag"
)

// Kind is a sort of tensor that a strategy can set. The zero value is invalid.
type Kind int

// The values of Kind, in the order of the strategy file's documentation.
const (
	Input Kind = iota + 1
	Weights
	Bias
	Activation
)

// KindNames returns the spellings of all values of Kind in a strategy file, in order.
func KindNames() []string { return []string{"input", "weights", "bias", "activation"} }

// String returns the spelling in a strategy file.
func (v Kind) String() string { return enumName("Kind", int(v), KindNames()) }

// MarshalText writes the spelling in a strategy file.
func (v Kind) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads the exact spelling of a strategy file.
func (v *Kind) UnmarshalText(b []byte) error {
	i, err := enumValue("Kind", string(b), KindNames())
	*v = Kind(i)
	return err
}

// Datatype is what a tensor is stored as. The zero value is invalid.
type Datatype int

// The values of Datatype, in the order of the strategy file's documentation.
const (
	Int Datatype = iota + 1
	BFloat16
	Float16
	Float32
)

// DatatypeNames returns the spellings of all values of Datatype in a strategy file, in order.
func DatatypeNames() []string { return []string{"int", "bfloat16", "float16", "float32"} }

// String returns the spelling in a strategy file.
func (v Datatype) String() string { return enumName("Datatype", int(v), DatatypeNames()) }

// MarshalText writes the spelling in a strategy file.
func (v Datatype) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads the exact spelling of a strategy file.
func (v *Datatype) UnmarshalText(b []byte) error {
	i, err := enumValue("Datatype", string(b), DatatypeNames())
	*v = Datatype(i)
	return err
}

// Method is how the clipping range of a tensor is found. The zero value is invalid.
type Method int

// The values of Method, in the order of the strategy file's documentation.
const (
	MaxMin Method = iota + 1
	Percentile
	Entropy
	MSE
	Diffs
)

// MethodNames returns the spellings of all values of Method in a strategy file, in order.
func MethodNames() []string { return []string{"maxmin", "percentile", "entropy", "mse", "diffs"} }

// String returns the spelling in a strategy file.
func (v Method) String() string { return enumName("Method", int(v), MethodNames()) }

// MarshalText writes the spelling in a strategy file.
func (v Method) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads the exact spelling of a strategy file.
func (v *Method) UnmarshalText(b []byte) error {
	i, err := enumValue("Method", string(b), MethodNames())
	*v = Method(i)
	return err
}

// RoundMode is how ties are rounded; docs/numbers.md has each. The zero value is invalid.
type RoundMode int

// The values of RoundMode, in the order of the strategy file's documentation.
const (
	HalfEven RoundMode = iota + 1
	HalfUp
	HalfDown
	StdRound
)

// RoundModeNames returns the spellings of all values of RoundMode in a strategy file, in order.
func RoundModeNames() []string { return []string{"half_even", "half_up", "half_down", "std_round"} }

// String returns the spelling in a strategy file.
func (v RoundMode) String() string { return enumName("RoundMode", int(v), RoundModeNames()) }

// MarshalText writes the spelling in a strategy file.
func (v RoundMode) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads the exact spelling of a strategy file.
func (v *RoundMode) UnmarshalText(b []byte) error {
	i, err := enumValue("RoundMode", string(b), RoundModeNames())
	*v = RoundMode(i)
	return err
}

// ScaleType is which numbers a scale can be. The zero value is invalid.
type ScaleType int

// The values of ScaleType, in the order of the strategy file's documentation.
const (
	FloatScale ScaleType = iota + 1
	PowerOfTwo
)

// ScaleTypeNames returns the spellings of all values of ScaleType in a strategy file, in order.
func ScaleTypeNames() []string { return []string{"float", "poweroftwo"} }

// String returns the spelling in a strategy file.
func (v ScaleType) String() string { return enumName("ScaleType", int(v), ScaleTypeNames()) }

// MarshalText writes the spelling in a strategy file.
func (v ScaleType) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads the exact spelling of a strategy file.
func (v *ScaleType) UnmarshalText(b []byte) error {
	i, err := enumValue("ScaleType", string(b), ScaleTypeNames())
	*v = ScaleType(i)
	return err
}

// Statistic is how the scales of several batches are joined into one. The zero value is invalid.
type Statistic int

// The values of Statistic, in the order of the strategy file's documentation.
const (
	Modal Statistic = iota + 1
	Max
	Mean
	Median
)

// StatisticNames returns the spellings of all values of Statistic in a strategy file, in order.
func StatisticNames() []string { return []string{"modal", "max", "mean", "median"} }

// String returns the spelling in a strategy file.
func (v Statistic) String() string { return enumName("Statistic", int(v), StatisticNames()) }

// MarshalText writes the spelling in a strategy file.
func (v Statistic) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads the exact spelling of a strategy file.
func (v *Statistic) UnmarshalText(b []byte) error {
	i, err := enumValue("Statistic", string(b), StatisticNames())
	*v = Statistic(i)
	return err
}

// Target is the device whose restrictions apply. The zero value is invalid.
type Target int

// The values of Target, in the order of the strategy file's documentation.
const (
	DPU Target = iota + 1
	CPU
	GPU
)

// TargetNames returns the spellings of all values of Target in a strategy file, in order.
func TargetNames() []string { return []string{"DPU", "CPU", "GPU"} }

// String returns the spelling in a strategy file.
func (v Target) String() string { return enumName("Target", int(v), TargetNames()) }

// MarshalText writes the spelling in a strategy file.
func (v Target) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText reads the exact spelling of a strategy file.
func (v *Target) UnmarshalText(b []byte) error {
	i, err := enumValue("Target", string(b), TargetNames())
	*v = Target(i)
	return err
}

func enumName(typ string, v int, names []string) string {
	if v < 1 || v > len(names) {
		return fmt.Sprintf("%s(%d)", typ, v)
	}
	return names[v-1]
}

func enumValue(typ, s string, names []string) (int, error) {
	for i, n := range names {
		if n == s {
			return i + 1, nil
		}
	}
	return 0, diag.Errorf("%q is no %s: it is one of %q", s, typ, names)
}
