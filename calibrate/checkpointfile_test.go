package calibrate

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestCheckpointFile: a checkpoint serves what it is of and nothing else.
func TestCheckpointFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "new", "c")
	of := func() *CheckpointFile {
		return &CheckpointFile{CheckpointOf: CheckpointOf{
			Version: "v1", Engine: "an engine 1.0", ModelPath: "m.onnx", ModelSHA256: "m", NetworkSHA256: "n", StrategySHA256: "s",
			SamplesSHA256: "samples", BatchSize: 16, Propagate: "progressive", Accuracy: "guide",
		}}
	}
	c := of()
	if err := c.Read(file); err != nil || c.State != nil {
		t.Fatalf("no file: %v", err)
	}
	c.Samples, c.State = 32, []byte("state\nof things")
	if err := c.Write(file); err != nil {
		t.Fatal(err)
	}
	again := of()
	again.ModelPath = "moved.onnx"
	if err := again.Read(file); err != nil || again.Samples != 32 || !bytes.Equal(again.State, c.State) {
		t.Fatalf("%+v, %v", again, err)
	}
	for want, change := range map[string]func(*CheckpointFile){
		"another version of narrow":                                   func(c *CheckpointFile) { c.Version = "v9" },
		"another engine (an engine 1.0, not an engine 2.0)":           func(c *CheckpointFile) { c.Engine = "an engine 2.0" },
		"another model":                                               func(c *CheckpointFile) { c.ModelSHA256 = "x" },
		"another strategy":                                            func(c *CheckpointFile) { c.StrategySHA256 = "x" },
		"another network":                                             func(c *CheckpointFile) { c.NetworkSHA256 = "x" },
		"other samples":                                               func(c *CheckpointFile) { c.SamplesSHA256 = "x" },
		"another batch size (16, not 8)":                              func(c *CheckpointFile) { c.BatchSize = 8 },
		"another propagation (progressive, not float)":                func(c *CheckpointFile) { c.Propagate = "float" },
		"another choice of skipping invalid values (false, not true)": func(c *CheckpointFile) { c.SkipInvalid = true },
		"another accuracy (guide, not high)":                          func(c *CheckpointFile) { c.Accuracy = "high" },
	} {
		other := of()
		change(other)
		err := other.Read(file)
		var mismatch *MismatchError
		if !errors.As(err, &mismatch) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), file) || other.State != nil {
			t.Errorf("%v, want %q", err, want)
		}
	}
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for want, data := range map[string][]byte{
		"is damaged":       data[:len(data)-1],
		"is no checkpoint": []byte(`{"format": "narrow.quant_info/1"}`),
	} {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := of().Read(file); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
