package observe

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"narrow/internal/kernel"
	"narrow/scheme"
)

// shapes are histograms of several characters, each with its limit.
func shapes() map[string]func(r *rand.Rand) float32 {
	return map[string]func(r *rand.Rand) float32{
		"normal":  func(r *rand.Rand) float32 { return float32(r.NormFloat64()) },
		"relu":    func(r *rand.Rand) float32 { return max(float32(r.NormFloat64()), 0) },
		"laplace": func(r *rand.Rand) float32 { return float32(r.ExpFloat64()) },
		"tail":    func(r *rand.Rand) float32 { return float32(math.Exp(3 * r.NormFloat64())) },
		"uniform": func(r *rand.Rand) float32 { return r.Float32() * 6 },
		"grid":    func(r *rand.Rand) float32 { return float32(r.IntN(17)) / 16 },
		"bimodal": func(r *rand.Rand) float32 { return float32(r.IntN(2))*10 + float32(r.NormFloat64()) },
		"one":     func(r *rand.Rand) float32 { return 3 },
	}
}

func histogramOf(f func(r *rand.Rand) float32, n int, seed uint64) (*kernel.Histogram, float32) {
	r := rand.New(rand.NewPCG(seed, 9))
	x := make([]float32, n)
	for i := range x {
		x[i] = f(r)
	}
	limit := kernel.MinMax(x).AbsMax()
	h := new(kernel.Histogram)
	kernel.AbsHistogram(h, x, limit)
	return h, limit
}

// entropyBrute is the reference's search, step by step.
func entropyBrute(h *kernel.Histogram, levels int) int {
	bins := make([]float64, len(h))
	for i, c := range h {
		bins[i] = float64(c)
	}
	bins[0] = bins[1]
	best, bestAt := math.Inf(1), len(bins)
	for i := searchStart; i <= len(bins); i += searchStride {
		p := append([]float64(nil), bins[:i]...)
		for _, c := range bins[i:] {
			p[i-1] += c
		}
		sums, counts := make([]float64, levels), make([]float64, levels)
		cell := func(j int) int { return j * levels / i }
		for j, c := range bins[:i] {
			if c != 0 {
				sums[cell(j)] += c
				counts[cell(j)]++
			}
		}
		q := make([]float64, i)
		var pt, qt float64
		for j, c := range bins[:i] {
			if c != 0 {
				q[j] = sums[cell(j)] / counts[cell(j)]
			}
			pt, qt = pt+p[j], qt+q[j]
		}
		kl := 0.0
		for j := range p {
			if p[j] > 0 {
				kl += p[j] / pt * math.Log(p[j]/pt/(q[j]/qt))
			}
		}
		if kl <= best {
			best, bestAt = kl, i
		}
	}
	return bestAt
}

func TestEntropyEqualsBruteForce(t *testing.T) {
	for name, f := range shapes() {
		for _, n := range []int{1, 30, 5000, 200000} {
			h, _ := histogramOf(f, n, uint64(n))
			before := *h
			for _, bits := range []int{1, 3, 4, 7, 8, 10, 12} {
				got, want := entropyBin(h, 1<<bits), entropyBrute(h, 1<<bits)
				if got != want {
					t.Errorf("%s, %d values, 2^%d levels: bin %d, by brute force %d", name, n, bits, got, want)
				}
			}
			if *h != before {
				t.Fatal("the search changed the histogram")
			}
		}
	}
}

// mseBrute is the reference's search with its sums in float64.
func mseBrute(h *kernel.Histogram, limit float32, hi int64, mode scheme.RoundMode) (float32, float64) {
	best, bestAt := math.Inf(1), float32(0)
	for i := searchStart; i < kernel.HistogramBins; i += searchStride {
		amax := center(limit, i)
		amp, sum := float32(hi)/amax, 0.0
		for j, c := range h {
			if c == 0 {
				continue
			}
			x := center(limit, j)
			q := min(roundPositive(float32(x*amp), mode), float32(hi))
			d := float64(x) - float64(q/amp)
			sum += float64(c) * d * d
		}
		if sum < best {
			best, bestAt = sum, amax
		}
	}
	return bestAt, best
}

func TestMSEEqualsBruteForce(t *testing.T) {
	for name, f := range shapes() {
		for _, n := range []int{1, 30, 5000, 200000} {
			h, limit := histogramOf(f, n, uint64(n))
			for _, hi := range []int64{1, 7, 15, 127, 255, 1023, 32767, 1<<31 - 1} {
				for mode := scheme.HalfEven; mode <= scheme.StdRound; mode++ {
					got := mseCenter(h, limit, hi, mode)
					want, _ := mseBrute(h, limit, hi, mode)
					if got != want {
						t.Errorf("%s, %d values, to %d, %v: %v, by brute force %v", name, n, hi, mode, got, want)
					}
				}
			}
		}
	}
}

func BenchmarkSearch(b *testing.B) {
	h, limit := histogramOf(shapes()["relu"], 200000, 1)
	for _, bits := range []int{8, 16} {
		b.Run(fmt.Sprintf("method=entropy/bits=%d", bits), func(b *testing.B) {
			for b.Loop() {
				entropyBin(h, 1<<(bits-1))
			}
		})
		b.Run(fmt.Sprintf("method=mse/bits=%d", bits), func(b *testing.B) {
			for b.Loop() {
				mseCenter(h, limit, 1<<(bits-1)-1, scheme.HalfEven)
			}
		})
		b.Run(fmt.Sprintf("method=percentile/bits=%d", bits), func(b *testing.B) {
			for b.Loop() {
				percentile(h, limit, 99.99)
			}
		})
	}
}

// center returns the centre of bin i.
func center(limit float32, i int) float32 { return middle(edge(limit, i), edge(limit, i+1)) }
