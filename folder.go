package narrow

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"narrow/calibrate"
	"narrow/diag"
	"narrow/export"
	"narrow/internal/atomicfile"
	"narrow/strategy"
)

// Names of the files in a result folder.
const (
	QuantInfoFile = export.QuantInfoFile
	BiasCorrFile  = export.BiasCorrFile
	TiesFile      = export.TiesFile
)

// Save writes [Calibrated.Files] into dir, all or none of them. Another process
// that writes into dir is an error, and kept out meanwhile.
func (c *Calibrated) Save(dir string) error {
	files, err := c.Files()
	if err != nil {
		return err
	}
	f, err := atomicfile.Hold(dir)
	if err != nil {
		return err
	}
	var list []atomicfile.File
	for _, name := range slices.Sorted(maps.Keys(files)) {
		list = append(list, atomicfile.Bytes(name, files[name]))
	}
	return errors.Join(f.Write(list...), f.Release())
}

// Files returns what a result folder holds of the calibration, by file name:
// quant_info.json, bias_corr.json, ties.json (how often round modes differ from
// half_even) and the listing <Model>.py. They belong together.
func (c *Calibrated) Files() (map[string][]byte, error) { return export.Files(c.Result) }

// Load reads a calibration of m that [Calibrated.Save] wrote into dir. With s
// set, the calibration must be by that strategy.
func Load(dir string, m *Model, s *strategy.Strategy) (*Calibrated, diag.List, error) {
	file := filepath.Join(dir, QuantInfoFile)
	files, err := atomicfile.Read(dir, QuantInfoFile, BiasCorrFile, TiesFile)
	if err != nil {
		return nil, nil, fmt.Errorf("reading the calibration: %w", err)
	}
	if files[QuantInfoFile] == nil {
		return nil, nil, fmt.Errorf("there is no %s: run narrow calib first, or name its folder with -o", file)
	}
	q, err := export.ReadQuantInfo(file, files[QuantInfoFile])
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
	res, err := q.Restore(r.Plan, r.sourced(calibrate.Options{}).Source, dir, files)
	if err != nil {
		return nil, nil, err
	}
	return &Calibrated{Resolved: r, Result: res}, list, nil
}

// StrategyMismatchError says that a calibration was made by another strategy.
type StrategyMismatchError struct{ msg string }

// Error names both.
func (e *StrategyMismatchError) Error() string { return e.msg }
