package calibrate

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"narrow/diag"
	"narrow/internal/atomicfile"
)

// CheckpointOf says what calibration a checkpoint is of. Two that agree in all
// but ModelPath resume one another.
type CheckpointOf struct {
	// Version is narrow's, Engine the name and version of what runs networks.
	Version string `json:"version"`
	Engine  string `json:"engine"`
	// ModelPath is the model's file as it was given, ModelSHA256 the hash of its
	// bytes, NetworkSHA256 that of the network after the strategy's rewrites.
	ModelPath      string `json:"model_path"`
	ModelSHA256    string `json:"model_sha256"`
	NetworkSHA256  string `json:"network_sha256"`
	StrategySHA256 string `json:"strategy_sha256"`
	SamplesSHA256  string `json:"samples_sha256"`
	BatchSize      int    `json:"batch_size"`
	Propagate      string `json:"propagate"`
	SkipInvalid    bool   `json:"skip_invalid"`
	Accuracy       string `json:"accuracy"`
	// RefineSamples is over how many samples high accuracy chooses, 0 for its own number.
	RefineSamples int `json:"refine_samples,omitempty"`
	// KeepIntegers tells that functions stay apart from the layers before them.
	KeepIntegers bool `json:"keep_integers,omitempty"`
}

// CheckpointFile is a checkpoint as a file holds it: a line of JSON, then the
// state, then the SHA-256 of all that.
type CheckpointFile struct {
	CheckpointOf
	// Samples is how many are done.
	Samples int
	// State is for [Checkpoint]; nil where there is none yet.
	State []byte
}

// checkpointHead is the first line of the file.
type checkpointHead struct {
	Format string `json:"format"`
	CheckpointOf
	Samples int `json:"samples"`
}

// Write writes the checkpoint to a file, whole or not at all.
func (c *CheckpointFile) Write(file string) error {
	head, err := json.Marshal(checkpointHead{checkpointFormat, c.CheckpointOf, c.Samples})
	if err != nil {
		return diag.Errorf("writing the checkpoint %s: %w", file, err)
	}
	data := append(append(head, '\n'), c.State...)
	sum := sha256.Sum256(data)
	data = append(data, sum[:]...)
	if err := atomicfile.Write(filepath.Dir(file), atomicfile.Bytes(filepath.Base(file), data)); err != nil {
		return diag.Errorf("keeping a checkpoint: %w", err)
	}
	return nil
}

// Read takes Samples and State from a file that a calibration kept; a file that
// does not exist leaves c as it is. A [*MismatchError] says in what the other
// calibration differs from c.
func (c *CheckpointFile) Read(file string) error {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return diag.Errorf("reading the checkpoint: %w", err)
	}
	head, state, _ := bytes.Cut(data, []byte("\n"))
	var was checkpointHead
	if err := json.Unmarshal(head, &was); err != nil || was.Format != checkpointFormat {
		return diag.Errorf("%s is no checkpoint of a calibration: name another file, or remove it", file)
	}
	end := len(data) - sha256.Size
	if sum := sha256.Sum256(data[:max(end, 0)]); len(state) < sha256.Size || !bytes.Equal(data[end:], sum[:]) || was.Samples < 1 {
		return diag.Errorf("the checkpoint %s is damaged: remove it to start anew", file)
	}
	if of, what, differs := mismatch([]pairing{
		{"calibration", diag.Textf("another version of narrow"), c.Version, was.Version},
		{"calibration", diag.Textf("another engine"), c.Engine, was.Engine},
		{"model", diag.Textf("another model"), c.ModelSHA256, was.ModelSHA256},
		{"strategy", diag.Textf("another strategy"), c.StrategySHA256, was.StrategySHA256},
		{"calibration", diag.Textf("another accuracy"), c.Accuracy, was.Accuracy},
		{"network", diag.Textf("another network: the model's external data, or its rewriting, has changed"), c.NetworkSHA256, was.NetworkSHA256},
		{"samples", diag.Textf("other samples, or another preprocessing"), c.SamplesSHA256, was.SamplesSHA256},
		{"calibration", diag.Textf("another batch size"), c.BatchSize, was.BatchSize},
		{"calibration", diag.Textf("another propagation"), c.Propagate, was.Propagate},
		{"calibration", diag.Textf("another choice of skipping invalid values"), c.SkipInvalid, was.SkipInvalid},
		{"calibration", diag.Textf("another number of samples to choose over"), c.RefineSamples, was.RefineSamples},
		{"calibration", diag.Textf("another choice of keeping integers"), c.KeepIntegers, was.KeepIntegers},
	}); differs {
		return &MismatchError{Of: of, Message: diag.Textf("the checkpoint %s is of a calibration with %s: repeat what it was made with, or remove it to start anew", file, what)}
	}
	c.Samples, c.State = was.Samples, state[:len(state)-sha256.Size]
	return nil
}
