package narrow

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"narrow/calibrate"
	"narrow/diag"
	"narrow/export"
	"narrow/internal/atomicfile"
	"narrow/strategy"
)

// Names of the files in a result folder.
const (
	QuantInfoFile = "quant_info.json"
	BiasCorrFile  = "bias_corr.json"
	TiesFile      = "ties.json"
)

// Save writes the calibration into dir: quant_info.json, bias_corr.json,
// ties.json (how often round modes differ from half_even) and the listing
// <Model>.py. All are written whole before any replaces what was there.
func (c *Calibrated) Save(dir string) error {
	in := c.exportInput()
	q := c.saved
	if q == nil {
		var err error
		if q, err = export.NewQuantInfo(in); err != nil {
			return fmt.Errorf("model %s: %w", c.Model.Path, err)
		}
	}
	info, err := q.Marshal()
	if err != nil {
		return fmt.Errorf("writing %s: %w", QuantInfoFile, err)
	}
	corr, err := c.Result.BiasCorrection()
	if err != nil {
		return err
	}
	bias, err := export.MarshalBiasCorr(corr)
	if err != nil {
		return fmt.Errorf("writing %s: %w", BiasCorrFile, err)
	}
	ties, err := c.marshalTies()
	if err != nil {
		return err
	}
	name, listing := export.Listing(in)
	return atomicfile.Write(dir,
		atomicfile.Bytes(name, listing),
		atomicfile.Bytes(BiasCorrFile, bias),
		atomicfile.Bytes(TiesFile, ties),
		atomicfile.Bytes(QuantInfoFile, info),
	)
}

// Load reads a calibration of m that [Calibrated.Save] wrote into dir. With s
// set, the calibration must be by that strategy.
func Load(dir string, m *Model, s *strategy.Strategy) (*Calibrated, diag.List, error) {
	file := filepath.Join(dir, QuantInfoFile)
	data, err := os.ReadFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil, fmt.Errorf("there is no %s: run narrow calib first, or name its folder with -o", file)
	case err != nil:
		return nil, nil, fmt.Errorf("reading the calibration: %w", err)
	}
	q, err := export.ReadQuantInfo(file, data)
	if err != nil {
		return nil, nil, err
	}
	if q.Model.SHA256 != m.SHA256 {
		return nil, nil, fmt.Errorf("%s is a calibration of another model: of %s, whose SHA-256 begins with %.12s, not of %s (%.12s): calibrate this one, or name its folder with -o",
			file, q.Model.Path, q.Model.SHA256, m.Path, m.SHA256)
	}
	if s != nil && s.SHA256() != q.StrategySHA256 {
		name := s.File
		if name == "" {
			name = "the default strategy"
		}
		return nil, nil, &StrategyMismatchError{fmt.Sprintf("%s was calibrated by another strategy than %s: leave --config-file out, or calibrate again", file, name)}
	}
	saved, list, err := q.ReadStrategy(file)
	if err != nil {
		return nil, list, err
	}
	accuracy, err := ParseAccuracy(q.Accuracy)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	r, list, err := m.ResolveFor(saved, accuracy)
	if err != nil {
		return nil, list, err
	}
	if err := list.Err(); err != nil {
		return nil, list, err
	}
	encodings, err := q.Apply(r.Plan)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	weights, err := q.RefinedWeights(r.Plan)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	corr, err := readBiasCorrection(filepath.Join(dir, BiasCorrFile))
	if err != nil {
		return nil, nil, err
	}
	ties, err := readTies(filepath.Join(dir, TiesFile), r.Plan)
	if err != nil {
		return nil, nil, err
	}
	how, err := calibrate.ParsePropagation(q.Propagate)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	res, err := calibrate.Restore(r.Plan, calibrate.Restored{
		Encodings: encodings, BiasCorrection: corr, Weights: weights, Ties: ties, Samples: q.Samples.Count, Batches: q.Samples.Batches, Propagate: how,
	})
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", file, err)
	}
	return &Calibrated{Resolved: r, Result: res, SamplesSHA256: q.Samples.SHA256, saved: q}, list, nil
}

// StrategyMismatchError says that a calibration was made by another strategy.
type StrategyMismatchError struct{ msg string }

// Error names both.
func (e *StrategyMismatchError) Error() string { return e.msg }

func readBiasCorrection(file string) (map[string][]float32, error) {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%s is missing beside %s: calibrate again", file, QuantInfoFile)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the bias correction: %w", err)
	}
	return export.ReadBiasCorr(file, data)
}
