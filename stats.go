package narrow

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"narrow/calibrate"
	"narrow/graph/onnx"
)

// StatsInfo says what statistics that a calibration of r keeps are of: see
// [calibrate.SaveStats].
func (r *Resolved) StatsInfo(samplesSHA256 string) (calibrate.StatsInfo, error) {
	network, err := r.networkSHA256()
	if err != nil {
		return calibrate.StatsInfo{}, err
	}
	return calibrate.StatsInfo{
		Version: Version(), ModelPath: r.Model.Path, ModelSHA256: r.Model.SHA256, NetworkSHA256: network,
		Switches: r.switches(), SamplesSHA256: samplesSHA256,
	}, nil
}

// switches are the settings that change the network before calibration.
func (r *Resolved) switches() map[string]bool {
	s := r.Plan.Strategy
	return map[string]bool{
		"include_cle":            s.IncludeCLE,
		"convert_relu6_to_relu":  s.ConvertReLU6,
		"convert_silu_to_hswish": s.ConvertSiLU,
		"--accuracy high":        r.Accuracy == High,
	}
}

// networkSHA256 is the hash of the network after the rewrites.
func (r *Resolved) networkSHA256() (string, error) {
	data, tensors, err := onnx.EncodeDetached(r.Plan.Model, 1)
	if err != nil {
		return "", fmt.Errorf("model %s: %w", r.Model.Path, err)
	}
	h := sha256.New()
	part := func(b []byte) {
		h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(b))))
		h.Write(b)
	}
	part(data)
	for _, t := range tensors {
		part(t.Raw)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// ReadStats reads statistics that a calibration kept. The error names the file.
func ReadStats(file string) (*calibrate.Stats, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading the statistics: %w", err)
	}
	s, err := calibrate.ReadStats(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return s, nil
}

// StatsMismatchError says that statistics are not of what they are to serve.
type StatsMismatchError struct{ msg string }

// Error says of what they are, and the way out.
func (e *StatsMismatchError) Error() string { return e.msg }

// CalibrateStats is [Resolved.Calibrate] in float propagation from statistics
// in the place of samples: the same scales and biases, and the network does not
// run. The statistics must be of the same model under the same rewrites, and of
// the samples of that hash unless it is "": a [*StatsMismatchError] says how
// they differ.
func (r *Resolved) CalibrateStats(s *calibrate.Stats, samplesSHA256 string, opts calibrate.Options) (*Calibrated, error) {
	in := s.Info
	if in.ModelSHA256 != r.Model.SHA256 {
		return nil, &StatsMismatchError{fmt.Sprintf("the statistics are of another model: of %s, whose SHA-256 begins with %.12s, not of %s (%.12s): save them of this one",
			in.ModelPath, in.ModelSHA256, r.Model.Path, r.Model.SHA256)}
	}
	if samplesSHA256 != "" && samplesSHA256 != in.SamplesSHA256 {
		return nil, &StatsMismatchError{fmt.Sprintf("the statistics are of other samples: of %d whose hash begins with %.12s, not %.12s: name the samples that they were saved on with the same flags, or save them of these",
			in.Samples, in.SamplesSHA256, samplesSHA256)}
	}
	network, err := r.networkSHA256()
	if err != nil {
		return nil, err
	}
	if network != in.NetworkSHA256 {
		return nil, &StatsMismatchError{r.otherNetwork(in)}
	}
	opts.Source.SamplesSHA256 = in.SamplesSHA256
	c, err := calibrate.CalibrateStats(r.Plan, s, r.sourced(opts))
	if err != nil {
		return nil, fmt.Errorf("calibrating %s: %w", r.Model.Path, err)
	}
	return &Calibrated{Resolved: r, Result: c}, nil
}

// otherNetwork says by which switches the networks differ.
func (r *Resolved) otherNetwork(in calibrate.StatsInfo) string {
	var differ []string
	own := r.switches()
	for _, k := range slices.Sorted(maps.Keys(own)) {
		if was, ok := in.Switches[k]; ok && was != own[k] {
			differ = append(differ, fmt.Sprintf("%s is %v here and was %v there", k, own[k], was))
		}
	}
	if len(differ) == 0 {
		return fmt.Sprintf("the statistics are of the same model, but rewritten otherwise, by narrow %s: save them again", in.Version)
	}
	return fmt.Sprintf("the statistics are of another network, since the strategy rewrites the model otherwise: %s: save statistics with this strategy, or with one that has the same switches",
		strings.Join(differ, ", "))
}
