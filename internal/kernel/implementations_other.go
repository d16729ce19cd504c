//go:build !amd64 || noasm

package kernel

func implementations() []loops { return []loops{plain()} }

func dotBlocks(x, y []float64, sums *[16]float64) { dotGo(x, y, sums) }
