package xmodel

import "narrow/diag"

// Limits of the DPUCZDX8G with 4096 operations a cycle (ZCU102, ZCU104), of the
// engines for which its guide tells them. Other DPUs have others.
//
// Source: AMD, UG1414 Vitis AI User Guide, "Currently Supported Operators"
// (column DPUCZDX8G_ISA1_B4096) and "Operators Supported by PyTorch" (groups).
const (
	dpuParallel = 16   // channels at once
	dpuBank     = 2048 // depth of a bank of weights
	dpuChannels = 256 * dpuParallel
)

// limits tells which of these an operator goes beyond: the compiler then leaves
// it to the CPU.
func limits(n *node) []diag.Text {
	depthwise := false
	most, steps := int32(16), int32(8)
	switch n.op {
	case "conv2d":
	case "depthwise-conv2d":
		depthwise, most, steps = true, 256, 256
	default:
		return nil
	}
	attr := map[string]any{}
	for _, a := range n.attrs {
		attr[a.Name] = a.Value
	}
	kernel, stride, dilation := attr["kernel"].([]int32), attr["stride"].([]int32), attr["dilation"].([]int32)
	pad, in, out, group := attr["pad"].([]int32), attr["in_dim"].(int32), attr["out_dim"].(int32), attr["group"].(int32)
	var over []diag.Text
	note := func(beyond bool, what diag.Text) {
		if beyond {
			over = append(over, diag.Textf("note: beyond the DPUCZDX8G (UG1414): %s", what))
		}
	}
	note(!depthwise && group > 1, diag.Textf("%d groups, where it has 1 or as many as input channels", group))
	note(max(kernel[0], kernel[1]) > most, diag.Textf("a kernel of %d x %d, where it has up to %d", kernel[0], kernel[1], most))
	note(max(stride[0], stride[1]) > steps, diag.Textf("strides of %d x %d, where it has up to %d", stride[0], stride[1], steps))
	note(max(dilation[0], dilation[1])*in > dpuChannels, diag.Textf("dilation times input channels is %d, where it has up to %d", max(dilation[0], dilation[1])*in, dpuChannels))
	for i, p := range pad {
		most := (kernel[i/2] - 1) * dilation[i/2]
		if p > most {
			note(true, diag.Textf("a padding of %d, where it has up to %d for this kernel", p, most))
			break
		}
	}
	size := kernel[0] * kernel[1] * ((in + dpuParallel - 1) / dpuParallel)
	note(!depthwise && size > dpuBank, diag.Textf("kernel times input channels takes %d places of weights, where it has %d", size, dpuBank))
	note(out > dpuChannels, diag.Textf("%d output channels, where it has up to %d", out, dpuChannels))
	return over
}
