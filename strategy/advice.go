package strategy

import (
	"narrow/diag"
	"narrow/scheme"
)

// Advice returns notes on what is allowed and costs accuracy for nothing.
func (s *Strategy) Advice() diag.List {
	if s.Target != scheme.CPU && s.Target != scheme.GPU {
		return nil
	}
	var out diag.List
	note := func(rule *Rule) {
		r := s.resolve(scheme.Bias, rule, false)
		set := r.Settings
		if !r.Quantize || set.Datatype != scheme.Int || set.BitWidth >= 32 || rule != nil && r.Rule == nil {
			return
		}
		f := diag.Finding{
			Severity: diag.Note, Code: "narrow-bias", Range: diag.Range{File: s.File},
			Message: diag.Textf("biases of %d bits cost accuracy and save nothing in the export, which stores 32 bits", set.BitWidth),
			Fix:     diag.Textf(`add "bias": {"bit_width": 32} to tensor_quantize_config`),
		}
		if p := r.src[KeyBitWidth]; p != nil {
			f.Range, f.Path = p.val, p.path
		}
		out = append(out, f)
	}
	note(nil)
	for _, rule := range s.Rules {
		if len(out) == 0 { // one note is enough
			note(rule)
		}
	}
	return out
}
