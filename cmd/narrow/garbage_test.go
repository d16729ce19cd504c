package main

import "testing"

// Little garbage is collected often only where much is in use.
func TestPercentFor(t *testing.T) {
	for _, c := range []struct {
		live uint64
		want int
	}{
		{0, 1000}, {1 << 20, 1000}, {32 << 20, 200}, {64 << 20, 100}, {160 << 20, 40}, {1 << 30, collectAt}, {1 << 40, collectAt},
	} {
		if got := percentFor(c.live, choosingGarbage); got != c.want {
			t.Errorf("%d bytes in use: %d per cent, want %d", c.live, got, c.want)
		}
	}
}
