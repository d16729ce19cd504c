package kernel

// Dot returns the sum of the products of x with the beginning of y, in sixteen
// interleaved sums that are then added up in a fixed order. No product is fused
// with its sum: every machine gives the same bits.
func Dot(x, y []float64) float64 {
	y = y[:len(x)]
	var s [16]float64
	whole := len(x) &^ 15
	if whole > 0 {
		dotBlocks(x[:whole], y, &s)
	}
	for i, v := range x[whole:] {
		s[i] += float64(v * y[whole+i])
	}
	for n := 8; n > 0; n /= 2 {
		for i := range n {
			s[i] += s[i+n]
		}
	}
	return s[0]
}

// dotGo adds the products to the sums; len(x) is a multiple of 16.
func dotGo(x, y []float64, s *[16]float64) {
	for at := 0; at < len(x); at += 16 {
		a, b := x[at:at+16], y[at:at+16]
		for i := range s {
			s[i] += float64(a[i] * b[i])
		}
	}
}
