package cost

import (
	"fmt"

	"narrow/plan"
	"narrow/scheme"
)

// Format is what the elements of a tensor are computed with.
type Format struct {
	Datatype scheme.Datatype
	// Bits is the width of an element: 2..32 for integers, 16 or 32 for floats.
	Bits int
}

// FormatOf returns the format of a tensor of a plan; nil is one that is not
// quantized, which is float32.
func FormatOf(t *plan.Tensor) Format {
	if t == nil {
		return Format{scheme.Float32, 32}
	}
	switch s := t.Settings.Settings; s.Datatype {
	case scheme.Int:
		return Format{scheme.Int, s.BitWidth}
	case scheme.BFloat16, scheme.Float16:
		return Format{s.Datatype, 16}
	}
	return Format{scheme.Float32, 32}
}

// String returns "int8", "bfloat16", "float16" or "float32".
func (f Format) String() string {
	if f.IsInt() {
		return fmt.Sprintf("int%d", f.Bits)
	}
	return f.Datatype.String()
}

// IsInt reports whether the elements are integers.
func (f Format) IsInt() bool { return f.Datatype == scheme.Int }

// MarshalText writes what String returns.
func (f Format) MarshalText() ([]byte, error) { return []byte(f.String()), nil }

// compare orders formats: integers first, narrow before wide.
func (f Format) compare(g Format) int {
	if f.Datatype != g.Datatype {
		return int(f.Datatype) - int(g.Datatype)
	}
	return f.Bits - g.Bits
}
