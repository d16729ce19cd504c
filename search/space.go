package search

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"narrow/diag"
	"narrow/scheme"
)

// Space is what can be chosen for a device: choices for the whole network, and
// for every layer one of the rungs of a ladder.
type Space struct {
	Target  scheme.Target
	Choices []Choice
	// Rungs go from narrow to wide; Base is the one of 8 bits.
	Rungs []Rung
	Base  int
	// Spares says to look first for layers that cost next to nothing in float, and
	// whose 8 bits ruin the outputs: for networks that are no classifiers.
	Spares bool
}

// Choice is a setting of the whole network and its options, the one to start
// with first.
type Choice struct {
	Name    string
	Options []string
}

// The choices, by the settings of the strategy language that they stand for.
const (
	weightsPerChannel   = "per_channel of weights"
	weightsMethod       = "method of weights"
	activationSymmetry  = "symmetry of activations"
	activationMethod    = "method of activations"
	activationStatistic = "calib_statistic_method"
	biasCorrection      = "include_bias_corr"
	equalization        = "include_cle"
)

// Rung is what a layer's tensors are stored as.
type Rung struct {
	Weights, Activations Format
}

// Format is a datatype; Bits counts for integers.
type Format struct {
	Datatype scheme.Datatype
	Bits     int
}

// String returns int8, bfloat16 and so on.
func (f Format) String() string {
	if f.Datatype == scheme.Int {
		return "int" + strconv.Itoa(f.Bits)
	}
	return f.Datatype.String()
}

// words say that a choice has an option.
func (c Choice) words(option int) diag.Text {
	if key, ok := strings.CutSuffix(c.Name, " of weights"); ok {
		return diag.Textf("%s of weights %s", key, c.Options[option])
	}
	if key, ok := strings.CutSuffix(c.Name, " of activations"); ok {
		return diag.Textf("%s of activations %s", key, c.Options[option])
	}
	return diag.Verbatim(c.Name + " " + c.Options[option])
}

// String returns int8, or int4 x int8 where weights and activations differ.
func (r Rung) String() string {
	if r.Weights == r.Activations {
		return r.Weights.String()
	}
	return r.Weights.String() + " x " + r.Activations.String()
}

// SpaceFor returns the space of a device.
//
// CPU and GPU take integers of 4, 8 and 16 bits with float scales (activations of
// 4 bits on the GPU only), and 16-bit floats (bfloat16 on the CPU, float16 on the
// GPU). The DPU computes in 8 bits
// with scales that are powers of two; what it cannot is left to bfloat16.
// float32 ends every ladder.
func SpaceFor(target scheme.Target) Space {
	integer := func(bits int) Format { return Format{scheme.Int, bits} }
	same := func(d scheme.Datatype) Rung { return Rung{Format{Datatype: d}, Format{Datatype: d}} }
	off, on := []string{"true", "false"}, []string{"false", "true"}
	if target == scheme.DPU {
		return Space{
			Target: target,
			Choices: []Choice{
				{activationMethod, []string{"diffs", "maxmin"}},
				{weightsMethod, []string{"diffs", "maxmin"}},
				{biasCorrection, off},
				{equalization, on},
			},
			Rungs: []Rung{{integer(8), integer(8)}, same(scheme.BFloat16), same(scheme.Float32)},
		}
	}
	rungs := []Rung{{integer(4), integer(8)}, {integer(8), integer(8)}, {integer(8), integer(16)}, {integer(16), integer(16)}}
	if target == scheme.CPU {
		rungs = append(rungs, same(scheme.BFloat16), same(scheme.Float32))
	} else {
		rungs = append([]Rung{{integer(4), integer(4)}}, append(rungs, same(scheme.Float16), same(scheme.Float32))...)
	}
	return Space{
		Target: target,
		Choices: []Choice{
			{weightsPerChannel, off},
			{activationSymmetry, on},
			{activationMethod, []string{"maxmin", "percentile 99.99", "percentile 99.9", "entropy", "mse"}},
			{activationStatistic, []string{"max", "mean", "median"}},
			{biasCorrection, off},
			{equalization, on},
		},
		Rungs: rungs,
		Base:  slices.Index(rungs, Rung{integer(8), integer(8)}),
	}
}

// half returns the rung of 16-bit floats.
func (s *Space) half() int { return len(s.Rungs) - 2 }

// Layer is a layer that a rule can name.
type Layer struct {
	Name string
	// Weighted says that it has weights, Input that it is an input of the
	// network.
	Weighted, Input bool
}

// rungs returns the rungs that make a difference for a layer, from narrow to
// wide: without weights, those that differ in the activations.
func (s *Space) rungs(l Layer) []int {
	var out []int
	for i := range s.Rungs {
		same := func(k int) bool { return s.same(l, i, k) }
		if i == s.Base || !same(s.Base) && !slices.ContainsFunc(out, same) {
			out = append(out, i)
		}
	}
	return out
}

// same reports whether two rungs are the same for a layer.
func (s *Space) same(l Layer, a, b int) bool {
	return s.Rungs[a] == s.Rungs[b] || !l.Weighted && s.Rungs[a].Activations == s.Rungs[b].Activations
}

// most returns the rung that most layers with weights are on; of several the
// base, else the narrowest.
func (s *Space) most(layers []Layer, c Candidate) int {
	count := make([]int, len(s.Rungs))
	for i, l := range layers {
		if l.Weighted {
			count[c.Rungs[i]]++
		}
	}
	most := s.Base
	for i, n := range count {
		if n > count[most] {
			most = i
		}
	}
	return most
}

// Candidate is a point of a space: the option of every choice, and the rung of
// every layer.
type Candidate struct {
	Options []int
	Rungs   []int
}

// candidate returns the first options with every layer on one rung.
func (s *Space) candidate(layers []Layer, rung int) Candidate {
	c := Candidate{make([]int, len(s.Choices)), make([]int, len(layers))}
	for i := range c.Rungs {
		c.Rungs[i] = rung
	}
	return c
}

// with returns the candidate with another option for one choice.
func (c Candidate) with(choice, option int) Candidate {
	c.Options = slices.Clone(c.Options)
	c.Options[choice] = option
	return c
}

// on returns the candidate with a layer on another rung.
func (c Candidate) on(layer, rung int) Candidate {
	c.Rungs = slices.Clone(c.Rungs)
	c.Rungs[layer] = rung
	return c
}

// key tells candidates of one space apart.
func (c Candidate) key() string {
	key := make([]byte, 0, len(c.Options)+len(c.Rungs))
	for _, i := range c.Options {
		key = append(key, byte(i))
	}
	for _, i := range c.Rungs {
		key = append(key, byte(i))
	}
	return string(key)
}

// option returns what c chooses, "" where the space has no such choice.
func (s *Space) option(c Candidate, name string) string {
	for i, ch := range s.Choices {
		if ch.Name == name {
			return ch.Options[c.Options[i]]
		}
	}
	return ""
}

// allowed reports whether the strategy language takes c's options together:
// entropy and mse are for symmetric tensors.
func (s *Space) allowed(c Candidate) bool {
	m := s.option(c, activationMethod)
	return s.option(c, activationSymmetry) != "false" || m != "entropy" && m != "mse"
}

// words says in a line what c is: how many layers are on which rung, and the
// options that are not a device's first ones.
func (s *Space) words(layers []Layer, c Candidate) diag.Text {
	count := make([]int, len(s.Rungs))
	most := s.most(layers, c)
	for i, l := range layers {
		r := c.Rungs[i]
		if s.same(l, r, most) {
			r = most
		}
		count[r]++
	}
	var parts []diag.Text
	for i, n := range count {
		switch {
		case n == len(layers):
			parts = append(parts, diag.Textf("%v throughout", s.Rungs[i]))
		case n > 0:
			parts = append(parts, diag.Verbatim(fmt.Sprintf("%d %v", n, s.Rungs[i])))
		}
	}
	for i, o := range c.Options {
		if o != 0 {
			parts = append(parts, s.Choices[i].words(o))
		}
	}
	return diag.Commas(parts)
}
