package scheme

import (
	"encoding"
	"fmt"
	"strings"
	"testing"
)

// enum is what all enums of the package have.
type enum interface {
	fmt.Stringer
	encoding.TextMarshaler
}

// check holds an enum to its names: each is read as it is written, anything else
// is told, and the zero value is no value.
func check[T ~int](t *testing.T, names []string, text func(T) enum, read func(*T, []byte) error) {
	t.Helper()
	for i, name := range names {
		v := T(i + 1)
		if got := text(v).String(); got != name {
			t.Errorf("%d is called %q, not %q", i+1, got, name)
		}
		b, err := text(v).MarshalText()
		if err != nil || string(b) != name {
			t.Errorf("%s is written %q, %v", name, b, err)
		}
		var back T
		if err := read(&back, b); err != nil || back != v {
			t.Errorf("%s is read as %d, %v", name, int(back), err)
		}
	}
	for _, v := range []T{0, T(len(names) + 1)} {
		if got := text(v).String(); !strings.HasSuffix(got, fmt.Sprintf("(%d)", int(v))) {
			t.Errorf("%d is called %q", int(v), got)
		}
	}
	for _, bad := range []string{"", strings.ToUpper(names[0]) + "?", names[0] + " "} {
		v := T(1)
		if err := read(&v, []byte(bad)); err == nil || v != 0 || !strings.Contains(err.Error(), names[0]) {
			t.Errorf("%q is read as %d, %v", bad, int(v), err)
		}
	}
}

func TestEnums(t *testing.T) {
	check(t, KindNames(), func(v Kind) enum { return v }, func(v *Kind, b []byte) error { return v.UnmarshalText(b) })
	check(t, DatatypeNames(), func(v Datatype) enum { return v }, func(v *Datatype, b []byte) error { return v.UnmarshalText(b) })
	check(t, MethodNames(), func(v Method) enum { return v }, func(v *Method, b []byte) error { return v.UnmarshalText(b) })
	check(t, RoundModeNames(), func(v RoundMode) enum { return v }, func(v *RoundMode, b []byte) error { return v.UnmarshalText(b) })
	check(t, ScaleTypeNames(), func(v ScaleType) enum { return v }, func(v *ScaleType, b []byte) error { return v.UnmarshalText(b) })
	check(t, StatisticNames(), func(v Statistic) enum { return v }, func(v *Statistic, b []byte) error { return v.UnmarshalText(b) })
	check(t, TargetNames(), func(v Target) enum { return v }, func(v *Target, b []byte) error { return v.UnmarshalText(b) })
	for s, want := range map[string]Accuracy{"guide": Guide, "high": High} {
		if got, err := ParseAccuracy(s); err != nil || got != want || got.String() != s {
			t.Errorf("%q is %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"", "higher"} {
		if a, err := ParseAccuracy(s); err == nil {
			t.Errorf("%q is %v", s, a)
		}
	}
	if a := Accuracy(2); a.String() != "Accuracy(2)" {
		t.Error(a)
	}
}

func TestRange(t *testing.T) {
	for _, tt := range []struct {
		bits                     int
		signed, symmetry, narrow bool
		lo, hi                   int64
	}{
		{8, true, true, false, -128, 127},
		{8, true, true, true, -127, 127},
		{2, true, true, false, -2, 1},
		{32, true, true, false, -1 << 31, 1<<31 - 1},
		{8, false, true, false, 0, 255},
		{8, true, false, true, 0, 255}, // asymmetric: neither signed nor narrow
		{32, false, false, false, 0, 1<<32 - 1},
	} {
		s := Settings{BitWidth: tt.bits, Signed: tt.signed, Symmetry: tt.symmetry, NarrowRange: tt.narrow}
		if lo, hi := s.Range(); lo != tt.lo || hi != tt.hi {
			t.Errorf("%+v: [%d, %d]", tt, lo, hi)
		}
	}
	for p, want := range map[int]float32{0: 1, 7: 0x1p-7, -3: 8, 12: 0x1p-12} {
		if got := FixScale(p); got != want {
			t.Errorf("2^-%d is %v", p, got)
		}
	}
}
