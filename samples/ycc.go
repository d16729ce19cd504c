package samples

import "image"

// jpegToRGB converts decoded JPEG planes as libjpeg does by default: chroma
// interpolated by its "fancy" triangle filters, colours by its 16-bit fixed
// point. The standard library repeats chroma samples instead, which is off by
// several levels along coloured edges.
func jpegToRGB(p *pixels, img *image.YCbCr) {
	w, h := p.w, p.h
	hs, vs, box := 1, 1, false
	switch img.SubsampleRatio {
	case image.YCbCrSubsampleRatio444:
	case image.YCbCrSubsampleRatio422:
		hs = 2
	case image.YCbCrSubsampleRatio420:
		hs, vs = 2, 2
	case image.YCbCrSubsampleRatio440:
		vs = 2
	case image.YCbCrSubsampleRatio411:
		hs, box = 4, true
	case image.YCbCrSubsampleRatio410:
		hs, vs, box = 4, 2, true
	}
	cw, ch := (w+hs-1)/hs, (h+vs-1)/vs
	if hs == 2 && cw <= 2 {
		box = true // libjpeg's filter needs three columns
	}
	row := make([]uint8, 2*(cw*hs+2))
	cb, cr := row[:len(row)/2], row[len(row)/2:]
	sum := make([]int32, cw)
	for y := range h {
		yrow := img.Y[img.YOffset(img.Rect.Min.X, img.Rect.Min.Y+y):]
		for i, plane := range [2][]uint8{img.Cb, img.Cr} {
			dst := cb
			if i == 1 {
				dst = cr
			}
			near := plane[y/vs*img.CStride:][:cw]
			switch {
			case box:
				for x := range w {
					dst[x] = near[x/hs]
				}
			case vs == 2:
				// The row's other neighbour: above for even rows, below for
				// odd ones, itself at the image's edge.
				o := y/2 - 1 + 2*(y%2)
				o = min(max(o, 0), ch-1)
				far := plane[o*img.CStride:][:cw]
				if hs == 1 {
					bias := int32(1 + y%2)
					for x := range cw {
						dst[x] = uint8((3*int32(near[x]) + int32(far[x]) + bias) >> 2)
					}
					break
				}
				for x := range cw {
					sum[x] = 3*int32(near[x]) + int32(far[x])
				}
				last := cw - 1
				dst[0] = uint8((4*sum[0] + 8) >> 4)
				dst[1] = uint8((3*sum[0] + sum[1] + 7) >> 4)
				for x := 1; x < last; x++ {
					dst[2*x] = uint8((3*sum[x] + sum[x-1] + 8) >> 4)
					dst[2*x+1] = uint8((3*sum[x] + sum[x+1] + 7) >> 4)
				}
				dst[2*last] = uint8((3*sum[last] + sum[last-1] + 8) >> 4)
				dst[2*last+1] = uint8((4*sum[last] + 7) >> 4)
			case hs == 2:
				last := cw - 1
				dst[0] = near[0]
				dst[1] = uint8((3*int32(near[0]) + int32(near[1]) + 2) >> 2)
				for x := 1; x < last; x++ {
					v := 3 * int32(near[x])
					dst[2*x] = uint8((v + int32(near[x-1]) + 1) >> 2)
					dst[2*x+1] = uint8((v + int32(near[x+1]) + 2) >> 2)
				}
				dst[2*last] = uint8((3*int32(near[last]) + int32(near[last-1]) + 1) >> 2)
				dst[2*last+1] = near[last]
			default:
				copy(dst, near)
			}
		}
		out := p.pix[3*y*w:][:3*w]
		for x := range w {
			l := int32(yrow[x])
			b, r := int32(cb[x])-128, int32(cr[x])-128
			// FIX(1.402), FIX(0.344136286), FIX(0.714136286), FIX(1.772) of
			// libjpeg; only red and blue round each on their own.
			out[3*x] = clip8(l + (91881*r+32768)>>16)
			out[3*x+1] = clip8(l + (-22554*b-46802*r+32768)>>16)
			out[3*x+2] = clip8(l + (116130*b+32768)>>16)
		}
	}
}

func clip8(v int32) uint8 {
	if uint32(v) > 255 {
		return uint8(^(v >> 31))
	}
	return uint8(v)
}

// webpToRGB converts the planes of a lossy WebP as libwebp does: chroma from
// the four nearest samples, colours of the range 16..235.
func webpToRGB(p *pixels, img *image.YCbCr) {
	w, h := p.w, p.h
	cw, ch := (w+1)/2, (h+1)/2
	at := func(plane []uint8, x, y int) int32 {
		return int32(plane[min(max(y, 0), ch-1)*img.CStride+min(max(x, 0), cw-1)])
	}
	blend := func(plane []uint8, x, y int) int32 {
		cx, cy := x/2, y/2
		fx, fy := cx-1+2*(x%2), cy-1+2*(y%2)
		a, b, c, d := at(plane, cx, cy), at(plane, fx, cy), at(plane, cx, fy), at(plane, fx, fy)
		// libwebp's averaging, in its order of roundings.
		avg := a + b + c + d + 8
		return (a + (avg+2*(b+c))>>3) >> 1
	}
	hi := func(v, k int32) int32 { return v * k >> 8 }
	clip := func(v int32) uint8 { return clip8(v >> 6) }
	for y := range h {
		yrow := img.Y[img.YOffset(img.Rect.Min.X, img.Rect.Min.Y+y):]
		for x := range w {
			l := hi(int32(yrow[x]), 19077)
			u, v := blend(img.Cb, x, y), blend(img.Cr, x, y)
			out := p.pix[3*(y*w+x):][:3]
			out[0] = clip(l + hi(v, 26149) - 14234)
			out[1] = clip(l - hi(u, 6419) - hi(v, 13320) + 8708)
			out[2] = clip(l + hi(u, 33050) - 17685)
		}
	}
}
