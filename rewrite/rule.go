package rewrite

import (
	"fmt"
	"slices"
	"strings"

	"narrow/diag"
	"narrow/graph"
)

// Rule is one named change to a network. The zero Rule is invalid: rules come
// from the functions of this package.
type Rule struct {
	// Name is the rule's stable kebab-case name, as Node.Rule carries it.
	Name string
	// Doc says in one sentence what the rule does.
	Doc string
	// Exact says that the network's outputs stay the same to a relative 1e-5.
	Exact bool

	// find returns the place where the rule's pattern ends at n, or nil.
	find func(w *work, n *graph.Node) *site
	// passes limits how often the nodes are gone through; 0 means until
	// nothing changes.
	passes int
}

// site is one place where a rule's pattern stands.
type site struct {
	// refuse says why the rule must not be applied; "" where it may.
	refuse string
	// apply changes the network and says what it did in a few words.
	apply func() diag.Text
}

func refuse(format string, args ...any) *site { return &site{refuse: fmt.Sprintf(format, args...)} }

// Change is one application of a rule.
type Change struct {
	// Rule is the rule's name.
	Rule string `json:"rule"`
	// Node is the label of the node that the pattern was found at.
	Node string `json:"node"`
	// Note says what was done.
	Note diag.Text `json:"note"`
	// Made are the labels of the nodes that the rule made.
	Made []string `json:"made,omitempty"`
}

// Refusal is a place where a rule's pattern stands but must not be applied.
type Refusal struct {
	Rule   string `json:"rule"`
	Node   string `json:"node"`
	Reason string `json:"reason"`
}

// Report tells what [Apply] did, in the order in which it happened.
type Report struct {
	Changes  []Change  `json:"changes"`
	Refusals []Refusal `json:"refusals"`
}

// Count returns how often the rule of that name was applied.
func (r *Report) Count(rule string) int {
	n := 0
	for _, c := range r.Changes {
		if c.Rule == rule {
			n++
		}
	}
	return n
}

// Findings returns the refusals as notes.
func (r *Report) Findings() diag.List {
	var l diag.List
	for _, f := range r.Refusals {
		l = append(l, diag.Finding{
			Severity: diag.Note,
			Code:     "rule-refused",
			Message:  diag.Textf("%s leaves %q alone: %s", f.Rule, f.Node, f.Reason),
		})
	}
	return l
}

// String returns the report line by line.
func (r *Report) String() string {
	var b strings.Builder
	for _, c := range r.Changes {
		fmt.Fprintf(&b, "%s at %q: %s\n", c.Rule, c.Node, c.Note)
	}
	for _, f := range r.Refusals {
		fmt.Fprintf(&b, "%s refused at %q: %s\n", f.Rule, f.Node, f.Reason)
	}
	return b.String()
}

// Apply returns a copy of m with the rules applied in the given order, each
// until nothing more changes. m stays as it is; tensors that no rule touched
// are shared. Rules look at the top-level graph; graphs inside control flow
// stay as they are, and values that those read are kept.
//
// What a rule leaves without a reader (nodes, initializers) is removed; what
// had none before stays.
//
// The error tells of a network that is not in order: two producers of one
// value, or a cycle.
func Apply(m *graph.Model, rules ...Rule) (*graph.Model, *Report, error) {
	w, err := newWork(m)
	if err != nil {
		return nil, nil, err
	}
	for _, r := range rules {
		if r.find == nil {
			return nil, nil, diag.Errorf("rewrite: rule %q does not come from this package", r.Name)
		}
		w.run(r)
	}
	if err := w.finish(); err != nil {
		return nil, nil, err
	}
	return w.m, &w.report, nil
}

// run goes through the nodes with one rule.
func (w *work) run(r Rule) {
	w.rule = r.Name
	refused := map[*graph.Node]string{}
	for pass := 1; ; pass++ {
		changed := false
		for _, n := range slices.Clone(w.g.Nodes) {
			if w.gone[n] || len(n.Outputs) == 0 || n.Outputs[0] == "" {
				continue
			}
			s := r.find(w, n)
			if s == nil {
				delete(refused, n)
				continue
			}
			if s.refuse != "" {
				refused[n] = s.refuse
				continue
			}
			delete(refused, n)
			w.made = nil
			label := n.Label()
			note := s.apply()
			w.report.Changes = append(w.report.Changes, Change{Rule: r.Name, Node: label, Note: note, Made: w.made})
			changed = true
		}
		w.sweep()
		if !changed || pass == r.passes {
			break
		}
	}
	for _, n := range w.g.Nodes {
		if reason, ok := refused[n]; ok {
			w.report.Refusals = append(w.report.Refusals, Refusal{Rule: r.Name, Node: n.Label(), Reason: reason})
		}
	}
}
