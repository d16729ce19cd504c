package calibrate

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCheckpointFile: a checkpoint comes back as it was, and one of which any
// byte has changed does not.
func TestCheckpointFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keep")
	c := CheckpointFile{CheckpointOf: CheckpointOf{Version: "v1", ModelPath: "net.onnx", BatchSize: 4}, Samples: 12, State: []byte("the\nstate")}
	if err := c.Write(file); err != nil {
		t.Fatal(err)
	}
	back := CheckpointFile{CheckpointOf: c.CheckpointOf}
	if err := back.Read(file); err != nil || back.Samples != 12 || !bytes.Equal(back.State, c.State) {
		t.Fatalf("%+v, %v", back, err)
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		for _, bit := range []byte{1, 0x20} {
			changed := bytes.Clone(whole)
			changed[i] ^= bit
			if err := os.WriteFile(file, changed, 0o600); err != nil {
				t.Fatal(err)
			}
			other := CheckpointFile{CheckpointOf: c.CheckpointOf}
			if err := other.Read(file); err == nil || other.State != nil {
				t.Errorf("byte %d changed to %q, and it is read: %v", i, changed[i], err)
			}
		}
	}
	for n := range len(whole) {
		if err := os.WriteFile(file, whole[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		other := CheckpointFile{CheckpointOf: c.CheckpointOf}
		if err := other.Read(file); err == nil {
			t.Errorf("cut to %d bytes, it is read", n)
		} else if !strings.Contains(err.Error(), file) {
			t.Error(err)
		}
	}
}
