package strategy

import (
	"slices"
	"strings"
)

// maxSuggestions is how many spellings a finding offers.
const maxSuggestions = 3

// Nearest returns at most three of the candidates that s may be a misspelling
// of, the nearest first: by optimal string alignment distance (insertions,
// deletions, substitutions and swaps of neighbours count one each), case and
// the characters _-./ and blanks being free. Candidates that begin or end
// with s, or the other way round, and those that hold all words of s, count as
// near. Equally near ones stay in
// the order given.
func Nearest(s string, candidates []string) []string {
	type scored struct {
		name string
		d    int
	}
	var near []scored
	fs := []rune(fold(s))
	if len(fs) == 0 {
		return nil
	}
	limit := max(1, (len(fs)+2)/3)
	seen := map[string]bool{}
	for _, c := range candidates {
		if seen[c] {
			continue
		}
		seen[c] = true
		fc := []rune(fold(c))
		d := limit + 1
		if diff := len(fc) - len(fs); diff <= limit && -diff <= limit {
			d = distance(fs, fc, limit)
		}
		if d > limit && min(len(fs), len(fc)) >= 3 && (affix(string(fs), string(fc)) || wordsOf(s, c)) {
			d = limit // as far as a misspelling may be, and behind those
		}
		if d <= limit {
			d *= 2
			if c != s && strings.EqualFold(c, s) {
				d-- // another case only
			}
			near = append(near, scored{c, d})
		}
	}
	slices.SortStableFunc(near, func(a, b scored) int { return a.d - b.d })
	var names []string
	for _, n := range near[:min(len(near), maxSuggestions)] {
		if n.d <= 2*near[0].d+2 && (near[0].d > 1 || n.d <= 1) { // far behind a near one, it is noise
			names = append(names, n.name)
		}
	}
	return names
}

// wordsOf reports whether all words of s are words of c: overall_config of
// overall_quantize_config.
func wordsOf(s, c string) bool {
	words := strings.Split(c, "_")
	for _, w := range strings.Split(s, "_") {
		if !slices.Contains(words, w) {
			return false
		}
	}
	return true
}

func fold(s string) string {
	return strings.Map(func(c rune) rune {
		if strings.ContainsRune("_-./ ", c) {
			return -1
		}
		return c
	}, strings.ToLower(s))
}

func affix(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	return strings.HasPrefix(b, a) || strings.HasSuffix(b, a)
}

// distance is the optimal string alignment distance of a and b; more than
// limit comes out as limit+1.
func distance(a, b []rune, limit int) int {
	if len(a) > 256 || len(b) > 256 {
		return limit + 1
	}
	prev2, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := 1; i <= len(a); i++ {
		cur[0] = i
		best := i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d := min(prev[j]+1, cur[j-1]+1, prev[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d = min(d, prev2[j-2]+1)
			}
			cur[j] = d
			best = min(best, d)
		}
		if best > limit {
			return limit + 1
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return min(prev[len(b)], limit+1)
}

// synonyms maps what other tools call a value or key to our spelling, where
// the two are too far apart for [Nearest].
var synonyms = map[string]string{
	"minmax": "maxmin", "absmax": "maxmin", "max": "maxmin", "kl": "entropy", "kldivergence": "entropy", "kld": "entropy",
	"histogram": "entropy", "l2": "mse", "quantile": "percentile", "diff": "diffs",
	"pow2": "poweroftwo", "po2": "poweroftwo", "power2": "poweroftwo", "pot": "poweroftwo", "poweroftwo": "poweroftwo",
	"float32": "float", "fp32": "float32", "single": "float32", "fp16": "float16", "half": "float16", "bf16": "bfloat16", "float": "float32",
	"int8": "int", "int4": "int", "int16": "int", "uint8": "int", "integer": "int",
	"nearest": "half_even", "roundhalfeven": "half_even", "even": "half_even", "ties2even": "half_even", "halftoeven": "half_even",
	"halfawayfromzero": "std_round", "round": "std_round", "std": "std_round", "standard": "std_round", "ceil": "half_up", "floor": "half_down",
	"mode": "modal", "average": "mean", "avg": "mean", "maximum": "max",
	"weight": "weights", "param": "weights", "activations": "activation", "output": "activation", "outputs": "activation", "act": "activation",
	"inputs": "input", "biases": "bias", "parameters": "weights",
	"bits": "bit_width", "nbits": "bit_width", "bitnum": "bit_width", "type": "datatype", "dtype": "datatype", "symmetric": "symmetry",
	"perchannelquant": "per_channel", "granularity": "per_channel", "rounding": "round_mode", "roundmethod": "round_mode", "scale": "scale_type",
	"statistic": "calib_statistic_method", "percent": "percentage", "opset": "onnx_opset_version", "opsetversion": "onnx_opset_version",
	"device": "target_device", "target": "target_device", "cle": "include_cle", "biascorr": "include_bias_corr",
	"name": "layer_name", "layer": "layer_name", "layers": "layer_quantize_config",
	"overall": "overall_quantize_config", "tensor": "tensor_quantize_config",
	"cuda": "GPU", "x86": "CPU", "fpga": "DPU",
}

// suggest returns the likely right spellings of s among the candidates.
func suggest(s string, candidates []string) []string {
	var names []string
	if syn, ok := synonyms[fold(s)]; ok && slices.Contains(candidates, syn) {
		names = append(names, syn)
	}
	for _, n := range Nearest(s, candidates) {
		if !slices.Contains(names, n) && len(names) < maxSuggestions {
			names = append(names, n)
		}
	}
	return names
}
