package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// dot adds the products of x with y to 16 sums, element i to sum i mod 16. n is a
// positive multiple of 16.
func dot(v isa) {
	TEXT("dot"+v.name, NOSPLIT, "func(x, y *float64, n int, sums *[16]float64)")
	Pragma("noescape")
	width, wide := 32, 4 // bytes of a vector, and how many hold 16 elements
	if v.w == 16 {
		width, wide = 64, 2
	}
	x, y, n, sums := ptr("x"), ptr("y"), ptr("n"), ptr("sums")
	var acc [4]reg.VecVirtual
	for k := range wide {
		acc[k] = v.vec()
		VMOVUPD(Mem{Base: sums, Disp: width * k}, acc[k])
	}
	Label("next")
	for k := range wide {
		t := v.vec()
		VMOVUPD(Mem{Base: x, Disp: width * k}, t)
		VMULPD(Mem{Base: y, Disp: width * k}, t, t)
		VADDPD(t, acc[k], acc[k])
	}
	ADDQ(U32(128), x)
	ADDQ(U32(128), y)
	SUBQ(U8(16), n)
	JNE(LabelRef("next"))
	for k := range wide {
		VMOVUPD(acc[k], Mem{Base: sums, Disp: width * k})
	}
	VZEROUPPER()
	RET()
}
