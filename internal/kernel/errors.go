package kernel

import "math"

// ErrorSums are sums over pairs (r, t) of a reference and a tested tensor, from
// which SQNR and cosine follow.
type ErrorSums struct {
	// N is how many pairs there were.
	N int64
	// RefSquares is the sum of r*r, TestSquares of t*t, Dot of r*t, DiffSquares
	// of (r-t)^2.
	RefSquares, TestSquares, Dot, DiffSquares float64
	// MaxDiff is the largest |r-t|.
	MaxDiff float64
}

// Join returns the sums over both. It is commutative, and associative up to
// the rounding of float64 addition.
func (e ErrorSums) Join(o ErrorSums) ErrorSums {
	return ErrorSums{e.N + o.N, e.RefSquares + o.RefSquares, e.TestSquares + o.TestSquares, e.Dot + o.Dot,
		e.DiffSquares + o.DiffSquares, max(e.MaxDiff, o.MaxDiff)}
}

// Errors returns the sums over ref and test, which have one length. The result
// does not depend on the pool.
func (p *Pool) Errors(ref, test []float32) ErrorSums {
	test = test[:len(ref)]
	n := blocks(len(ref))
	parts := make([]ErrorSums, n)
	p.Run(n, func(b int) {
		lo, hi := block(b, len(ref))
		parts[b] = errorsGo(ref[lo:hi], test[lo:hi])
	})
	var e ErrorSums
	for _, o := range parts {
		e = e.Join(o)
	}
	return e
}

func errorsGo(ref, test []float32) ErrorSums {
	test = test[:len(ref)]
	// Sums in variables of their own stay in registers.
	var rr, tt, rt, dd, most float64
	for i, r32 := range ref {
		r, t := float64(r32), float64(test[i])
		d := r - t
		rr += float64(r * r)
		tt += float64(t * t)
		rt += float64(r * t)
		dd += float64(d * d)
		if d = math.Abs(d); d > most || d != d { // NaN stays
			most = d
		}
	}
	return ErrorSums{int64(len(ref)), rr, tt, rt, dd, most}
}
