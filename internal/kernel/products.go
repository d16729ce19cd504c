package kernel

import "math"

// ProductLanes is what the number of columns that [Products] takes is a
// multiple of.
const ProductLanes = 16

// Products adds to c the products of columns: c[i*ld+j] += sum over r of
// x[r*ld+i] * y[r*ld+j], for i in lo..hi-1 and j in 0..cols-1, over rows rows.
// Each sum is taken in four parts, of every fourth row, and what is left over
// goes to the first; every product is fused with its sum. lo and hi must be even,
// cols a multiple of [ProductLanes], and both at most ld.
func Products(c, x, y []float64, ld, rows, lo, hi, cols int) {
	if lo < 0 || lo%2 != 0 || hi%2 != 0 || cols%ProductLanes != 0 || hi > ld || cols > ld {
		panic("kernel: products of parts of tiles")
	}
	if lo >= hi || cols <= 0 || rows <= 0 {
		return
	}
	// Whoever calls with too little memory learns of it here, not in assembly.
	_, _, _ = x[rows*ld-1], y[rows*ld-1], c[hi*ld-1]
	active.products(c, x, y, ld, ProductLanes, ld, rows, lo, hi, cols)
}

// PanelProducts is [Products] of x and y in panels of [ProductLanes] columns, each with
// room for so many rows: column i of row r is element [InPanels](i, room)+r*ProductLanes.
// What is multiplied lies together then.
func PanelProducts(c, x, y []float64, ld, room, rows, lo, hi, cols int) {
	if lo < 0 || lo%2 != 0 || hi%2 != 0 || cols%ProductLanes != 0 || cols > ld || rows > room {
		panic("kernel: products of parts of tiles")
	}
	if lo >= hi || cols <= 0 || rows <= 0 {
		return
	}
	last := (rows - 1) * ProductLanes
	_, _, _ = x[InPanels(hi-1, room)+last], y[InPanels(cols-1, room)+last], c[hi*ld-1]
	active.products(c, x, y, ld, room*ProductLanes, ProductLanes, rows, lo, hi, cols)
}

// InPanels returns where column i of the first row lies in panels with room for so many
// rows.
func InPanels(i, room int) int { return inPanels(i, room*ProductLanes) }

// inPanels is InPanels for panels that are so many elements long.
func inPanels(i, panel int) int {
	u := uint(i) // whose division is a shift
	return int(u/ProductLanes)*panel + int(u%ProductLanes)
}

// productsGo takes x and y in panels that are so many elements long, with rows that are
// stride elements apart: 16 and ld for rows in one piece.
func productsGo(c, x, y []float64, ld, panel, stride, rows, lo, hi, cols int) {
	four := rows &^ 3 * stride
	for j := 0; j < cols; j += 8 { // a cache line of y
		for i := lo; i < hi; i++ {
			from, with := inPanels(i, panel), inPanels(j, panel)
			var s [4][8]float64
			for r := range s {
				s[r] = addProducts(s[r], x, y, from, with, r*stride, four, 4*stride)
			}
			s[0] = addProducts(s[0], x, y, from, with, four, rows*stride, stride)
			out := c[i*ld+j:][:8]
			for k := range out {
				out[k] += s[0][k] + s[1][k] + (s[2][k] + s[3][k])
			}
		}
	}
}

// addProducts adds to s the products of the elements that lie i behind from,
// from+step, ... in x with the eight that lie j behind them in y.
func addProducts(s [8]float64, x, y []float64, i, j, from, to, step int) [8]float64 {
	// Sums in variables of their own stay in registers.
	s0, s1, s2, s3, s4, s5, s6, s7 := s[0], s[1], s[2], s[3], s[4], s[5], s[6], s[7]
	for at := from; at < to; at += step {
		v, w := x[at+i], y[at+j:][:8]
		s0 = math.FMA(v, w[0], s0)
		s1 = math.FMA(v, w[1], s1)
		s2 = math.FMA(v, w[2], s2)
		s3 = math.FMA(v, w[3], s3)
		s4 = math.FMA(v, w[4], s4)
		s5 = math.FMA(v, w[5], s5)
		s6 = math.FMA(v, w[6], s6)
		s7 = math.FMA(v, w[7], s7)
	}
	return [8]float64{s0, s1, s2, s3, s4, s5, s6, s7}
}
