package search

import (
	"encoding/json"
	"strconv"
	"strings"

	"narrow/diag"
	"narrow/scheme"
	"narrow/strategy"
)

// object is a JSON object; the strategy language's formatter puts its keys in
// order.
type object map[string]any

// Strategy writes a candidate as a strategy file in canonical form and reads it
// back. The rung that most layers with weights are on becomes the network's
// setting, every other layer gets a rule by name.
func (s *Space) Strategy(layers []Layer, c Candidate) (*strategy.Strategy, error) {
	most := s.most(layers, c)
	file := s.file(c, most)
	var rules []object
	for i, l := range layers {
		if r := c.Rungs[i]; !s.same(l, r, most) {
			rules = append(rules, s.rule(c, r, l.Name, l.kinds()))
		}
	}
	st, list, err := withRules(file, rules)
	if mistakes := list.Err(); mistakes != nil {
		return nil, diag.Errorf("the search wrote a strategy with mistakes (%s): %w", s.words(layers, c), mistakes)
	}
	return st, err
}

// withRules returns the strategy of a file with rules, or, in list, the mistakes
// of both.
func withRules(file object, rules []object) (st *strategy.Strategy, list diag.List, err error) {
	if rules != nil {
		file["layer_quantize_config"] = rules
	}
	text, err := json.Marshal(file)
	if err != nil {
		return nil, nil, diag.Errorf("writing a strategy: %w", err)
	}
	loose, list := strategy.Parse("", text)
	if list.HasErrors() {
		return nil, list, nil
	}
	st, again := strategy.Parse("", loose.Format())
	return st, nil, again.Err()
}

// file returns a strategy without rules.
func (s *Space) file(c Candidate, most int) object {
	return object{
		"target_device":           s.Target.String(),
		"include_cle":             s.option(c, equalization) == "true",
		"include_bias_corr":       s.option(c, biasCorrection) == "true",
		"overall_quantize_config": s.overall(),
		"tensor_quantize_config":  s.tensors(c, most, scheme.Input, scheme.Weights, scheme.Bias, scheme.Activation),
	}
}

// kinds are those of a layer's tensors.
func (l Layer) kinds() []scheme.Kind {
	switch {
	case l.Input:
		return []scheme.Kind{scheme.Input}
	case l.Weighted:
		return []scheme.Kind{scheme.Weights, scheme.Bias, scheme.Activation}
	}
	return []scheme.Kind{scheme.Activation}
}

// rule returns a rule that puts layers of a name, or of several, on a rung.
func (s *Space) rule(c Candidate, rung int, name any, kinds []scheme.Kind) object {
	var words []string
	for _, k := range kinds {
		words = append(words, k.String())
	}
	return object{
		"layer_type": nil, "layer_name": name, "quantizable_data_type": words,
		"overall_quantize_config": object{}, "tensor_quantize_config": s.tensors(c, rung, kinds...),
	}
}

// overall returns what holds for every integer.
func (s *Space) overall() object {
	o := object{
		"datatype": "int", "bit_width": 8, "method": "maxmin", "round_mode": "half_even", "symmetry": true, "per_channel": false,
		"signed": true, "narrow_range": false, "scale_type": "float", "calib_statistic_method": "max",
	}
	if s.Target == scheme.DPU {
		o["method"], o["round_mode"], o["scale_type"], o["calib_statistic_method"] = "diffs", "std_round", "poweroftwo", "modal"
	}
	return o
}

// tensors returns the settings of some kinds of tensors on a rung.
func (s *Space) tensors(c Candidate, rung int, kinds ...scheme.Kind) object {
	out := object{}
	for _, k := range kinds {
		out[k.String()] = s.settings(c, s.Rungs[rung], k)
	}
	return out
}

// biasBits is what biases on CPU and GPU have at least. They cost no
// multiply-adds, and 8 bits are too few for them; exports store 32 anyway.
const biasBits = 32

// settings returns those of one kind of tensor in full: a rule must not inherit
// what the network's rung says.
func (s *Space) settings(c Candidate, r Rung, k scheme.Kind) object {
	format := r.Activations
	if k == scheme.Weights || k == scheme.Bias {
		format = r.Weights
	}
	if format.Datatype != scheme.Int {
		return object{"datatype": format.Datatype.String()}
	}
	o := object{"datatype": "int", "bit_width": format.Bits}
	if s.Target == scheme.DPU {
		switch k {
		case scheme.Weights:
			o["method"] = s.option(c, weightsMethod)
		case scheme.Activation:
			o["method"], o["round_mode"] = s.option(c, activationMethod), "half_up"
		}
		return o
	}
	switch k {
	case scheme.Weights:
		o["per_channel"] = s.option(c, weightsPerChannel) == "true"
	case scheme.Bias:
		o["bit_width"] = max(biasBits, format.Bits)
	default:
		o["symmetry"] = s.option(c, activationSymmetry) == "true"
		o["calib_statistic_method"] = s.option(c, activationStatistic)
		// With 16 bits a step is so small that clipping gains nothing.
		method, share, percentile := strings.Cut(s.option(c, activationMethod), " ")
		if format.Bits > 8 {
			method, percentile = "maxmin", false
		}
		o["method"] = method
		if percentile {
			o["percentage"], _ = strconv.ParseFloat(share, 64) // an option of ours
		}
	}
	return o
}
