package export

import (
	"path/filepath"

	"narrow/calibrate"
	"narrow/diag"
	"narrow/plan"
	"narrow/scheme"
)

// Names of the files of a result folder.
const (
	QuantInfoFile = "quant_info.json"
	BiasCorrFile  = "bias_corr.json"
	TiesFile      = "ties.json"
)

// Files returns what a result folder holds of a calibration, by file name:
// quant_info.json, bias_corr.json, ties.json (how often round modes differ from
// half_even) and the listing <Model>.py. They belong together.
func Files(c *calibrate.Calibrated) (map[string][]byte, error) {
	q, err := NewQuantInfo(c)
	if err != nil {
		return nil, diag.Errorf("model %s: %w", c.ModelPath, err)
	}
	info, err := q.Marshal()
	if err != nil {
		return nil, diag.Errorf("writing %s: %w", QuantInfoFile, err)
	}
	corr, err := c.BiasCorrection()
	if err != nil {
		return nil, err
	}
	bias, err := MarshalBiasCorr(corr)
	if err != nil {
		return nil, diag.Errorf("writing %s: %w", BiasCorrFile, err)
	}
	ties, err := marshalTies(c)
	if err != nil {
		return nil, err
	}
	name, listing := Listing(c)
	return map[string][]byte{name: listing, BiasCorrFile: bias, TiesFile: ties, QuantInfoFile: info}, nil
}

// Restore returns the calibration of p that the files of the folder dir hold,
// beside q, which is read from there. p must be planned from the same model by
// the same strategy. The samples' hash is q's, the rest of its source is as
// given. The error names the file and the layer or tensor that does not fit.
func (q *QuantInfo) Restore(p *plan.Plan, src calibrate.Source, dir string, files map[string][]byte) (*calibrate.Calibrated, error) {
	file := filepath.Join(dir, QuantInfoFile)
	biasFile := filepath.Join(dir, BiasCorrFile)
	if files[BiasCorrFile] == nil {
		return nil, diag.Errorf("%s is missing beside %s: calibrate again", biasFile, QuantInfoFile)
	}
	corr, err := ReadBiasCorr(biasFile, files[BiasCorrFile])
	if err != nil {
		return nil, err
	}
	ties, err := readTies(filepath.Join(dir, TiesFile), files[TiesFile], p)
	if err != nil {
		return nil, err
	}
	src.SamplesSHA256 = q.Samples.SHA256
	c := &calibrate.Calibrated{Source: src, Plan: p, Ties: ties, Samples: q.Samples.Count, Batches: q.Samples.Batches, Equalization: q.Equalization, Aligned: map[*plan.Tensor]string{}}
	if q.Asked == scheme.High.String() {
		c.Findings = append(c.Findings, diag.Finding{
			Severity: diag.Note, Code: calibrate.GuideKept,
			Message: diag.Textf("the result is that of --accuracy guide: high was asked for, and nothing was clearly nearer to the float network on the samples"),
		})
	}
	if err := q.restore(c, corr); err != nil {
		return nil, diag.Errorf("%s: %w", file, err)
	}
	return c, nil
}

// restore fills in what q and the bias correction say.
func (q *QuantInfo) restore(c *calibrate.Calibrated, corr map[string][]float32) (err error) {
	if c.Propagate, err = calibrate.ParsePropagation(q.Propagate); err != nil {
		return err
	}
	infos, err := q.match(c.Plan)
	if err != nil {
		return err
	}
	c.Encodings, c.Weights = map[*plan.Tensor]scheme.Encoding{}, map[*plan.Tensor]*calibrate.Integers{}
	c.Reasons = map[*plan.Tensor][]string{}
	for _, t := range c.Plan.Tensors {
		ti := infos[t]
		c.Reasons[t] = ti.Reason
		c.Encodings[t] = scheme.Encoding{Axis: -1, Batches: c.Batches}
		if ti.Datatype == scheme.Int {
			c.Encodings[t] = ti.encoding()
		}
		if ti.Integers != nil {
			if c.Weights[t], err = ti.integers(t); err != nil {
				return diag.Errorf("%s: %w", describe(t), err)
			}
		}
	}
	c.Bias, err = correctedBiases(c.Plan, corr)
	return err
}

// correctedBiases returns the biases after bias correction, which is told by
// layer name.
func correctedBiases(p *plan.Plan, corr map[string][]float32) (map[*plan.Tensor][]float32, error) {
	biases := map[*plan.Tensor][]float32{}
	unknown := make(map[string]bool, len(corr))
	for name := range corr {
		unknown[name] = true
	}
	for _, t := range p.Tensors {
		by, ok := corr[t.Layer.Name]
		if !ok || t.Kind != scheme.Bias {
			continue
		}
		delete(unknown, t.Layer.Name)
		bias, err := t.Constant.Floats()
		if err != nil {
			return nil, err
		}
		if len(by) != len(bias) {
			return nil, diag.Errorf("layer %s: the bias correction has %d values, the bias %d", t.Layer.Name, len(by), len(bias))
		}
		for i := range bias {
			bias[i] -= by[i]
		}
		biases[t] = bias
	}
	for name := range unknown {
		return nil, diag.Errorf("the bias correction of layer %q is of no layer of this model", name)
	}
	return biases, nil
}
