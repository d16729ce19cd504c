package samples

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"narrow/diag"
)

// Preset names a way to preprocess images and uint8 arrays. The empty one is
// [None].
type Preset string

// The presets. Each option in [Preprocess] changes one part of its preset.
const (
	// Imagenet: shorter side 256, centre crop 224, /255, minus the mean and
	// over the standard deviation of ImageNet. One-channel inputs get the
	// average of the three channels' values.
	Imagenet Preset = "imagenet"
	// PM1: resize and crop as Imagenet; x/127.5-1, so -1 to 1.
	PM1 Preset = "pm1"
	// Unit: x/255, so 0 to 1; no resizing.
	Unit Preset = "unit"
	// None leaves images as they are: 0 to 255.
	None Preset = "none"
)

// ParsePreset reads a preset's name.
func ParsePreset(s string) (Preset, error) {
	switch p := Preset(strings.ToLower(s)); p {
	case Imagenet, PM1, Unit, None:
		return p, nil
	}
	return "", diag.Errorf("%q is not a preset: it must be imagenet, pm1, unit or none", s)
}

// Size is a size to resize or crop to. The zero Size leaves the preset's.
type Size struct {
	// H and W are the height and width in pixels.
	H, W int
	// Short, when not zero, is one number instead: the length of the shorter
	// side to resize to (the other keeps the ratio, rounded down, as
	// torchvision does), or the side of a square to crop.
	Short int
	// Off switches off what the preset says.
	Off bool
}

// IsZero reports whether s says nothing.
func (s Size) IsZero() bool { return s == Size{} }

// String writes s as ParseSize reads it.
func (s Size) String() string {
	switch {
	case s.Short > 0:
		return strconv.Itoa(s.Short)
	case s.H > 0:
		return fmt.Sprintf("%dx%d", s.H, s.W)
	}
	return "none"
}

// maxSide bounds what images are resized to.
const maxSide = 1 << 14

// ParseSize reads "256", "240x320" (height x width), or "none".
func ParseSize(s string) (Size, error) {
	if s == "none" || s == "0" {
		return Size{Off: true}, nil
	}
	a, b, two := strings.Cut(strings.ToLower(s), "x")
	h, err := strconv.Atoi(a)
	w := h
	if err == nil && two {
		w, err = strconv.Atoi(b)
	}
	if err != nil || h < 1 || w < 1 || h > maxSide || w > maxSide {
		return Size{}, diag.Errorf("size %q is none of 256, 240x320 (height x width), none (1 to %d pixels)", s, maxSide)
	}
	if !two {
		return Size{Short: h}, nil
	}
	return Size{H: h, W: w}, nil
}

// Preprocess says how images and uint8 arrays become what a network takes, in
// this order: resize, centre crop, v = pixel*Scale, (v-mean)/std, channels
// reversed for BGR. Float and other arrays are taken as they are.
//
// uint8 arrays that have the network's height and width already are not
// resized and cropped by a preset, only by an explicit Resize or Crop. A
// preset's crop falls away where an explicit Resize makes just the network's
// height and width, and the crop does not.
type Preprocess struct {
	Preset Preset
	Resize Size
	Crop   Size
	// Scale, Mean and Std replace the preset's where they are not zero or nil.
	// Mean and Std have one value for all channels or one for each, in the
	// order in which the network sees the channels.
	Scale     float64
	Mean, Std []float64
	// BGR reverses the channels of colour images; a preset's mean and standard
	// deviation follow their colours.
	BGR bool
}

// recipe is a Preprocess with the preset filled in.
type recipe struct {
	resize, crop Size
	own          bool // resize or crop were asked for, not the preset's
	ownCrop      bool // the crop was
	scale        float64
	mean, std    []float64
	ownMean      bool
	ownStd       bool
	bgr          bool
}

func (p Preprocess) recipe() (recipe, error) {
	r := recipe{scale: 1, mean: []float64{0}, std: []float64{1}, bgr: p.BGR}
	switch p.Preset {
	case Imagenet:
		r.scale = 1.0 / 255
		r.mean = []float64{0.485, 0.456, 0.406}
		r.std = []float64{0.229, 0.224, 0.225}
	case PM1:
		r.scale = 1 / 127.5
		r.mean = []float64{1}
	case Unit:
		r.scale = 1.0 / 255
	case None, "":
	default:
		return r, diag.Errorf("%q is not a preset: it must be imagenet, pm1, unit or none", p.Preset)
	}
	if p.Preset == Imagenet || p.Preset == PM1 {
		r.resize, r.crop = Size{Short: 256}, Size{Short: 224}
	}
	if !p.Resize.IsZero() {
		r.resize, r.own = p.Resize, true
	}
	if !p.Crop.IsZero() {
		r.crop, r.own, r.ownCrop = p.Crop, true, true
	}
	for _, s := range []Size{r.resize, r.crop} {
		if s.Short < 0 || s.H < 0 || s.W < 0 || (s.H == 0) != (s.W == 0) || max(s.H, s.W, s.Short) > maxSide {
			return r, diag.Errorf("size %+v is impossible: 1 to %d pixels", s, maxSide)
		}
	}
	if p.Scale != 0 {
		r.scale = p.Scale
	}
	if p.Mean != nil {
		r.mean, r.ownMean = p.Mean, true
	}
	if p.Std != nil {
		r.std, r.ownStd = p.Std, true
	}
	bad := func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) }
	if bad(r.scale) || slices.ContainsFunc(r.mean, bad) || slices.ContainsFunc(r.std, bad) {
		return r, diag.Errorf("scale, mean and std must be finite numbers")
	}
	if len(r.mean) == 0 || len(r.std) == 0 || slices.Contains(r.std, 0) {
		return r, diag.Errorf("std must not be 0, and neither mean nor std empty")
	}
	return r, nil
}

// uncropped is r without a preset's crop where what was asked for resizes to just the
// h x w that a network takes, and the crop makes something else.
func (r recipe) uncropped(h, w int64) recipe {
	if !r.ownCrop && r.resize.H > 0 && int64(r.resize.H) == h && int64(r.resize.W) == w {
		r.crop = Size{}
	}
	return r
}

// String is the canonical form that goes into the hash of a set.
func (r recipe) String() string {
	return fmt.Sprintf("resize %v crop %v scale %v mean %v std %v own %v,%v bgr %v",
		r.resize, r.crop, r.scale, r.mean, r.std, r.ownMean, r.ownStd, r.bgr)
}

// plain reports whether the values of pixels stay as they are.
func (r recipe) plain() bool {
	return r.scale == 1 && !slices.ContainsFunc(r.mean, func(v float64) bool { return v != 0 }) &&
		!slices.ContainsFunc(r.std, func(v float64) bool { return v != 1 })
}

// tables returns, for each of c channels as the network sees them, the value
// of each pixel.
func (r recipe) tables(c int) ([][256]float32, error) {
	mean, err := perChannel(diag.Textf("the mean"), r.mean, r.ownMean, c, r.bgr)
	if err != nil {
		return nil, err
	}
	std, err := perChannel(diag.Textf("the standard deviation"), r.std, r.ownStd, c, r.bgr)
	if err != nil {
		return nil, err
	}
	out := make([][256]float32, c)
	for ch := range out {
		for v := range 256 {
			// In float32 and by division, as torchvision does it.
			scaled := float32(float64(v) * r.scale)
			centred := scaled - float32(mean[ch])
			out[ch][v] = centred / float32(std[ch])
		}
	}
	return out, nil
}

func perChannel(what diag.Text, v []float64, own bool, c int, bgr bool) ([]float64, error) {
	switch {
	case len(v) == 1:
		return slices.Repeat(v, c), nil
	case len(v) == c:
		if v = slices.Clone(v); bgr && !own && c == 3 {
			slices.Reverse(v)
		}
		return v, nil
	case own:
		return nil, diag.Errorf("%s has %d values, but the network's input has %d channels", what, len(v), c)
	case c == 1:
		sum := 0.0
		for _, x := range v {
			sum += x
		}
		return []float64{sum / float64(len(v))}, nil
	}
	return nil, diag.Errorf("the preset is for 1 or 3 channels, but the network's input has %d; give a mean and a standard deviation", c)
}

// resized returns the size to which an image of h x w is resized, and the
// size that is left after cropping.
func (r recipe) resized(h, w int) (rh, rw, ch, cw int) {
	rh, rw = h, w
	switch {
	case r.resize.Short > 0 && h <= w:
		rh, rw = r.resize.Short, int(int64(r.resize.Short)*int64(w)/int64(h))
	case r.resize.Short > 0:
		rh, rw = int(int64(r.resize.Short)*int64(h)/int64(w)), r.resize.Short
	case r.resize.H > 0:
		rh, rw = r.resize.H, r.resize.W
	}
	switch {
	case r.crop.Short > 0:
		return rh, rw, r.crop.Short, r.crop.Short
	case r.crop.H > 0:
		return rh, rw, r.crop.H, r.crop.W
	}
	return rh, rw, rh, rw
}

// fixed reports the size that all images get, whatever their own.
func (r recipe) fixed() (h, w int, ok bool) {
	switch {
	case r.crop.Short > 0:
		return r.crop.Short, r.crop.Short, true
	case r.crop.H > 0:
		return r.crop.H, r.crop.W, true
	case r.resize.H > 0:
		return r.resize.H, r.resize.W, true
	}
	return 0, 0, false
}

// cropStart is where a crop of n pixels out of size begins: the middle, with
// halves rounded to even as torchvision's CenterCrop does. It is negative when
// the crop is larger than the image; what lies outside is black.
func cropStart(size, n int) int {
	if size >= n {
		return int(math.RoundToEven(float64(size-n) / 2))
	}
	return -((n - size) / 2)
}
