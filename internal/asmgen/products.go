package main

import (
	. "github.com/mmcloughlin/avo/build"
	. "github.com/mmcloughlin/avo/operand"
	"github.com/mmcloughlin/avo/reg"
)

// productTile adds the products of 2 columns of x with some of y (two vectors
// of float64 in AVX-512, one in AVX2) to c, over rows: four sums for each,
// of every fourth row, and what is left over to the first. ld is how many elements
// a row of c has, stride how many one of x and y.
func productTile(v isa) {
	TEXT("productTile"+v.name, NOSPLIT, "func(c, x, y *float64, ld, stride, rows int)")
	Pragma("noescape")
	width, wide := 32, 1 // bytes of a vector, and how many a tile has
	if v.w == 16 {
		width, wide = 64, 2
	}
	const high, phases = 2, 4
	c, x, y := ptr("c"), ptr("x"), ptr("y")
	ld, stride, rows := ptr("ld"), ptr("stride"), ptr("rows")
	SHLQ(U8(3), ld)
	SHLQ(U8(3), stride)
	var acc [phases][high][2]reg.VecVirtual
	for p := range phases {
		for h := range high {
			for w := range wide {
				a := v.vec()
				v.xor(a, a, a)
				acc[p][h][w] = a
			}
		}
	}
	// row adds one row to the sums of phase p.
	row := func(p int) {
		var cols [2]reg.VecVirtual
		for w := range wide {
			cols[w] = v.vec()
			VMOVUPD(Mem{Base: y, Disp: width * w}, cols[w])
		}
		for h := range high {
			b := v.vec()
			VBROADCASTSD(Mem{Base: x, Disp: 8 * h}, b)
			for w := range wide {
				VFMADD231PD(cols[w], b, acc[p][h][w])
			}
		}
		ADDQ(stride, x)
		ADDQ(stride, y)
	}
	Label("four")
	CMPQ(rows, U8(phases))
	JL(LabelRef("one"))
	for p := range phases {
		row(p)
	}
	SUBQ(U8(phases), rows)
	JMP(LabelRef("four"))
	Label("one")
	CMPQ(rows, U8(1))
	JL(LabelRef("done"))
	row(0)
	SUBQ(U8(1), rows)
	JMP(LabelRef("one"))
	Label("done")
	for h := range high {
		for w := range wide {
			VADDPD(acc[1][h][w], acc[0][h][w], acc[0][h][w])
			VADDPD(acc[3][h][w], acc[2][h][w], acc[2][h][w])
			VADDPD(acc[2][h][w], acc[0][h][w], acc[0][h][w])
			t := v.vec()
			VMOVUPD(Mem{Base: c, Disp: width * w}, t)
			VADDPD(acc[0][h][w], t, t)
			VMOVUPD(t, Mem{Base: c, Disp: width * w})
		}
		if h == 0 {
			ADDQ(ld, c)
		}
	}
	VZEROUPPER()
	RET()
}
