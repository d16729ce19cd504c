package samples

import (
	"bytes"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/image/bmp"
	"golang.org/x/image/webp"

	"narrow/diag"
)

// An image of more pixels is taken for a decompression bomb. PIL refuses the
// same size; and a file of a few bytes that claims to hold many pixels is one,
// too: formats spend a byte on 1,100 pixels at the least where there is anything
// to see.
const (
	maxPixels     = 2 * 89478485
	freePixels    = 16 << 20
	pixelsPerByte = 1100
)

var imageExts = []string{".bmp", ".gif", ".jpe", ".jpeg", ".jfif", ".jpg", ".png", ".webp"}

// isImage reports whether a file name is an image's.
func isImage(name string) bool {
	return slices.Contains(imageExts, strings.ToLower(filepath.Ext(name)))
}

// pixels is an image of c interleaved 8-bit channels: 1 (grey), 3 (RGB), or in
// arrays 4 (RGBA) too.
type pixels struct {
	w, h, c int
	pix     []uint8
}

// reshape makes room for an image, reusing memory.
func (p *pixels) reshape(w, h, c int) {
	p.w, p.h, p.c = w, h, c
	p.pix = slices.Grow(p.pix[:0], w*h*c)[:w*h*c]
}

type decoder struct {
	name   string
	decode func([]byte) (image.Image, error)
	config func([]byte) (image.Config, error)
}

// sniff finds the decoder by the file's first bytes: names lie.
func sniff(data []byte) (decoder, error) {
	switch {
	case bytes.HasPrefix(data, []byte("\xff\xd8")):
		return decoder{"JPEG",
			func(b []byte) (image.Image, error) { return jpeg.Decode(bytes.NewReader(b)) },
			func(b []byte) (image.Config, error) { return jpeg.DecodeConfig(bytes.NewReader(b)) }}, nil
	case bytes.HasPrefix(data, []byte("\x89PNG\r\n\x1a\n")):
		return decoder{"PNG",
			func(b []byte) (image.Image, error) { return png.Decode(bytes.NewReader(b)) },
			func(b []byte) (image.Config, error) { return png.DecodeConfig(bytes.NewReader(b)) }}, nil
	case bytes.HasPrefix(data, []byte("GIF8")):
		return decoder{"GIF",
			func(b []byte) (image.Image, error) { return gif.Decode(bytes.NewReader(b)) },
			func(b []byte) (image.Config, error) { return gif.DecodeConfig(bytes.NewReader(b)) }}, nil
	case bytes.HasPrefix(data, []byte("BM")):
		return decoder{"BMP",
			func(b []byte) (image.Image, error) { return bmp.Decode(bytes.NewReader(b)) },
			func(b []byte) (image.Config, error) { return bmp.DecodeConfig(bytes.NewReader(b)) }}, nil
	case len(data) >= 12 && string(data[:4]) == "RIFF" && string(data[8:12]) == "WEBP":
		return decoder{"WebP",
			func(b []byte) (image.Image, error) { return webp.Decode(bytes.NewReader(b)) },
			func(b []byte) (image.Config, error) { return webp.DecodeConfig(bytes.NewReader(b)) }}, nil
	case len(data) == 0:
		return decoder{}, diag.Errorf("the file is empty")
	}
	return decoder{}, diag.Errorf("not a JPEG, PNG, GIF, BMP or WebP file: replace it, or take it out")
}

// imageSize reads an image's width and height from its header.
func imageSize(data []byte) (w, h int, err error) {
	d, err := sniff(data)
	if err != nil {
		return 0, 0, err
	}
	cfg, err := d.config(data)
	if err != nil {
		return 0, 0, diag.Errorf("does not decode as %s: %w", d.name, err)
	}
	if cfg.Width <= 0 || cfg.Height <= 0 || cfg.Width > maxPixels/cfg.Height {
		return 0, 0, diag.Errorf("%d x %d pixels are not an image that can be read: at most %d are", cfg.Width, cfg.Height, maxPixels)
	}
	if cfg.Width*cfg.Height > freePixels+pixelsPerByte*len(data) {
		return 0, 0, diag.Errorf("its %d bytes claim to hold %d x %d pixels, far more than an image of that size has: replace it, or take it out", len(data), cfg.Width, cfg.Height)
	}
	return cfg.Width, cfg.Height, nil
}

// decodeImage decodes an image to RGB.
func decodeImage(p *pixels, data []byte) error {
	w, h, err := imageSize(data)
	if err != nil {
		return err
	}
	d, err := sniff(data)
	if err != nil {
		return err
	}
	img, err := d.decode(data)
	if err != nil {
		return diag.Errorf("does not decode as %s: %w", d.name, err)
	}
	if d.name == "GIF" { // the first frame may cover a part of the screen only
		p.reshape(w, h, 3)
		clear(p.pix)
		paint(p, img)
		return nil
	}
	b := img.Bounds()
	p.reshape(b.Dx(), b.Dy(), 3)
	switch img := img.(type) {
	case *image.YCbCr:
		if d.name == "WebP" {
			webpToRGB(p, img)
		} else {
			jpegToRGB(p, img)
		}
	case *image.NYCbCrA:
		webpToRGB(p, &img.YCbCr)
	default:
		paint(p, img)
	}
	return nil
}

// paint draws img, alpha dropped, at its bounds' place in p.
func paint(p *pixels, img image.Image) {
	b := img.Bounds()
	min := b.Min
	if b.Dx() == p.w && b.Dy() == p.h {
		min = image.Point{} // it fills p, wherever its bounds begin
	}
	shift := b.Min.Sub(min)
	r := image.Rectangle{min, min.Add(b.Size())}.Intersect(image.Rect(0, 0, p.w, p.h))
	for y := r.Min.Y; y < r.Max.Y; y++ {
		out := p.pix[3*(y*p.w+r.Min.X):]
		sy := y + shift.Y
		switch img := img.(type) {
		case *image.Gray:
			in := img.Pix[img.PixOffset(r.Min.X+shift.X, sy):]
			for x := range r.Dx() {
				v := in[x]
				out[3*x], out[3*x+1], out[3*x+2] = v, v, v
			}
		case *image.NRGBA:
			in := img.Pix[img.PixOffset(r.Min.X+shift.X, sy):]
			for x := range r.Dx() {
				out[3*x], out[3*x+1], out[3*x+2] = in[4*x], in[4*x+1], in[4*x+2]
			}
		case *image.RGBA: // the decoders give this type for opaque images only
			in := img.Pix[img.PixOffset(r.Min.X+shift.X, sy):]
			for x := range r.Dx() {
				out[3*x], out[3*x+1], out[3*x+2] = in[4*x], in[4*x+1], in[4*x+2]
			}
		case *image.CMYK:
			in := img.Pix[img.PixOffset(r.Min.X+shift.X, sy):]
			for x := range r.Dx() {
				white := 255 - uint32(in[4*x+3])
				for c := range 3 {
					t := uint32(in[4*x+c])*white + 128
					out[3*x+c] = uint8(white - min255(((t>>8)+t)>>8, white))
				}
			}
		case *image.Gray16: // numpy's habit: the high byte
			for x := range r.Dx() {
				v := uint8(img.Gray16At(r.Min.X+shift.X+x, sy).Y >> 8)
				out[3*x], out[3*x+1], out[3*x+2] = v, v, v
			}
		case *image.Paletted:
			in := img.Pix[img.PixOffset(r.Min.X+shift.X, sy):]
			for x := range r.Dx() {
				if int(in[x]) >= len(img.Palette) {
					out[3*x], out[3*x+1], out[3*x+2] = 0, 0, 0
					continue
				}
				v := color.NRGBAModel.Convert(img.Palette[in[x]]).(color.NRGBA)
				out[3*x], out[3*x+1], out[3*x+2] = v.R, v.G, v.B
			}
		default:
			for x := range r.Dx() {
				v := color.NRGBAModel.Convert(img.At(r.Min.X+shift.X+x, sy)).(color.NRGBA)
				out[3*x], out[3*x+1], out[3*x+2] = v.R, v.G, v.B
			}
		}
	}
}

func min255(a, b uint32) uint32 {
	if a < b {
		return a
	}
	return b
}

// toChannels changes an image in place from its channels to n of them: grey is
// repeated, RGB becomes luma (ITU-R 601, PIL's integers), alpha is dropped. It
// reports false where there is no sense in that.
func (p *pixels) toChannels(n int) bool {
	if p.c == n {
		return true
	}
	count := p.w * p.h
	switch {
	case p.c == 1 && n == 3:
		p.pix = slices.Grow(p.pix, 2*count)[:3*count]
		for i := count - 1; i >= 0; i-- {
			v := p.pix[i]
			p.pix[3*i], p.pix[3*i+1], p.pix[3*i+2] = v, v, v
		}
	case (p.c == 3 || p.c == 4) && n == 1:
		for i := range count {
			in := p.pix[p.c*i:]
			p.pix[i] = uint8((uint32(in[0])*19595 + uint32(in[1])*38470 + uint32(in[2])*7471 + 0x8000) >> 16)
		}
	case p.c == 4 && n == 3:
		for i := range count {
			copy(p.pix[3*i:3*i+3], p.pix[4*i:])
		}
	default:
		return false
	}
	p.c = n
	p.pix = p.pix[:n*count]
	return true
}
