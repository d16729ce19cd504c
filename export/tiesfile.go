package export

import (
	"bytes"
	"encoding/json"

	"narrow/calibrate"
	"narrow/diag"
	"narrow/plan"
	"narrow/scheme"
)

// tiesFormat is the format of ties.json.
const tiesFormat = "narrow.ties/1"

// tiesInfo is ties.json: where the round modes of activations differ from
// half_even, the one that QuantizeLinear has.
type tiesInfo struct {
	Format  string       `json:"format"`
	Tensors []tensorTies `json:"tensors"`
}

// tensorTies is one audited tensor.
type tensorTies struct {
	Name  string      `json:"name"`
	Kind  scheme.Kind `json:"kind"`
	Layer string      `json:"layer"`
	// Elements are those of the calibration samples, Differing those that
	// half_even quantizes to another integer.
	Elements  int64 `json:"elements"`
	Differing int64 `json:"differing"`
}

func marshalTies(c *calibrate.Calibrated) ([]byte, error) {
	info := tiesInfo{Format: tiesFormat, Tensors: []tensorTies{}}
	for _, t := range c.Plan.Tensors {
		if n, ok := c.Ties[t]; ok {
			info.Tensors = append(info.Tensors, tensorTies{t.Name, t.Kind, t.Layer.Name, n.Elements, n.Differing})
		}
	}
	data, err := json.MarshalIndent(info, "", "  ")
	if err != nil {
		return nil, diag.Errorf("writing %s: %w", TiesFile, err)
	}
	return append(data, '\n'), nil
}

// readTies reads what marshalTies wrote for the tensors of p. A folder without
// the file, from before there was one, is one without counts (nil data).
func readTies(file string, data []byte, p *plan.Plan) (map[*plan.Tensor]calibrate.Ties, error) {
	if data == nil {
		return nil, nil
	}
	var info tiesInfo
	dec := json.NewDecoder(bytes.NewReader(data))
	if err := dec.Decode(&info); err != nil {
		return nil, diag.Errorf("%s holds no counts of ties: %w: calibrate again", file, err)
	}
	if info.Format != tiesFormat {
		return nil, diag.Errorf("%s has the format %q; this version reads %q: calibrate again", file, info.Format, tiesFormat)
	}
	type key struct {
		name, layer string
		kind        scheme.Kind
	}
	left := map[key][]calibrate.Ties{}
	for _, t := range info.Tensors {
		if t.Differing < 0 || t.Elements < t.Differing {
			return nil, diag.Errorf("%s: tensor %q: %d of %d elements cannot be: calibrate again", file, t.Name, t.Differing, t.Elements)
		}
		k := key{t.Name, t.Layer, t.Kind}
		left[k] = append(left[k], calibrate.Ties{Elements: t.Elements, Differing: t.Differing})
	}
	ties := map[*plan.Tensor]calibrate.Ties{}
	for _, t := range p.Tensors {
		k := key{t.Name, t.Layer.Name, t.Kind}
		if len(left[k]) > 0 {
			ties[t], left[k] = left[k][0], left[k][1:]
		}
	}
	if len(ties) != len(info.Tensors) {
		return nil, diag.Errorf("%s counts tensors that are not quantized in this model under this strategy: calibrate again", file)
	}
	return ties, nil
}
