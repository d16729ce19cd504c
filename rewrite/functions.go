package rewrite

import (
	"fmt"
	"math"
	"slices"

	"narrow/graph"
)

const (
	// octave is how many steps of [EqualizeFunctions] double a channel.
	octave = 4
	// mostSteps is how many a channel takes at most.
	mostSteps = 8 * octave
)

// FunctionSteps returns by how many steps each channel of the values should be
// multiplied by [EqualizeFunctions], by value. peaks hold the largest magnitude of each
// channel (axis 1) over samples. A value is left out where it cannot be scaled,
// or need not be. Where a depthwise convolution alone reads it, all channels
// come to one range; else the range is shared out between value and weights by
// the square root, as SmoothQuant does (Xiao et al. 2022, arXiv:2211.10438).
func FunctionSteps(m *graph.Model, peaks map[string][]float32) (map[string][]int, error) {
	w, err := newWork(m.Clone())
	if err != nil {
		return nil, err
	}
	out := map[string][]int{}
	for value, peak := range peaks {
		convs := w.scaledReaders(value, len(peak))
		if len(convs) == 0 || len(peak) < 2 {
			continue
		}
		// reach is how much of its row's range a channel's weights take.
		reach := make([]float64, len(peak))
		for _, c := range convs {
			if c.Groups == c.In {
				continue // each channel has a row of its own
			}
			most := make([]float32, c.Out)
			for i, x := range c.w {
				most[c.OutOf(i)] = max(most[c.OutOf(i)], abs(x))
			}
			for i, x := range c.w {
				if m := most[c.OutOf(i)]; m > 0 {
					reach[c.InOf(i)] = max(reach[c.InOf(i)], float64(abs(x)/m))
				}
			}
		}
		dense := slices.ContainsFunc(convs, func(c convWeights) bool { return c.Groups != c.In })
		size := make([]float64, len(peak))
		for c, p := range peak {
			size[c] = float64(p)
			if dense {
				size[c] = math.Sqrt(float64(p) / max(reach[c], 1e-4))
			}
		}
		top := slices.Max(size)
		steps := make([]int, len(peak))
		for c, s := range size {
			if s > 0 && !math.IsInf(top/s, 0) {
				steps[c] = min(int(math.Floor(octave*math.Log2(top/s)+0.5)), mostSteps)
			}
		}
		if slices.Max(steps) > 0 {
			out[value] = steps
		}
	}
	return out, nil
}

// scaledReaders returns the convolutions that read a value of so many channels,
// nil where anything else does.
func (w *work) scaledReaders(value string, channels int) []convWeights {
	if w.ix.IsOutput(value) || w.inner(value) {
		return nil
	}
	var convs []convWeights
	for _, n := range w.ix.Consumers[value] {
		if !n.Is("Conv") || n.Input(0) != value || slices.Contains(n.Inputs[1:], value) {
			return nil
		}
		c, reason := w.convWeights(n)
		if reason != "" || c.In != channels || slices.ContainsFunc(c.w, func(x float32) bool { return !finite(x) }) {
			return nil
		}
		convs = append(convs, c)
	}
	return convs
}

// EqualizeFunctions multiplies channels behind functions that do not scale with
// their input (SiLU and the like), and divides the weights that read them, so that
// all channels use the range of one scale. A step is a factor of the fourth root
// of 2; steps are by value and channel, see [FunctionSteps].
func EqualizeFunctions(steps map[string][]int) Rule {
	return Rule{
		Name: "equalize-functions", Exact: true,
		Doc: "Multiplies channels behind a function such as SiLU to one range, and divides the weights of the convolutions that read them.",
		find: func(w *work, n *graph.Node) *site {
			if len(n.Outputs) != 1 || n.Rule == "equalize-functions" {
				return nil
			}
			value := n.Outputs[0]
			times := steps[value]
			convs := w.scaledReaders(value, len(times))
			if len(times) == 0 || len(convs) == 0 {
				return nil
			}
			return &site{apply: func() string {
				factor := make([]float32, len(times))
				for c, k := range times {
					factor[c] = float32(math.Exp2(float64(k) / octave))
				}
				for i, reader := range slices.Clone(w.ix.Consumers[value]) {
					c := convs[i]
					for at := range c.w {
						c.w[at] /= factor[c.InOf(at)]
					}
					w.setFloats(reader, 1, reader.Label()+".weight", c.Dims, c.w)
				}
				dims := slices.Repeat([]int64{1}, len(convs[0].Dims))
				dims[1] = int64(len(factor))
				scale := w.fresh(value + "_steps")
				w.setInitializer(graph.NewFloats(scale, dims, factor))
				raw := w.fresh(value + "_plain")
				n.Outputs[0] = raw
				w.ix.Producer[raw] = n
				w.insertAfter(n, &graph.Node{
					Name: w.fresh(n.Label() + "/steps"), OpType: "Mul", Inputs: []string{raw, scale}, Outputs: []string{value}, Metadata: n.Metadata,
				})
				return fmt.Sprintf("channels of %s are multiplied by up to %.3g", value, slices.Max(factor))
			}}
		},
	}
}
