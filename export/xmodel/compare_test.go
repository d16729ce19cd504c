package xmodel_test

import (
	"context"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"narrow/export/xmodel"
	"narrow/internal/testnet"
)

// TestCompareDumps finds the first layer that differs, in the network's order.
func TestCompareDumps(t *testing.T) {
	r := testnet.Runner(t)
	c, in := calibrated(t, r, "twoheads", "none")
	f, _ := written(t, c, "Net")
	dump := map[string][]byte{}
	if err := f.Dump(context.Background(), r, c.Result, in, func(name string, data []byte) error { dump[name] = data; return nil }); err != nil {
		t.Fatal(err)
	}
	put := func(files map[string][]byte) string {
		dir := t.TempDir()
		for name, data := range files {
			if err := os.WriteFile(filepath.Join(dir, name), data, 0o666); err != nil {
				t.Fatal(err)
			}
		}
		return dir
	}
	here := put(dump)
	cmp, err := xmodel.CompareDumps(here, here)
	if err != nil || cmp.First() != nil || len(cmp.Missing) > 0 || len(cmp.Layers) < 4 {
		t.Fatalf("a dump differs from itself: %+v %v", cmp, err)
	}
	// A board has the integers of some layers only.
	board := maps.Clone(dump)
	maps.DeleteFunc(board, func(name string, _ []byte) bool { return !strings.HasSuffix(name, "_fix.bin") })
	var ints []string
	for _, l := range cmp.Layers {
		if strings.HasSuffix(l.Name, "_fix") {
			ints = append(ints, l.Name)
		}
	}
	for _, name := range ints[1:] {
		data := append([]byte{}, board[name+".bin"]...)
		data[5] += 3
		board[name+".bin"] = data
	}
	second := ints[1]
	cmp, err = xmodel.CompareDumps(here, put(board))
	if err != nil {
		t.Fatal(err)
	}
	if l := cmp.First(); l == nil || l.Name != second || l.Differing != 1 || l.Largest != 3 || l.Got-l.Expected != 3 {
		t.Errorf("the first is %+v, not %s", l, second)
	}
	board[second+".bin"] = board[second+".bin"][1:]
	if _, err = xmodel.CompareDumps(here, put(board)); err == nil || !strings.Contains(err.Error(), second) {
		t.Errorf("a file that is too short: %v", err)
	}
	if _, err = xmodel.CompareDumps(here, t.TempDir()); err == nil || !strings.Contains(err.Error(), "has none of the") {
		t.Errorf("an empty folder: %v", err)
	}
	if _, err = xmodel.CompareDumps(put(map[string][]byte{xmodel.ShapeFile: []byte("[1, x]: a\n")}), here); err == nil || !strings.Contains(err.Error(), "shape.txt:1") {
		t.Errorf("a broken list: %v", err)
	}
}
