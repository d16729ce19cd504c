// Package broken makes models that are broken in one known way each, so that
// tests can see what narrow says of them.
//
// Small networks that are right come in, from this package; out come [Cases]:
// the files of a model, what was done to it, and the names that a message
// about it must hold. [Mutate] changes a network as a string of bytes tells,
// for fuzzing.
//
// Rule of the house: cases are generated, one for each way of breaking and
// each place where it can be done, in a fixed order; a change that leaves a
// network legal is marked so, and must be accepted.
package broken

import (
	"fmt"
	"slices"
	"strings"

	"narrow/graph"
	"narrow/graph/onnx"
)

// ModelFile is the name of the model among [Case.Files].
const ModelFile = "net.onnx"

// Case is a model that is broken, or one that looks so and is not.
type Case struct {
	// Base names the network that was spoiled, Kind how, At where: a node, a
	// tensor, a byte.
	Base, Kind, At string
	// Files are the model and what belongs beside it, by name.
	Files map[string][]byte
	// Links are symbolic links beside the model, from name to target.
	Links map[string]string
	// Names are what a message about the model must name: one of them at
	// least. Where there are none the file's name is enough.
	Names []string
	// Legal says that nothing is wrong: narrow must accept the model.
	Legal bool
}

// Name tells cases apart.
func (c Case) Name() string {
	name := c.Base + "/" + c.Kind
	if c.At != "" {
		name += "/" + c.At
	}
	return name
}

// Cases returns the cases that are made of the given networks, the same ones
// in the same order each time. The error tells of a network that cannot be
// encoded.
func Cases(bases []Base) ([]Case, error) {
	var out []Case
	for _, b := range bases {
		var cases []Case
		var err error
		if b.External {
			cases, err = externalCases(b)
		} else {
			cases, err = inlineCases(b)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", b.Name, err)
		}
		out = append(out, cases...)
	}
	return out, nil
}

func inlineCases(b Base) ([]Case, error) {
	var out []Case
	for _, mu := range mutations() {
		for _, s := range mu.sites(b.Net) {
			m := b.Net.Clone()
			s.spoil(m)
			data, err := onnx.Encode(m)
			if err != nil {
				return nil, fmt.Errorf("%s/%s: %w", mu.kind, s.at, err)
			}
			out = append(out, Case{
				Base: b.Name, Kind: mu.kind, At: s.at, Names: s.names, Legal: mu.legal,
				Files: map[string][]byte{ModelFile: data},
			})
		}
	}
	whole, err := onnx.Encode(b.Net)
	if err != nil {
		return nil, err
	}
	return append(out, fileCases(b.Name, whole)...), nil
}

// mutation is one way of breaking a network.
type mutation struct {
	kind  string
	legal bool
	// sites finds the places in a network where this can be done.
	sites func(m *graph.Model) []site
}

// site is a place. spoil changes a clone of the network that it was found in.
type site struct {
	at    string
	names []string
	spoil func(m *graph.Model)
}

// nodes makes a site of the first node of each operator type that fits: what
// is checked for one is checked for all.
func nodes(fits func(n *graph.Node) bool, spoil func(m *graph.Model, n *graph.Node)) func(*graph.Model) []site {
	return func(m *graph.Model) []site {
		var out []site
		seen := map[string]bool{}
		for i, n := range m.Graph.Nodes {
			if seen[n.OpType] || !fits(n) {
				continue
			}
			seen[n.OpType] = true
			out = append(out, site{
				at: plain(n.Name), names: append([]string{n.Name}, n.Outputs...),
				spoil: func(m *graph.Model) { spoil(m, m.Graph.Nodes[i]) },
			})
		}
		return out
	}
}

// ops is nodes for operators of the given types.
func ops(spoil func(n *graph.Node), types ...string) func(*graph.Model) []site {
	return nodes(func(n *graph.Node) bool { return n.Is(types...) }, func(_ *graph.Model, n *graph.Node) { spoil(n) })
}

// tensors makes a site of each initializer that fits, one for each operator and
// input that reads it. spoil returns what takes its place.
func tensors(fits func(m *graph.Model, t *graph.Tensor) bool, spoil func(t *graph.Tensor) *graph.Tensor) func(*graph.Model) []site {
	return func(m *graph.Model) []site {
		var out []site
		seen := map[string]bool{}
		for i, t := range m.Graph.Initializers {
			if fits(m, t) && !seen[use(m, t.Name)] {
				seen[use(m, t.Name)] = true
				out = append(out, site{
					at: plain(t.Name), names: append(readers(m, t.Name), t.Name),
					spoil: func(m *graph.Model) { m.Graph.Initializers[i] = spoil(m.Graph.Initializers[i]) },
				})
			}
		}
		return out
	}
}

// named adds what else a message may name to sites.
func named(what []string, find func(*graph.Model) []site) func(*graph.Model) []site {
	return func(m *graph.Model) []site {
		out := find(m)
		for i := range out {
			out[i].names = append(out[i].names, what...)
		}
		return out
	}
}

// once makes one site of the whole network.
func once(spoil func(m *graph.Model), names ...string) func(*graph.Model) []site {
	return func(*graph.Model) []site { return []site{{"", names, spoil}} }
}

// readers are the names of the nodes that depend on a value: a shape that does
// not fit may show behind the first one only.
func readers(m *graph.Model, value string) []string {
	var out []string
	made := map[string]bool{value: true}
	for _, n := range m.Graph.Nodes {
		if slices.ContainsFunc(graph.Reads(n), func(v string) bool { return made[v] }) {
			out = append(out, n.Name)
			for _, o := range n.Outputs {
				made[o] = true
			}
		}
	}
	return out
}

// use tells which input of which operator first reads a value.
func use(m *graph.Model, value string) string {
	for _, n := range m.Graph.Nodes {
		if i := slices.Index(n.Inputs, value); i >= 0 {
			return fmt.Sprint(n.OpType, i)
		}
	}
	return ""
}

// plain makes a name fit for a part of [Case.Name].
func plain(name string) string { return strings.Trim(strings.ReplaceAll(name, "/", "."), ".") }
