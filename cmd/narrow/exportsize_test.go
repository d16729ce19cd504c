package main

import (
	"os"
	"path/filepath"
	"testing"
)

// TestSizeWithData: a model over 2 GB is a small file and a large one beside it.
func TestSizeWithData(t *testing.T) {
	dir := t.TempDir()
	for name, size := range map[string]int{"net.qdq.onnx": 10, "net.qdq.onnx.0123456789abcdef.data": 200, "other.qdq.onnx": 3000, "net.py": 40000} {
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := sizeWithData(filepath.Join(dir, "net.qdq.onnx")); err != nil || got != 210 {
		t.Errorf("%d bytes, %v; want 210", got, err)
	}
}
