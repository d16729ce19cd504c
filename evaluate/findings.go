package evaluate

import (
	"fmt"
	"math"

	"narrow/diag"
)

// Lost is the SQNR in dB below which an output has little of its signal left.
const Lost = 10

// Findings tells what of a result is not to be taken at its word: samples and
// labels that do not fit, and an output that is lost where others are not. The
// codes "label-range" and "labels-unused" are about the labels, the others about
// the samples.
func (r *Result) Findings() diag.List {
	var list diag.List
	warn := func(code string, message, fix diag.Text) {
		list = append(list, diag.Finding{Severity: diag.Warning, Code: code, Message: message, Fix: fix})
	}
	if o := r.Labelled(); o != nil && r.Outside > 0 {
		if o.positions > 1 {
			list = append(list, diag.Finding{
				Severity: diag.Note, Code: "label-range",
				Message: diag.Textf("%d labels are no classes of output %q, which has 0 to %d: these places are left out", r.Outside, o.Name, o.Classes-1),
			})
		} else {
			warn("label-range",
				diag.Textf("%d of %d labels are no classes of output %q, which has 0 to %d: they count as wrong", r.Outside, r.Samples, o.Name, o.Classes-1),
				diag.Textf("count classes from 0"))
		}
	}
	if r.Unfit {
		list = append(list, diag.Finding{
			Severity: diag.Note, Code: "labels-unused",
			Message: diag.Textf("the folders' names are no labels of this network, which is no classifier of samples: there is no top-1"),
		})
	}
	if r.Invalid > 0 {
		warn("not-finite",
			diag.Textf("for %d of %d samples the float network outputs NaN or Inf: they are left out of SQNR and agreement", r.Invalid, r.Samples),
			diag.Textf("repair the samples or the model"))
	}
	for _, o := range r.Outputs {
		if o.Unlike > 0 {
			warn("unlike-outputs",
				diag.Textf("for %d of %d samples the two networks output different numbers of values at output %q: nothing is compared there", o.Unlike, r.Samples, o.Name),
				diag.Textf("compare an output before values are chosen"))
		}
		if o.ranker != "" && o.floats && !o.empty && !o.Exact {
			list = append(list, diag.Finding{
				Severity: diag.Note, Code: "ranked",
				Message: diag.Textf("the rows of output %q stand in the order of a TopK (%q): its figures compare row by row, and near ties change places", o.Name, o.ranker),
				Fix:     diag.Textf("judge it by a metric of your own, such as boxes that are kept (--metric)"),
			})
		}
	}
	if w := r.Worst(); w != nil && w.lost() {
		best := w
		for i := range r.Outputs {
			if o := &r.Outputs[i]; o.floats && !o.empty && best.worse(o) {
				best = o
			}
		}
		if !best.lost() {
			warn("lost-output",
				diag.Textf("output %q has lost its signal (SQNR %s), while output %q has %s", w.Name, w.SQNR.text(), best.Name, best.SQNR.text()),
				diag.Textf("look at each output's figures"))
		}
	}
	return list
}

func (o *Output) lost() bool { return !(o.SQNR >= Lost) } // NaN too

// text is the figure with its unit.
func (d Decibel) text() diag.Text {
	switch {
	case math.IsInf(float64(d), 1):
		return diag.Textf("exact")
	case math.IsNaN(float64(d)):
		return diag.Textf("undefined")
	}
	return diag.Verbatim(fmt.Sprintf("%.1f dB", float64(d)))
}

// Collapsed reports whether so little is left of the network that the scales
// are not worth keeping: agreement below one half, or SQNR below [Lost].
func (r *Result) Collapsed() bool {
	w := r.Worst()
	return w != nil && w.lost() || r.Agreement != nil && *r.Agreement < 0.5
}
