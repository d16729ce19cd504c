package main

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"html"
	"math"
	"slices"

	"narrow/search"
)

// The picture's size and the margins around the field, in pixels.
const (
	width, height            = 800, 460
	left, right, top, bottom = 64, 24, 64, 56
)

// least is the drop at the lower edge of the field, in points.
const least = -2.0

// dot is a trial in the field.
type dot struct {
	cost, drop float64 // per cent of float32, points
	phase      search.Phase
}

// draw returns the picture of a log.
func draw(title string, log *search.Log) ([]byte, error) {
	var dots []dot
	var best *dot
	for _, t := range log.Trials {
		d := dot{cost: 100 * t.Cost, phase: t.Phase}
		switch t.Phase {
		case search.Rank:
			continue
		case search.Confirm:
			d.drop = 100 * t.Confirm.All.Drop()
			if t.Confirm.Within(log.Key.MaxDrop) && (best == nil || d.cost <= best.cost) {
				b := d
				best = &b
			}
		default:
			d.drop = 100 * t.Score.Drop()
		}
		dots = append(dots, d)
	}
	if len(dots) == 0 {
		return nil, errors.New("there are no trials to draw")
	}
	f := fieldOf(dots)
	var b bytes.Buffer
	f.frame(&b, title, log)
	var tried []dot
	for _, d := range dots {
		if d.phase != search.Confirm {
			tried = append(tried, d)
			f.mark(&b, d)
		}
	}
	f.front(&b, tried)
	for _, d := range dots {
		if d.phase == search.Confirm {
			fmt.Fprintf(&b, "<circle class=\"confirm\" cx=\"%.1f\" cy=\"%.1f\" r=\"7\"/>\n", f.x(d.cost), f.y(d.drop))
		}
	}
	if best != nil {
		fmt.Fprintf(&b, "<text class=\"best\" text-anchor=\"end\" x=\"%d\" y=\"26\">found: %.3g %% of float32, %.2f points lost</text>\n", width-right, best.cost, best.drop)
	}
	b.WriteString("</svg>\n")
	return b.Bytes(), nil
}

// field maps costs, on a scale of logarithms from low to high, and drops up to
// most to pixels. What lost more is drawn at the upper edge as an arrow.
type field struct{ low, high, most float64 }

// fieldOf returns the field for the dots: all costs, and three of four drops.
func fieldOf(dots []dot) field {
	f := field{low: math.Inf(1)}
	var drops []float64
	for _, d := range dots {
		f.low, f.high = min(f.low, d.cost), max(f.high, d.cost)
		drops = append(drops, d.drop)
	}
	slices.Sort(drops)
	f.low, f.high = f.low/1.1, f.high*1.1
	f.most = min(max(2*math.Ceil(drops[len(drops)*3/4]/2), 4), 100)
	return f
}

func (f field) x(cost float64) float64 {
	return left + (width-left-right)*math.Log(cost/f.low)/math.Log(f.high/f.low)
}

func (f field) y(drop float64) float64 {
	d := min(max(drop, least), f.most)
	return top + (height-top-bottom)*(f.most-d)/(f.most-least)
}

// style gives the colours, dark ones where the reader has those.
const style = `<style>
svg{background:#fff;font:13px system-ui,sans-serif}
text{fill:#333}.title{font-size:16px;font-weight:600}.best{font-weight:600}
.grid{stroke:#ddd}.axis{stroke:#888}.limit{stroke:#c0392b;stroke-dasharray:6 4}.limittext{fill:#c0392b}
.front{fill:none;stroke:#333;stroke-width:1.5}.confirm{fill:none;stroke:#111;stroke-width:2}
.wide{fill:#7f6a00}.recipe{fill:#1f6fb4}.mix{fill:#c2570c}.polish{fill:#7d3fa8}.lower{fill:#1c8a4a}
@media(prefers-color-scheme:dark){
svg{background:#15181c}text{fill:#ddd}.grid{stroke:#333a42}.axis{stroke:#888}.limit{stroke:#ff7b6b}.limittext{fill:#ff7b6b}
.front{stroke:#ddd}.confirm{stroke:#fff}
.wide{fill:#e6c84a}.recipe{fill:#6cb4f0}.mix{fill:#ff9d5c}.polish{fill:#c893ee}.lower{fill:#5fd08c}}
</style>
`

// frame draws all but the trials.
func (f field) frame(b *bytes.Buffer, title string, log *search.Log) {
	fmt.Fprintf(b, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %d\" width=\"%d\" height=\"%d\" role=\"img\">\n", width, height, width, height)
	fmt.Fprintf(b, "<title>%s: cost against the drop of top-1</title>\n%s", html.EscapeString(title), style)
	fmt.Fprintf(b, "<text class=\"title\" x=\"%d\" y=\"26\">%s</text>\n", left, html.EscapeString(title))
	every := 2.0 // points between lines
	for (f.most-least)/every > 8 {
		every *= 2
	}
	for d := least; d <= f.most; d += every {
		fmt.Fprintf(b, "<line class=\"grid\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>\n", left, width-right, f.y(d), f.y(d))
		fmt.Fprintf(b, "<text text-anchor=\"end\" x=\"%d\" y=\"%.1f\">%g</text>\n", left-8, f.y(d)+4, d)
	}
	for _, c := range []float64{1, 2, 3, 4, 6.25, 8, 10, 12.5, 16, 20, 25, 50, 100} {
		if c < f.low || c > f.high {
			continue
		}
		fmt.Fprintf(b, "<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\"/>\n", f.x(c), f.x(c), top, height-bottom)
		fmt.Fprintf(b, "<text text-anchor=\"middle\" x=\"%.1f\" y=\"%d\">%g</text>\n", f.x(c), height-bottom+18, c)
	}
	fmt.Fprintf(b, "<line class=\"axis\" x1=\"%d\" x2=\"%d\" y1=\"%d\" y2=\"%d\"/>\n", left, width-right, height-bottom, height-bottom)
	fmt.Fprintf(b, "<text text-anchor=\"middle\" x=\"%d\" y=\"%d\">cost, %% of float32 (6.25: int8 throughout)</text>\n", (left+width-right)/2, height-bottom+40)
	fmt.Fprintf(b, "<text text-anchor=\"middle\" transform=\"translate(18 %d) rotate(-90)\">top-1 lost, points</text>\n", (top+height-bottom)/2)
	limit := 100 * log.Key.MaxDrop
	fmt.Fprintf(b, "<line class=\"limit\" x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\"/>\n", left, width-right, f.y(limit), f.y(limit))
	fmt.Fprintf(b, "<text class=\"limittext\" text-anchor=\"middle\" x=\"%d\" y=\"%.1f\">--max-drop %g</text>\n", (left+width-right)/2, f.y(limit)-5, log.Key.MaxDrop)
	x := left
	for _, p := range []search.Phase{search.Wide, search.Recipe, search.Mix, search.Polish, search.Lower} {
		fmt.Fprintf(b, "<circle class=\"%s\" cx=\"%d\" cy=\"44\" r=\"4.5\"/><text x=\"%d\" y=\"48\">%s</text>\n", p, x+5, x+15, p)
		x += 75
	}
	fmt.Fprintf(b, "<circle class=\"confirm\" cx=\"%d\" cy=\"44\" r=\"6\"/><text x=\"%d\" y=\"48\">on all test samples</text>\n", x+6, x+18)
	fmt.Fprintf(b, "<line class=\"front\" x1=\"%d\" x2=\"%d\" y1=\"44\" y2=\"44\"/><text x=\"%d\" y=\"48\">front of the trials</text>\n", x+155, x+180, x+187)
}

// mark draws one trial.
func (f field) mark(b *bytes.Buffer, d dot) {
	x, y := f.x(d.cost), f.y(d.drop)
	if d.drop > f.most {
		fmt.Fprintf(b, "<path class=\"%s\" d=\"M%.1f %.1fl5 9h-10z\"/>\n", d.phase, x, y)
		return
	}
	fmt.Fprintf(b, "<circle class=\"%s\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"/>\n", d.phase, x, y)
}

// front draws the line below and left of all trials: for each cost the least drop
// that no more than it bought.
func (f field) front(b *bytes.Buffer, dots []dot) {
	dots = slices.Clone(dots)
	slices.SortStableFunc(dots, func(a, c dot) int { return cmp.Or(cmp.Compare(a.cost, c.cost), cmp.Compare(a.drop, c.drop)) })
	fmt.Fprint(b, "<path class=\"front\" d=\"")
	drop := math.Inf(1)
	for _, d := range dots {
		if d.drop >= drop {
			continue
		}
		if math.IsInf(drop, 1) {
			fmt.Fprintf(b, "M%.1f %.1f", f.x(d.cost), f.y(d.drop))
		} else {
			fmt.Fprintf(b, "H%.1fV%.1f", f.x(d.cost), f.y(d.drop))
		}
		drop = d.drop
	}
	fmt.Fprintf(b, "H%d\"/>\n", width-right)
}
