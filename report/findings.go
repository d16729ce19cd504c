package report

import (
	"slices"

	"narrow/diag"
)

// findings returns those of all stages, each with the layers that its message
// names.
func (b *builder) findings() []Finding {
	named := b.named()
	out := []Finding{}
	for _, f := range b.in.Findings {
		d := Finding{Severity: f.Severity, Code: f.Code, File: f.Range.File, Line: f.Range.Start.Line, Message: Text{f.Message}, Fix: Text{f.Fix}}
		f.Message.Map(func(s string) string {
			if i, ok := named[s]; ok && !slices.Contains(d.Layers, i) {
				d.Layers = append(d.Layers, i)
			}
			return s
		})
		out = append(out, d)
	}
	return out
}

// named returns the layers by what messages call them: their names, those of
// their nodes, and of the tensors that they store or put out. Names of operators are none.
func (b *builder) named() map[string]int {
	all := map[string]int{}
	for i, t := range b.plan.Tensors {
		all[t.Name] = b.layerOf[b.plan.Tensors[i].Layer]
	}
	for i, l := range b.plan.Layers {
		all[l.Output] = i
	}
	for i, l := range b.plan.Layers {
		for _, n := range l.Nodes {
			all[n.Label()] = i
		}
	}
	for i, l := range b.plan.Layers {
		all[l.Name] = i
	}
	delete(all, "")
	for _, l := range b.plan.Layers {
		delete(all, l.Op)
		for _, n := range l.Nodes {
			delete(all, n.OpType)
		}
	}
	return all
}

// shorten replaces what paths of this machine are in texts.
func shorten(t diag.Text, f func(string) string) Text { return Text{t.Map(f)} }

// Shorten replaces the paths in d by what f makes of them: a page that is sent
// to somebody names no folder of the machine it was made on.
func (d *Document) Shorten(f func(string) string) {
	changed := false
	g := func(s string) string {
		t := f(s)
		changed = changed || t != s
		return t
	}
	d.Model.Path = g(d.Model.Path)
	if d.Strategy != nil {
		d.Strategy.File = g(d.Strategy.File)
	}
	for i := range d.Findings {
		x := &d.Findings[i]
		x.File, x.Message, x.Fix = g(x.File), shorten(x.Message.Text, g), shorten(x.Fix.Text, g)
	}
	if c := d.Compare; c != nil {
		for i := range c.Rows {
			r := &c.Rows[i]
			r.Name, r.Error = g(r.Name), shorten(r.Error.Text, g)
			for k := range r.Words {
				r.Words[k] = shorten(r.Words[k].Text, g)
			}
		}
		for i := range c.Notes {
			c.Notes[i] = shorten(c.Notes[i].Text, g)
		}
	}
	if r := d.Reproduce; r != nil {
		for i, c := range r.Commands {
			r.Commands[i] = slices.Clone(c)
			for k := range c {
				r.Commands[i][k] = g(c[k])
			}
		}
		r.Shortened = changed
	}
}
