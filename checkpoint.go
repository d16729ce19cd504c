package narrow

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"narrow/calibrate"
	"narrow/internal/atomicfile"
)

// checkpointFormat is the format of the file that [Checkpoint.Write] writes: a
// line with the Checkpoint as JSON, then the state.
const checkpointFormat = "narrow.checkpoint/1"

// Checkpoint is what a calibration kept to go on from, and what it is of. Two
// calibrations that agree in all but Samples and State go on from one another.
type Checkpoint struct {
	Format string `json:"format"`
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
	// Samples is how many are done, StateSHA256 the hash of State.
	Samples     int    `json:"samples"`
	StateSHA256 string `json:"state_sha256"`
	// State is for [calibrate.Checkpoint].
	State []byte `json:"-"`
}

// Checkpoint says what a calibration of r keeps a checkpoint of; the caller
// fills in Engine.
func (r *Resolved) Checkpoint(samplesSHA256 string, batchSize int, opts calibrate.Options) (*Checkpoint, error) {
	network, err := r.networkSHA256()
	if err != nil {
		return nil, err
	}
	return &Checkpoint{
		Format: checkpointFormat, Version: Version(), ModelPath: r.Model.Path, ModelSHA256: r.Model.SHA256, NetworkSHA256: network,
		StrategySHA256: r.Plan.Strategy.SHA256(), SamplesSHA256: samplesSHA256, BatchSize: batchSize,
		Propagate: opts.Propagate.String(), SkipInvalid: opts.SkipInvalid, Accuracy: r.Accuracy.String(),
	}, nil
}

// Write writes the checkpoint to a file, whole or not at all.
func (c *Checkpoint) Write(file string) error {
	sum := sha256.Sum256(c.State)
	c.StateSHA256 = hex.EncodeToString(sum[:])
	head, err := json.Marshal(c)
	if err != nil {
		return fmt.Errorf("writing the checkpoint %s: %w", file, err)
	}
	data := append(append(head, '\n'), c.State...)
	if err := atomicfile.Write(filepath.Dir(file), atomicfile.Bytes(filepath.Base(file), data)); err != nil {
		return fmt.Errorf("keeping a checkpoint: %w", err)
	}
	return nil
}

// CheckpointMismatchError says that a checkpoint is of another calibration.
type CheckpointMismatchError struct{ msg string }

// Error says what differs, and the way out.
func (e *CheckpointMismatchError) Error() string { return e.msg }

// Read takes Samples and State from a file that a calibration kept; a file that
// does not exist leaves c as it is. A [*CheckpointMismatchError] says in what
// the other calibration differs from c.
func (c *Checkpoint) Read(file string) error {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the checkpoint: %w", err)
	}
	head, rest, _ := bytes.Cut(data, []byte("\n"))
	var was Checkpoint
	if err := json.Unmarshal(head, &was); err != nil || was.Format != checkpointFormat {
		return fmt.Errorf("%s is no checkpoint of a calibration: name another file, or remove it", file)
	}
	sum := sha256.Sum256(rest)
	if hex.EncodeToString(sum[:]) != was.StateSHA256 || was.Samples < 1 {
		return fmt.Errorf("the checkpoint %s is damaged: remove it to begin anew", file)
	}
	for _, d := range []struct {
		what     string
		own, his any
	}{
		{"another version of narrow", c.Version, was.Version},
		{"another engine", c.Engine, was.Engine},
		{"another model", c.ModelSHA256, was.ModelSHA256},
		{"another strategy", c.StrategySHA256, was.StrategySHA256},
		{"another --accuracy", c.Accuracy, was.Accuracy},
		{"another network: the model's external data, or its rewriting, has changed", c.NetworkSHA256, was.NetworkSHA256},
		{"other samples, or another preprocessing", c.SamplesSHA256, was.SamplesSHA256},
		{"another batch size", c.BatchSize, was.BatchSize},
		{"another --propagate", c.Propagate, was.Propagate},
		{"another --skip-invalid", c.SkipInvalid, was.SkipInvalid},
	} {
		if d.own != d.his {
			of := ""
			if len(fmt.Sprint(d.own)) < 40 {
				of = fmt.Sprintf(" (%v, not %v)", d.his, d.own)
			}
			return &CheckpointMismatchError{fmt.Sprintf("the checkpoint %s is of a calibration with %s%s: repeat what it was made with, or remove it to begin anew", file, d.what, of)}
		}
	}
	c.Samples, c.State = was.Samples, rest
	return nil
}
