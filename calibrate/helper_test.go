package calibrate_test

import (
	"os"
	"path/filepath"
	"testing"

	"narrow"
	"narrow/engine"
	"narrow/internal/testnet"
)

// pictures are n pictures for the bundled network, 16 at a time.
func pictures(n int) engine.Batches { return testnet.Noise(n, 16, 1) }

// content is what a calibration saves, by file name.
func content(t *testing.T, c *narrow.Calibrated) map[string]string {
	t.Helper()
	dir := t.TempDir()
	if err := c.Save(dir); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]string{}
	for _, e := range entries {
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		m[e.Name()] = string(data)
	}
	return m
}
