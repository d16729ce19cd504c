// Command asmgen writes the assembly of internal/kernel: run go generate there.
// It is a module of its own, so that the generator's dependencies are none of
// narrow's.
//
// Every loop takes a number of elements that is a multiple of its vector
// length; the rest is the plain Go loop's.
package main

import (
	"math"

	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

func main() {
	ConstraintExpr("!noasm")
	for _, v := range []isa{{"AVX2", 8}, {"AVX512", 16}} {
		minMax(v)
		for _, m := range []string{"HalfEven", "HalfUp", "HalfDown", "StdRound"} {
			fakeQuantize(v, m, false)
		}
		for _, m := range []string{"HalfUp", "HalfDown", "StdRound"} {
			fakeQuantize(v, m, true)
		}
		squaredDiffs(v)
		histogramIndex(v)
		bfloat16(v)
		float16(v)
		productTile(v)
		dot(v)
	}
	countBins()
	Generate()
}

// isa is an instruction set: its name and how many float32 a vector holds.
type isa struct {
	name string
	w    int
}

func (v isa) vec() reg.VecVirtual {
	if v.w == 16 {
		return ZMM()
	}
	return YMM()
}

// bits returns a vector whose every element has these bits.
func (v isa) bits(b uint32) reg.VecVirtual {
	t, x, y := GP32(), XMM(), v.vec()
	MOVL(U32(b), t)
	VMOVD(t, x)
	VPBROADCASTD(x, y)
	return y
}

func (v isa) float(f float32) reg.VecVirtual { return v.bits(math.Float32bits(f)) }

func (v isa) and(a, b, dst reg.Register) {
	if v.w == 16 {
		VPANDD(a, b, dst)
		return
	}
	VPAND(a, b, dst)
}

func (v isa) or(a, b, dst reg.Register) {
	if v.w == 16 {
		VPORD(a, b, dst)
		return
	}
	VPOR(a, b, dst)
}

func (v isa) xor(a, b, dst reg.Register) {
	if v.w == 16 {
		VPXORD(a, b, dst)
		return
	}
	VPXOR(a, b, dst)
}

// round rounds src to dst: mode 0 is to nearest even, 3 towards zero.
func (v isa) round(mode uint8, src, dst reg.Register) {
	if v.w == 16 {
		VRNDSCALEPS(U8(mode), src, dst)
		return
	}
	VROUNDPS(U8(mode), src, dst)
}

// addWhereEqual adds c to r where a equals b; a is lost.
func (v isa) addWhereEqual(a, b, c, r reg.Register) {
	if v.w == 16 {
		k := K()
		VCMPPS(U8(0), a, b, k)
		VADDPS(c, r, k, r)
		return
	}
	VCMPPS(U8(0), a, b, a)
	VPAND(a, c, a)
	VADDPS(a, r, r)
}

// countWhereUnequal adds 1 to n where a and b are ordered and unequal; b is
// lost. one is used with masks only.
func (v isa) countWhereUnequal(a, b, one, n reg.Register) {
	if v.w == 16 {
		k := K()
		VCMPPS(U8(12), a, b, k)
		VPADDD(one, n, k, n)
		return
	}
	VCMPPS(U8(12), a, b, b)
	VPSUBD(b, n, n)
}

func ptr(name string) reg.GPVirtual { return Load(Param(name), GP64()).(reg.GPVirtual) }

func at(p reg.Register, v isa, u int) Mem { return Mem{Base: p, Disp: 4 * v.w * u} }

// step is a pointer and how many bytes it moves per vector.
type step struct {
	p     reg.Register
	bytes int
}

// loop runs body over n elements, unroll vectors at a time while there are so
// many, then one at a time.
func loop(v isa, unroll int, n reg.Register, steps []step, body func(u int)) {
	turn := func(label, next string, k int) {
		Label(label)
		CMPQ(n, I32(int32(v.w*k)))
		JL(LabelRef(next))
		for u := range k {
			body(u)
		}
		for _, s := range steps {
			ADDQ(I32(int32(s.bytes*k)), s.p)
		}
		SUBQ(I32(int32(v.w*k)), n)
		JMP(LabelRef(label))
	}
	if unroll > 1 {
		turn("many", "one", unroll)
	}
	turn("one", "done", 1)
	Label("done")
}

func minMax(v isa) {
	TEXT("minMax"+v.name, NOSPLIT, "func(x *float32, n int, lo, hi *float32, mag *uint32)")
	Pragma("noescape")
	Doc("minMax" + v.name + " stores per lane the smallest and largest element and the largest magnitude's bits; n is at least one vector.")
	x, n := ptr("x"), ptr("n")
	const unroll = 4
	var lo, hi, mag [unroll]reg.VecVirtual
	for u := range unroll {
		lo[u], hi[u], mag[u] = v.vec(), v.vec(), v.vec()
		VMOVUPS(at(x, v, 0), lo[u])
		VMOVUPS(at(x, v, 0), hi[u])
		v.xor(mag[u], mag[u], mag[u])
	}
	abs := v.bits(0x7fffffff)
	loop(v, unroll, n, []step{{x, 4 * v.w}}, func(u int) {
		t := v.vec()
		VMOVUPS(at(x, v, u), t)
		VMINPS(t, lo[u], lo[u])
		VMAXPS(t, hi[u], hi[u])
		v.and(t, abs, t)
		VPMAXUD(t, mag[u], mag[u])
	})
	for u := 1; u < unroll; u++ {
		VMINPS(lo[u], lo[0], lo[0])
		VMAXPS(hi[u], hi[0], hi[0])
		VPMAXUD(mag[u], mag[0], mag[0])
	}
	for _, o := range []struct {
		name string
		r    reg.VecVirtual
	}{{"lo", lo[0]}, {"hi", hi[0]}, {"mag", mag[0]}} {
		VMOVUPS(o.r, Mem{Base: ptr(o.name)})
	}
	VZEROUPPER()
	RET()
}

// fakeQuantize, when it audits, also stores per lane on how many elements
// rounding ties to even leads to another integer.
func fakeQuantize(v isa, mode string, audit bool) {
	if audit {
		TEXT("fakeQuantizeTies"+mode+v.name, NOSPLIT, "func(dst, src *float32, n int, inv, scale, lo, hi, zp float32, ties *uint32)")
	} else {
		TEXT("fakeQuantize"+mode+v.name, NOSPLIT, "func(dst, src *float32, n int, inv, scale, lo, hi, zp float32)")
	}
	Pragma("noescape")
	dst, src, n := ptr("dst"), ptr("src"), ptr("n")
	load := func(name string) reg.VecVirtual {
		r := v.vec()
		a, err := Param(name).Resolve()
		if err != nil {
			panic(err)
		}
		VBROADCASTSS(a.Addr, r)
		return r
	}
	inv, scale, lo, hi, zp := load("inv"), load("scale"), load("lo"), load("hi"), load("zp")
	var c [3]reg.VecVirtual
	switch mode {
	case "HalfUp":
		c = [3]reg.VecVirtual{v.float(0.5), v.float(1)}
	case "HalfDown":
		c = [3]reg.VecVirtual{v.bits(1 << 31), v.float(-0.5)}
	case "StdRound":
		c = [3]reg.VecVirtual{v.bits(1 << 31), v.float(math.Nextafter32(0.5, 0))}
	}
	unroll := 4
	if v.w == 8 {
		unroll = 2
	}
	var ties, one reg.VecVirtual
	if audit {
		ties = v.vec()
		v.xor(ties, ties, ties)
		if v.w == 16 {
			one = v.bits(1)
		}
	}
	loop(v, unroll, n, []step{{src, 4 * v.w}, {dst, 4 * v.w}}, func(u int) {
		x, r := v.vec(), v.vec()
		VMULPS(at(src, v, u), inv, x)
		var even reg.VecVirtual
		if audit {
			even = v.vec()
			v.round(0, x, even)
			VADDPS(zp, even, even)
			VMAXPS(even, lo, even)
			VMINPS(even, hi, even)
		}
		switch mode {
		case "HalfEven":
			v.round(0, x, r)
		case "StdRound":
			// The largest number below one half, with x's sign: adding it carries to
			// the next integer from one half up, and no less.
			v.and(x, c[0], r)
			v.or(r, c[1], r)
			VADDPS(x, r, r)
			v.round(3, r, r)
		case "HalfUp":
			v.round(0, x, r)
			VSUBPS(r, x, x)
			v.addWhereEqual(x, c[0], c[1], r)
		case "HalfDown":
			// Where rounding to even went half a step away from zero, step back.
			t := v.vec()
			v.round(0, x, r)
			v.and(x, c[0], t)
			v.xor(t, c[1], t)
			VSUBPS(r, x, x)
			two := v.vec()
			VADDPS(t, t, two)
			v.addWhereEqual(x, t, two, r)
		}
		VADDPS(zp, r, r)
		// With a NaN the second source is the result: NaN stays NaN.
		VMAXPS(r, lo, r)
		VMINPS(r, hi, r)
		if audit {
			v.countWhereUnequal(r, even, one, ties)
		}
		VSUBPS(zp, r, r)
		VMULPS(scale, r, r)
		VMOVUPS(r, at(dst, v, u))
	})
	if audit {
		VMOVUPS(ties, Mem{Base: ptr("ties")})
	}
	VZEROUPPER()
	RET()
}

// squaredDiffs compares five fix positions. amp holds each one's 2^p, sums its
// eight partial sums in steps squared, element i adding to sum i mod 8. The
// square of a float32 is exact in float64, so that fusing it with the addition
// changes nothing.
func squaredDiffs(v isa) {
	TEXT("squaredDiffs"+v.name, NOSPLIT, "func(x *float32, n int, amp *[5]float32, lo, hi float32, sums *[5][8]float64)")
	Pragma("noescape")
	const k = 5
	x, n := ptr("x"), ptr("n")
	amps, sums := ptr("amp"), ptr("sums")
	loAddr, err := Param("lo").Resolve()
	if err != nil {
		panic(err)
	}
	hiAddr, err := Param("hi").Resolve()
	if err != nil {
		panic(err)
	}
	if v.w == 16 {
		lo, hi := ZMM(), ZMM()
		VBROADCASTSS(loAddr.Addr, lo)
		VBROADCASTSS(hiAddr.Addr, hi)
		var amp, acc [k]reg.VecVirtual
		for c := range k {
			amp[c], acc[c] = ZMM(), ZMM()
			VBROADCASTSS(Mem{Base: amps, Disp: 4 * c}, amp[c])
			VMOVUPD(Mem{Base: sums, Disp: 64 * c}, acc[c])
		}
		loop(v, 1, n, []step{{x, 64}}, func(int) {
			y := ZMM()
			VMOVUPS(Mem{Base: x}, y)
			for c := range k {
				s, t, d := ZMM(), ZMM(), ZMM()
				VMULPS(amp[c], y, s)
				VRNDSCALEPS(U8(0), s, t)
				VMAXPS(lo, t, t)
				VMINPS(hi, t, t)
				VSUBPS(t, s, t)
				VCVTPS2PD(t.AsY(), d)
				VFMADD231PD(d, d, acc[c])
				h, e := YMM(), ZMM()
				VEXTRACTF64X4(U8(1), t, h)
				VCVTPS2PD(h, e)
				VFMADD231PD(e, e, acc[c])
			}
		})
		for c := range k {
			VMOVUPD(acc[c], Mem{Base: sums, Disp: 64 * c})
		}
	} else {
		// Sixteen registers: ten sums, and the factors from the stack.
		wide := AllocLocal(32 * k)
		slot := func(i int) Mem { return wide.Offset(32 * i) }
		t, lo, hi := YMM(), YMM(), YMM()
		for c := range k {
			VBROADCASTSS(Mem{Base: amps, Disp: 4 * c}, t)
			VMOVUPS(t, slot(c))
		}
		VBROADCASTSS(loAddr.Addr, lo)
		VBROADCASTSS(hiAddr.Addr, hi)
		var acc [k][2]reg.VecVirtual
		for c := range k {
			for h := range 2 {
				acc[c][h] = YMM()
				VMOVUPD(Mem{Base: sums, Disp: 64*c + 32*h}, acc[c][h])
			}
		}
		loop(v, 1, n, []step{{x, 32}}, func(int) {
			y := YMM()
			VMOVUPS(Mem{Base: x}, y)
			for c := range k {
				s, t, d := YMM(), YMM(), YMM()
				VMULPS(slot(c), y, s)
				VROUNDPS(U8(0), s, t)
				VMAXPS(lo, t, t)
				VMINPS(hi, t, t)
				VSUBPS(t, s, t)
				VCVTPS2PD(t.AsX(), d)
				VFMADD231PD(d, d, acc[c][0])
				h, e := XMM(), YMM()
				VEXTRACTF128(U8(1), t, h)
				VCVTPS2PD(h, e)
				VFMADD231PD(e, e, acc[c][1])
			}
		})
		for c := range k {
			for h := range 2 {
				VMOVUPD(acc[c][h], Mem{Base: sums, Disp: 64*c + 32*h})
			}
		}
	}
	VZEROUPPER()
	RET()
}

func histogramIndex(v isa) {
	TEXT("histogramIndex"+v.name, NOSPLIT, "func(index *uint32, x *float32, n int, limit float32)")
	Pragma("noescape")
	index, x, n := ptr("index"), ptr("x"), ptr("n")
	limit := v.vec()
	a, err := Param("limit").Resolve()
	if err != nil {
		panic(err)
	}
	VBROADCASTSS(a.Addr, limit)
	abs, bins, last := v.bits(0x7fffffff), v.float(2048), v.bits(2047)
	loop(v, 2, n, []step{{x, 4 * v.w}, {index, 4 * v.w}}, func(u int) {
		t := v.vec()
		VMOVUPS(at(x, v, u), t)
		v.and(t, abs, t)
		VDIVPS(limit, t, t)
		VMULPS(bins, t, t)
		VCVTTPS2DQ(t, t)
		VPMINUD(last, t, t)
		VMOVUPS(t, at(index, v, u))
	})
	VZEROUPPER()
	RET()
}

func bfloat16(v isa) {
	TEXT("roundBFloat16"+v.name, NOSPLIT, "func(dst, src *float32, n int)")
	Pragma("noescape")
	dst, src, n := ptr("dst"), ptr("src"), ptr("n")
	one, bias, top, quiet := v.bits(1), v.bits(0x7fff), v.bits(0xffff0000), v.bits(0x00400000)
	loop(v, 2, n, []step{{src, 4 * v.w}, {dst, 4 * v.w}}, func(u int) {
		x, r, nan := v.vec(), v.vec(), v.vec()
		VMOVUPS(at(src, v, u), x)
		VPSRLD(U8(16), x, r)
		v.and(r, one, r)
		VPADDD(bias, r, r)
		VPADDD(x, r, r)
		v.and(r, top, r)
		v.and(x, top, nan)
		v.or(nan, quiet, nan)
		if v.w == 16 {
			k := K()
			VCMPPS(U8(3), x, x, k)
			VMOVDQA32(nan, k, r)
		} else {
			VCMPPS(U8(3), x, x, x)
			VBLENDVPS(x, nan, r, r)
		}
		VMOVUPS(r, at(dst, v, u))
	})
	VZEROUPPER()
	RET()
}

func float16(v isa) {
	TEXT("roundFloat16"+v.name, NOSPLIT, "func(dst, src *float32, n int)")
	Pragma("noescape")
	dst, src, n := ptr("dst"), ptr("src"), ptr("n")
	loop(v, 2, n, []step{{src, 4 * v.w}, {dst, 4 * v.w}}, func(u int) {
		x := v.vec()
		VMOVUPS(at(src, v, u), x)
		var h reg.VecVirtual = XMM()
		if v.w == 16 {
			h = YMM()
		}
		VCVTPS2PH(U8(0), x, h)
		VCVTPH2PS(h, x)
		VMOVUPS(x, at(dst, v, u))
	})
	VZEROUPPER()
	RET()
}

// countBins counts n indices below 2048, a multiple of 8, into four histograms
// in turn, so that a run of equal values does not wait for its own last store.
func countBins() {
	TEXT("countBins", NOSPLIT, "func(h, index *uint32, n int)")
	Pragma("noescape")
	h, index, n := ptr("h"), ptr("index"), ptr("n")
	Label("many")
	CMPQ(n, I32(8))
	JL(LabelRef("done"))
	for i := 0; i < 8; i += 2 {
		lo, hi := GP64(), GP64()
		MOVQ(Mem{Base: index, Disp: 4 * i}, hi)
		MOVL(hi.As32(), lo.As32())
		SHRQ(U8(32), hi)
		INCL(Mem{Base: h, Index: lo, Scale: 4, Disp: 8192 * (i % 4)})
		INCL(Mem{Base: h, Index: hi, Scale: 4, Disp: 8192 * (i%4 + 1)})
	}
	ADDQ(I32(32), index)
	SUBQ(I32(8), n)
	JMP(LabelRef("many"))
	Label("done")
	RET()
}
