package footprint

import "narrow/graph"

// smallWork is up to how many multiplications a sample a network takes one thread.
const smallWork = 1 << 32

// Threads returns how many of so many threads are to share a run of m, a network whose
// taps are looked at for a while each: one where it is small. There several only wait
// for one another. What counts is a bound of its multiplications: all weights at every
// place of the input.
func Threads(m *graph.Model, threads int) int {
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
	if weights*places < smallWork {
		return 1
	}
	return threads
}

// openSize is what a dimension counts that the network leaves open.
const openSize = 512
