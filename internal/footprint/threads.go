package footprint

import "narrow/graph"

// smallWork is up to how many multiplications a sample a network is small.
const smallWork = 1 << 32

// Threads returns how many of so many threads are to share a run of m, a network whose
// taps are looked at for a while each: one where it is small. There several only wait
// for one another.
func Threads(m *graph.Model, threads int) int {
	if small(m) {
		return 1
	}
	return threads
}

// Unoptimized reports whether m, which some hundreds of samples run through, is better
// run as it is: it is small, and what an engine gains by other layouts it gains at
// convolutions, of which m has one at most.
func Unoptimized(m *graph.Model) bool {
	convolutions := 0
	for _, n := range m.Graph.Nodes {
		if n.Is("Conv", "ConvTranspose") {
			convolutions++
		}
	}
	return convolutions <= 1 && small(m)
}

// small goes by a bound of the multiplications: all weights at every place of the input.
func small(m *graph.Model) bool {
	weights, places := 0.0, 0.0
	for _, t := range m.Graph.Initializers {
		weights += float64(t.Len())
	}
	ix := graph.NewIndex(m.Graph)
	for _, v := range m.Graph.Inputs {
		if !ix.IsInput(v.Name) {
			continue
		}
		n := 1.0
		for i, d := range v.Shape {
			switch {
			case i == 0: // the samples
			case d.Size < 0:
				n *= openSize
			default:
				n *= float64(d.Size)
			}
		}
		places += n
	}
	return weights*places < smallWork
}

// openSize is what a dimension counts that the network leaves open.
const openSize = 512
