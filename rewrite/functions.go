package rewrite

import (
	"slices"

	"narrow/diag"
	"narrow/graph"
)

const (
	// octave is how many steps of [EqualizeFunctions] double a channel.
	octave = 4
	// mostSteps is how many a channel takes at most.
	mostSteps = 12 * octave
)

// ChannelRange is what samples tell of a value, by channel (axis 1).
type ChannelRange struct {
	// Low and High are the smallest and the largest element; 0 lies between.
	Low, High []float64
	// Power is the mean square.
	Power []float64
	// Symmetric says that the value's scale reaches as far below 0 as above.
	Symmetric bool
}

// FunctionScales are what [EqualizeFunctions] multiplies channels by.
type FunctionScales struct {
	// Steps are by value and channel.
	Steps map[string][]int
	// Negated are the channels that change their sign besides, by value.
	Negated map[string][]int
}

// ChooseFunctionScales returns what each channel of the values should be multiplied
// by. A value is left out where it cannot be scaled, or nothing is gained.
//
// The scales make the estimated noise behind the convolutions that read the value
// least: that of the value's own rounding, whose step follows from the widest channel,
// and that of the rounding of weights, which take back what a channel is multiplied by.
// Where depthwise convolutions alone read it, weights cost nothing, and all channels
// fill the range. (SmoothQuant shares the range out by a square root: Xiao et al. 2022,
// arXiv:2211.10438.) A channel that lies below 0 for the most part is negated: SiLU puts
// out no less than -0.28, and a range that reaches as far below 0 as above has half the
// steps for the others.
func ChooseFunctionScales(m *graph.Model, ranges map[string]ChannelRange) (FunctionScales, error) {
	w, err := newWork(m.Clone())
	if err != nil {
		return FunctionScales{}, err
	}
	out := FunctionScales{Steps: map[string][]int{}, Negated: map[string][]int{}}
	for value, r := range ranges {
		convs := w.scaledReaders(value, len(r.Low))
		if len(convs) == 0 || len(r.Low) < 2 {
			continue
		}
		f := newFill(r, convs)
		if f.choose(); slices.Max(f.steps) == 0 && len(f.negated) == 0 {
			continue
		}
		out.Steps[value] = f.steps
		if len(f.negated) > 0 {
			out.Negated[value] = f.negated
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
// of 2; see [ChooseFunctionScales].
func EqualizeFunctions(scales FunctionScales) Rule {
	return Rule{
		Name: "equalize-functions", Exact: true,
		Doc: "Multiplies channels behind a function such as SiLU to one range, and divides the weights of the convolutions that read them.",
		find: func(w *work, n *graph.Node) *site {
			if len(n.Outputs) != 1 || n.Rule == "equalize-functions" {
				return nil
			}
			value := n.Outputs[0]
			times := scales.Steps[value]
			convs := w.scaledReaders(value, len(times))
			if len(times) == 0 || len(convs) == 0 || slices.ContainsFunc(scales.Negated[value], func(c int) bool { return c < 0 || c >= len(times) }) {
				return nil
			}
			return &site{apply: func() diag.Text {
				factor := make([]float32, len(times))
				for c, k := range times {
					factor[c] = float32(stepFactor(k))
				}
				for _, c := range scales.Negated[value] {
					factor[c] = -factor[c]
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
				return diag.Textf("channels of %s are multiplied by up to %.3g", value, stepFactor(slices.Max(times)))
			}}
		},
	}
}
