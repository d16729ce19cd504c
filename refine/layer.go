package refine

import (
	"cmp"
	"context"
	"maps"
	"math"
	"slices"

	"narrow/calibrate"
	"narrow/calibrate/observe"
	"narrow/graph"
	"narrow/internal/kernel"
	"narrow/plan"
	"narrow/scheme"
)

// Ridge weights, as parts of the mean second moment of a column.
const (
	ridge     = 0.01
	ridgeBias = 1e-6
)

// problem is the least-squares problem of one layer: for each output channel
// (row), want holds the best real weights, and the bias behind them.
type problem struct {
	form    *weighted
	cols, n int // columns, and with the bias if it is among them and free
	want    [][]float64
	// order tells which column stands where: the last one is rounded first.
	order []int
	// solved is the factor of each group's matrix, in that order.
	solved []triangle
}

// free reports whether the bias may change.
func (f *refiner) free(l layer) bool {
	return l.op.Bias != nil && f.c.Plan.Strategy.IncludeBiasCorr
}

// floats are what a layer has in the float network: its weights, as they are stored, its bias
// if there is one, and the quantized bias where that is not free.
type floats struct {
	weights    *graph.Tensor
	bias, kept []float32
}

func (f *refiner) floats(l layer) (x floats, err error) {
	if x.weights = l.op.Weights.Constant; l.op.Bias == nil {
		return x, nil
	}
	if x.bias, err = l.op.Bias.Constant.Floats(); err == nil && !f.free(l) {
		x.kept, err = f.c.QuantizedConstant(f.pool, l.op.Bias)
	}
	return x, err
}

// at returns the weight of a row of all groups and a column, the bias behind them.
func (x floats) at(form *weighted, k, col int) float64 {
	if col == form.cols {
		return float64(x.bias[k])
	}
	return float64(x.weights.Float(form.index(k/form.rows, k%form.rows, col)))
}

// missing returns what the node of a row has to put out besides what it does in the float
// network, but for a bias that is free.
func (x floats) missing(l layer, row int) (v float64) {
	if x.kept != nil {
		v = -float64(x.kept[row])
	}
	if x.bias != nil && l.op.Bias.Uses[0].Node != l.form.node {
		v += float64(x.bias[row]) // which what the node puts out does not hold yet
	}
	return v
}

// layer chooses the scales and integers of one layer.
func (f *refiner) layer(ctx context.Context, l layer, drawn *columns) error {
	m := drawn.measure(ctx, f.pool)
	if m == nil {
		return ctx.Err()
	}
	float, err := f.floats(l)
	if err != nil {
		return err
	}
	p := f.pose(l, m, float)
	if p == nil {
		return nil // no finite solution: the layer stays as it was calibrated
	}
	return f.where(l, func() (float64, error) { return f.judged(l, m) }, func() (bool, error) { return f.choose(l, p, float) })
}

// where calls choose, and takes back what that changed of the layer unless it is as good
// on the samples that judge.
func (f *refiner) where(l layer, judged func() (float64, error), choose func() (bool, error)) error {
	was, err := judged()
	if err != nil {
		return err
	}
	encodings := maps.Clone(f.c.Encodings)
	before := f.c.Bias[l.op.Bias]
	chosen, err := choose()
	if err != nil {
		return err
	}
	if chosen {
		is, err := judged()
		if err != nil || is <= was {
			return err
		}
	}
	f.c.Encodings = encodings
	delete(f.c.Weights, l.op.Weights)
	if f.free(l) {
		delete(f.c.Bias, l.op.Bias)
		if before != nil {
			f.c.Bias[l.op.Bias] = before
		}
	}
	return nil
}

// choose gives the layer the best of what the problem's solution can be rounded to; it
// returns false where there is none.
func (f *refiner) choose(l layer, p *problem, float floats) (bool, error) {
	free, err := f.biasGrid(l, p)
	if err != nil {
		return false, err
	}
	solved := make([]float32, float.weights.Len())
	for k, row := range p.want {
		for col := range p.cols {
			solved[l.form.index(k/l.form.rows, k%l.form.rows, col)] = float32(row[col])
		}
	}
	candidates, err := f.candidates(l, solved)
	if err != nil {
		return false, err
	}
	rows := len(p.want)
	points := make([][]float64, rows)
	sums := make([]float64, rows)
	best := slices.Repeat([]float64{math.Inf(1)}, rows)
	total := math.Inf(1)
	var chosen scheme.Encoding
	// Candidates clip more and more: what does not gain by one gains by none after it.
	settled := make([]bool, rows)
	for _, e := range candidates {
		tried := make([][]float64, rows)
		parts := p.parts(settled)
		f.pool.Run(len(parts), func(i int) {
			p.round(parts[i], tried, sums, free, func(k int) grid { return gridOf(e, k) })
		})
		if len(e.Scale) > 1 {
			// Each row chooses for itself.
			if chosen.Scale == nil {
				chosen = e
				chosen.Scale, chosen.FixPosition = slices.Clone(e.Scale), slices.Clone(e.FixPosition)
			}
			for k, s := range sums {
				if settled[k] = settled[k] || !(s < best[k]); !settled[k] {
					best[k], points[k], chosen.Scale[k] = s, tried[k], e.Scale[k]
					if e.FixPosition != nil {
						chosen.FixPosition[k] = e.FixPosition[k]
					}
				}
			}
			continue
		}
		var sum float64
		for _, s := range sums {
			sum += s
		}
		if !(sum < total) {
			break
		}
		total, points, chosen = sum, tried, e
	}
	if chosen.Scale == nil || slices.ContainsFunc(points, func(q []float64) bool { return q == nil }) {
		return false, nil
	}
	weights, bias := solved, make([]float32, len(float.bias))
	p.put(points, 0, weights, bias, float)
	return true, f.keep(l, chosen, weights, bias)
}

// put writes points to the layer's weights, whose columns from the given one on are the
// problem's, and to its bias where that is behind them.
func (p *problem) put(points [][]float64, from int, weights, bias []float32, float floats) {
	for k, q := range points {
		for i, v := range q {
			if i < p.cols {
				weights[p.form.index(k/p.form.rows, k%p.form.rows, from+i)] = float32(v)
			} else {
				bias[k] = corrected(float.bias[k], v)
			}
		}
	}
}

// corrected is a new value of a bias, as after reading its correction again.
func corrected(bias float32, v float64) float32 { return bias - (bias - float32(v)) }

// keep gives the layer those weights, which are multiples of their scales, and that bias
// where it is free.
func (f *refiner) keep(l layer, e scheme.Encoding, weights, bias []float32) error {
	ints, err := calibrate.NewIntegers(l.op.Weights, weights, e)
	if err != nil {
		return err
	}
	f.c.Encodings[l.op.Weights], f.c.Weights[l.op.Weights] = e, ints
	if f.free(l) {
		f.c.Bias[l.op.Bias] = bias
	}
	return nil
}

// judged returns the squared error of the layer as it is quantized now, on the
// samples that judge.
func (f *refiner) judged(l layer, m *moments) (float64, error) {
	w, bias, err := f.quantized(l)
	if err != nil {
		return 0, err
	}
	rows := l.form.groups * l.form.rows
	sums := make([]float64, rows)
	f.pool.Run(rows, func(k int) {
		x := make([]float64, m.n)
		for col := range l.form.cols {
			x[col] = float64(w[l.form.index(k/l.form.rows, k%l.form.rows, col)])
		}
		x[m.n-1] = bias[k]
		sums[k] = m.judge(k/l.form.rows, k%l.form.rows, x)
	})
	total := 0.0
	for _, v := range sums {
		total += v
	}
	return total, nil
}

// quantized returns the layer's weights as they are quantized now, and by row what its bias
// adds to what the node puts out in the float network.
func (f *refiner) quantized(l layer) (weights []float32, bias []float64, err error) {
	if weights, err = f.c.QuantizedConstant(f.pool, l.op.Weights); err != nil {
		return nil, nil, err
	}
	bias = make([]float64, l.form.groups*l.form.rows)
	if t := l.op.Bias; t != nil {
		b, err := f.c.QuantizedConstant(f.pool, t)
		if err != nil {
			return nil, nil, err
		}
		float, err := t.Constant.Floats()
		if err != nil {
			return nil, nil, err
		}
		for k, v := range b {
			bias[k] = float64(v)
			if t.Uses[0].Node != l.form.node {
				bias[k] -= float64(float[k]) // which what the node puts out does not hold yet
			}
		}
	}
	return weights, bias, nil
}

// pose sets the problem up and solves it in real numbers; nil where that has no
// solution.
func (f *refiner) pose(l layer, m *moments, float floats) *problem {
	p := &problem{form: l.form, cols: l.form.cols, n: l.form.cols}
	if f.free(l) {
		p.n++
	}
	f.arrange(l, p, m)
	missing := func(x []float64, wide, g, lo, hi int) {
		from := make([]float64, m.n) // the float network's row
		for r := lo; r < hi; r++ {
			k := g*l.form.rows + r
			for col := range l.form.cols {
				from[col] = float64(float.weights.Float(l.form.index(g, r, col)))
			}
			if f.free(l) {
				from[m.n-1] = float64(float.bias[k])
			}
			m.missing(x[r-lo:], wide, g, r, p.order, from, float.missing(l, k))
		}
	}
	if !p.solve(f.pool, m, m.n, missing, func(k, i int) float64 { return float.at(l.form, k, i) }) {
		return nil
	}
	return p
}

// solve finds the best real weights of all rows, and the factors that they are rounded by;
// it returns false where there are none. For rows lo..hi-1 of a group, missing writes the
// mean products of the columns, in the problem's order and every wide elements, with what
// is missing behind the float network's weights, which own tells of a row of all groups and
// a column, the bias being the one behind. Each row has so many unknowns in all.
func (p *problem) solve(pool *kernel.Pool, m *moments, unknowns int, missing func(x []float64, wide, g, lo, hi int), own func(k, i int) float64) bool {
	p.want, p.solved = make([][]float64, p.form.groups*p.form.rows), make([]triangle, p.form.groups)
	for g := range p.form.groups {
		t, ok := factor(pool, p.matrix(m, g, unknowns), p.n)
		if !ok {
			return false
		}
		p.solved[g] = t
		pool.Run((p.form.rows+sides-1)/sides, func(part int) {
			lo, hi := part*sides, min((part+1)*sides, p.form.rows)
			wide := lanes(hi - lo)
			x := make([]float64, lanes(p.n)*wide)
			missing(x, wide, g, lo, hi)
			t.solve(x, wide) // for what is to be added to the float weights
			for r := lo; r < hi; r++ {
				k := g*p.form.rows + r
				row := make([]float64, p.n)
				for at, i := range p.order {
					row[i] = own(k, i) + x[at*wide+r-lo]
				}
				p.want[k] = row
			}
		})
	}
	return finite(p.want)
}

func finite(rows [][]float64) bool {
	for _, row := range rows {
		for _, v := range row {
			if math.IsNaN(v) || math.IsInf(v, 0) {
				return false
			}
		}
	}
	return true
}

// matrix returns the damped second moments of a group in the order of its columns,
// for what so many unknowns of a row are found by.
func (p *problem) matrix(m *moments, g, unknowns int) []float64 {
	cols := p.cols
	mean := 0.0
	for i := range cols {
		mean += m.own[g][i*m.n+i] / float64(cols)
	}
	if mean == 0 {
		mean = 1 // nothing ever enters: any weights will do, so they stay
	}
	damp := mean * max(ridge, float64(unknowns)/float64(m.count))
	a := make([]float64, p.n*p.n)
	for i, from := range p.order {
		for j, to := range p.order {
			a[i*p.n+j] = m.own[g][from*m.n+to]
		}
		if from < cols {
			a[i*p.n+i] += damp
		} else {
			a[i*p.n+i] += ridgeBias
		}
	}
	return a
}

// arrange orders the columns so that those whose rounding costs most are
// rounded first.
func (f *refiner) arrange(l layer, p *problem, m *moments) {
	step := func(t *plan.Tensor) float64 {
		mean, scales := 0.0, f.c.Encodings[t].Scale
		for _, s := range scales {
			mean += float64(s) / float64(len(scales))
		}
		return mean
	}
	cost := make([]float64, p.n)
	for i := range cost {
		t := l.op.Weights
		if i == p.cols {
			t = l.op.Bias
		}
		s := step(t)
		for g := range l.form.groups {
			cost[i] += s * s * m.own[g][i*m.n+i]
		}
		p.order = append(p.order, i)
	}
	slices.SortStableFunc(p.order, func(i, j int) int { return cmp.Compare(cost[i], cost[j]) })
}

// sides is how many rows are solved and rounded side by side at most.
const sides = 32

// parts are the rows that are not settled yet, in parts of one group each.
func (p *problem) parts(settled []bool) (out [][]int) {
	for g := range p.solved {
		var part []int
		for r := range p.form.rows {
			if k := g*p.form.rows + r; !settled[k] {
				if part = append(part, k); len(part) == sides {
					out, part = append(out, part), nil
				}
			}
		}
		if len(part) > 0 {
			out = append(out, part)
		}
	}
	return out
}

// round gives the rows of one group their points of the grids, in the columns' own
// order, and their squared distances from the best real ones.
func (p *problem) round(rows []int, points [][]float64, sums []float64, free grid, weight func(k int) grid) {
	wide := lanes(len(rows))
	want, q := make([]float64, p.n*wide), make([]float64, p.n*wide)
	grids := make([]grid, len(rows))
	for r, k := range rows {
		grids[r] = weight(k)
		for i, col := range p.order {
			want[i*wide+r] = p.want[k][col]
		}
	}
	own := make([]float64, len(rows))
	p.solved[rows[0]/p.form.rows].nearest(q, want, own, wide, func(i, r int) grid {
		if p.order[i] < p.cols {
			return grids[r]
		}
		return free
	})
	for r, k := range rows {
		points[k], sums[k] = make([]float64, p.n), own[r]
		for i, col := range p.order {
			points[k][col] = q[i*wide+r]
		}
	}
}

// biasGrid is [refiner.fitBias] of what the problem's solution has for the bias; the zero
// grid where the bias is none of its columns.
func (f *refiner) biasGrid(l layer, p *problem) (grid, error) {
	if p.n == p.cols {
		return grid{}, nil
	}
	b := make([]float32, len(p.want))
	for k, row := range p.want {
		b[k] = float32(row[p.cols])
	}
	return f.fitBias(l, b)
}

// gridOf is the grid of a row's weights by their encoding.
func gridOf(e scheme.Encoding, row int) grid {
	return grid{float64(e.Scale[min(row, len(e.Scale)-1)]), float64(e.Min), float64(e.Max)}
}

// fitBias gives the bias a scale that holds those real values, and returns its grid.
func (f *refiner) fitBias(l layer, b []float32) (grid, error) {
	t := l.op.Bias
	if t.Settings.Settings.Datatype != scheme.Int {
		return grid{}, nil
	}
	s := t.Settings.Settings
	s.Method, s.PerChannel = scheme.MaxMin, false
	e, err := encode(observe.Config{Name: t.Name, Settings: s, Kind: t.Kind, Axis: -1, Target: f.c.Plan.Strategy.Target}, b, []int64{int64(len(b))})
	if err != nil {
		return grid{}, err
	}
	if _, _, out := f.fixes(l); e.FixPosition != nil && out != nil {
		e = withFix(e, []int{min(e.FixPosition[0], calibrate.ShiftMax+*out)})
	}
	f.c.Encodings[t] = e
	return grid{float64(e.Scale[0]), float64(e.Min), float64(e.Max)}, nil
}

// fixes returns the fix positions of the layer's input and output, if both
// have one and the device cares.
func (f *refiner) fixes(l layer) (limited bool, in, out *int) {
	if f.c.Plan.Strategy.Target != scheme.DPU {
		return false, nil, nil
	}
	in, out = f.c.FixPosition(l.op.Input(0)), f.c.FixPosition(l.op.Output)
	if in == nil || out == nil {
		return false, nil, nil
	}
	return true, in, out
}

func withFix(e scheme.Encoding, fix []int) scheme.Encoding {
	e.FixPosition, e.Scale = fix, make([]float32, len(fix))
	for i, p := range fix {
		e.Scale[i] = scheme.FixScale(p)
	}
	return e
}

func encode(cfg observe.Config, x []float32, dims []int64) (scheme.Encoding, error) {
	o, err := observe.New(cfg)
	if err != nil {
		return scheme.Encoding{}, err
	}
	if err := o.Observe(x, dims); err != nil {
		return scheme.Encoding{}, err
	}
	return o.Encoding()
}

// shrink are the parts of the whole range that scales are tried with.
var shrink = [...]float64{1, 0.93, 0.86, 0.78, 0.68, 0.55}

// finest is how many fix positions are tried.
const finest = 4

// candidates returns the encodings to try for the weights, the first of which clips
// nothing of the real ones x.
func (f *refiner) candidates(l layer, x []float32) ([]scheme.Encoding, error) {
	t := l.op.Weights
	s := t.Settings.Settings
	s.Method = scheme.MaxMin
	if t.Axis < 0 {
		s.PerChannel = false
	}
	e, err := encode(observe.Config{Name: t.Name, Settings: s, Kind: t.Kind, Axis: t.Axis, Target: f.c.Plan.Strategy.Target}, x, t.Constant.Dims)
	if err != nil {
		return nil, err
	}
	var out []scheme.Encoding
	if e.FixPosition == nil {
		least := floors(f.c, l)
		for _, part := range shrink {
			c := e
			c.Scale = make([]float32, len(e.Scale))
			for i, s := range e.Scale {
				c.Scale[i] = max(float32(float64(s)*part), 0x1p-126)
			}
			hold(&c, least)
			out = append(out, c)
		}
		return out, nil
	}
	lo, hi := math.MinInt, maxFix(s.BitWidth)
	if limited, in, o := f.fixes(l); limited {
		lo, hi = *o-*in, min(hi, *o-*in+calibrate.ShiftMax)
		if b := f.c.FixPosition(l.op.Bias); b != nil {
			hi = min(hi, *b+calibrate.ShiftMax-*in)
		}
	}
	for k := range finest {
		fix := make([]int, len(e.FixPosition))
		for i, p := range e.FixPosition {
			fix[i] = min(max(p+k, lo), max(hi, lo))
		}
		out = append(out, withFix(e, fix))
	}
	return out, nil
}
