package export

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"narrow/calibrate"
	"narrow/diag"
	"narrow/plan"
	"narrow/scheme"
	"narrow/strategy"
)

// QuantInfoFormat is the format that [QuantInfo] is written in.
const QuantInfoFormat = "narrow.quant_info/1"

// QuantInfo is quant_info.json: everything calibration found, and for what.
type QuantInfo struct {
	Format string    `json:"format"`
	Model  ModelInfo `json:"model"`
	// Strategy is the resolved strategy file, StrategySHA256 the hash that
	// [strategy.Strategy.SHA256] gives.
	Strategy       json.RawMessage `json:"strategy"`
	StrategySHA256 string          `json:"strategy_sha256"`
	Samples        SampleInfo      `json:"samples"`
	// Propagate is "progressive" or "float".
	Propagate string `json:"propagate"`
	// Accuracy is "high", or "" for the guide's way: see [QuantInfo.Way].
	Accuracy string `json:"accuracy,omitempty"`
	// Asked is "high" where that was asked for and the guide's result is kept, which this
	// then is.
	Asked string `json:"accuracy_asked,omitempty"`
	// Equalization is what was decided of it over samples; nil where nothing was.
	Equalization *calibrate.Equalization `json:"equalization,omitempty"`
	// Functions is what was decided over samples of functions behind weighted
	// operators.
	Functions plan.Functions `json:"functions,omitzero"`
	// Tensors are the quantized tensors in the network's topological order.
	Tensors []TensorInfo `json:"tensors"`
}

// Way returns the way to quantize that q is of: a file that tells none is of
// [scheme.Guide].
func (q *QuantInfo) Way() (scheme.Accuracy, error) {
	if q.Accuracy == "" {
		return scheme.Guide, nil
	}
	return scheme.ParseAccuracy(q.Accuracy)
}

// ModelInfo names a model file.
type ModelInfo struct {
	Path   string `json:"path"`
	SHA256 string `json:"sha256"`
}

// SampleInfo says what a plan was calibrated on.
type SampleInfo struct {
	// Count is how many samples there were, Batches in how many batches.
	Count   int `json:"count"`
	Batches int `json:"batches"`
	// SHA256 is over the samples' elements, in hex.
	SHA256 string `json:"sha256"`
}

// TensorInfo is one quantized tensor. Settings that do not count for the
// datatype are null, and so are QuantMin and QuantMax; Scale and ZeroPoint are
// then empty.
type TensorInfo struct {
	Name      string          `json:"name"`
	Kind      scheme.Kind     `json:"kind"`
	Layer     string          `json:"layer"`
	LayerType string          `json:"layer_type"`
	Datatype  scheme.Datatype `json:"datatype"`
	// BitWidth is 16 for bfloat16 and float16.
	BitWidth    int               `json:"bit_width"`
	Method      *scheme.Method    `json:"method"`
	RoundMode   *scheme.RoundMode `json:"round_mode"`
	Signed      *bool             `json:"signed"`
	Symmetry    *bool             `json:"symmetry"`
	NarrowRange *bool             `json:"narrow_range"`
	ScaleType   *scheme.ScaleType `json:"scale_type"`
	Axis        *int              `json:"axis"`
	Scale       []float32Exact    `json:"scale"`
	ZeroPoint   []int64           `json:"zero_point"`
	FixPosition []int             `json:"fix_position,omitempty"`
	QuantMin    *int64            `json:"quant_min"`
	QuantMax    *int64            `json:"quant_max"`
	// Integers are the weights where refinement chose them, else missing: in C
	// order, little-endian, 1 byte each up to a bit_width of 8, else 2 (base64).
	Integers []byte `json:"integers,omitempty"`
	// Batches is how many batches the tensor was seen in.
	Batches int `json:"batches"`
	// Reason tells, setting by setting, where it comes from.
	Reason []string `json:"because"`
}

// float32Exact is a float32 that is written as the decimal number that is
// nearest to its exact value in float64: reading it as float32 or as float64
// gives the same number.
type float32Exact float32

// MarshalJSON writes the number.
func (f float32Exact) MarshalJSON() ([]byte, error) { return json.Marshal(float64(f)) }

// UnmarshalJSON reads a number, rounding it to float32.
func (f *float32Exact) UnmarshalJSON(b []byte) error {
	var v float32
	if err := json.Unmarshal(b, &v); err != nil {
		return err
	}
	*f = float32Exact(v)
	return nil
}

// NewQuantInfo lists the encodings of in. An error names the tensor that has
// none, or one that does not fit.
func NewQuantInfo(in *calibrate.Calibrated) (*QuantInfo, error) {
	s := in.Plan.Strategy
	q := &QuantInfo{
		Format: QuantInfoFormat, Model: ModelInfo{in.ModelPath, in.ModelSHA256},
		Strategy: s.MarshalResolved(), StrategySHA256: s.SHA256(),
		Samples:   SampleInfo{in.Samples, in.Batches, in.SamplesSHA256},
		Propagate: in.Propagate.String(), Equalization: in.Equalization, Functions: in.Plan.Options.Functions, Tensors: []TensorInfo{},
	}
	if a := in.Plan.Options.Accuracy; a == scheme.High {
		q.Accuracy = a.String()
	} else if in.KeptGuide() {
		q.Asked = scheme.High.String()
	}
	for _, t := range in.Plan.Tensors {
		ti := newTensorInfo(t)
		if reasons, ok := in.Reasons[t]; ok {
			ti.Reason = reasons
		}
		if t.Settings.Settings.Datatype == scheme.Int {
			e, ok := in.Encodings[t]
			if !ok {
				return nil, diag.Errorf("%s has no encoding", describe(t))
			}
			if err := checkEncoding(t, e); err != nil {
				return nil, diag.Errorf("%s: %w", describe(t), err)
			}
			ti.setEncoding(e)
			if w := in.Weights[t]; w != nil {
				ti.Integers = w.Append(make([]byte, 0, w.Len()*ti.integerSize()), ti.integerSize())
			}
		}
		q.Tensors = append(q.Tensors, ti)
	}
	return q, nil
}

// newTensorInfo fills in what the plan says of t.
func newTensorInfo(t *plan.Tensor) TensorInfo {
	s := t.Settings.Settings
	ti := TensorInfo{
		Name: t.Name, Kind: t.Kind, Layer: t.Layer.Name, LayerType: t.Layer.Op,
		Datatype: s.Datatype, BitWidth: 16, Scale: []float32Exact{}, ZeroPoint: []int64{},
		Reason: reasons(&t.Settings),
	}
	if s.Datatype != scheme.Int {
		return ti
	}
	ti.BitWidth = s.BitWidth
	ti.Method, ti.RoundMode, ti.ScaleType = &s.Method, &s.RoundMode, &s.ScaleType
	ti.Signed, ti.Symmetry, ti.NarrowRange = &s.Signed, &s.Symmetry, &s.NarrowRange
	if t.Axis >= 0 {
		axis := t.Axis
		ti.Axis = &axis
	}
	return ti
}

func (ti *TensorInfo) setEncoding(e scheme.Encoding) {
	for _, s := range e.Scale {
		ti.Scale = append(ti.Scale, float32Exact(s))
	}
	ti.ZeroPoint = append(ti.ZeroPoint, e.ZeroPoint...)
	ti.FixPosition = append(ti.FixPosition, e.FixPosition...)
	ti.QuantMin, ti.QuantMax = &e.Min, &e.Max
	ti.Batches = e.Batches
}

// encoding is the reverse of setEncoding.
func (ti *TensorInfo) encoding() scheme.Encoding {
	e := scheme.Encoding{Axis: -1, Batches: ti.Batches, ZeroPoint: ti.ZeroPoint}
	for _, s := range ti.Scale {
		e.Scale = append(e.Scale, float32(s))
	}
	if len(ti.FixPosition) > 0 {
		e.FixPosition = ti.FixPosition
	}
	if ti.Axis != nil {
		e.Axis = *ti.Axis
	}
	if ti.QuantMin != nil && ti.QuantMax != nil {
		e.Min, e.Max = *ti.QuantMin, *ti.QuantMax
	}
	return e
}

// reasons tells where the settings that count come from, those that one object
// of the file sets together, with their lines:
// "overall_quantize_config of s.json: datatype (line 3), bit_width (line 4)".
func reasons(r *strategy.Resolved) []string {
	type from struct{ text, file string }
	keys := map[from][]string{}
	var order []from
	for _, k := range strategy.Keys() {
		if !r.Applies(k) {
			continue
		}
		b := r.Reason(k)
		f := from{b.Text.String(), b.Range.File}
		if keys[f] == nil {
			order = append(order, f)
		}
		key := k.String()
		if line := b.Range.Start.Line; line > 0 {
			key += fmt.Sprintf(" (line %d)", line)
		}
		keys[f] = append(keys[f], key)
	}
	out := make([]string, len(order))
	for i, f := range order {
		text := f.text
		if f.file != "" {
			text += " of " + f.file
		}
		out[i] = text + ": " + strings.Join(keys[f], ", ")
	}
	return out
}

// describe names a tensor in messages.
func describe(t *plan.Tensor) diag.Text {
	return diag.Textf("tensor %q (%v of layer %q)", t.Name, t.Kind, t.Layer.Name)
}

// checkEncoding reports whether e is an encoding that t can have.
func checkEncoding(t *plan.Tensor, e scheme.Encoding) error {
	n := 1
	if e.Axis != t.Axis {
		return diag.Errorf("its channel axis is %s, not %s", axisText(t.Axis), axisText(e.Axis))
	}
	if e.Axis >= 0 {
		if t.Constant == nil || e.Axis >= len(t.Constant.Dims) {
			return diag.Errorf("it has no axis %d", e.Axis)
		}
		n = int(t.Constant.Dims[e.Axis])
	}
	if len(e.Scale) != n {
		return diag.Errorf("it has %d channels, not %d", n, len(e.Scale))
	}
	lo, hi := t.Settings.Settings.Range()
	if e.Min != lo || e.Max != hi {
		return diag.Errorf("its integers lie in [%d, %d], not [%d, %d]", lo, hi, e.Min, e.Max)
	}
	return checkNumbers(e)
}

// checkNumbers reports whether e makes sense by itself.
func checkNumbers(e scheme.Encoding) error {
	if len(e.ZeroPoint) != len(e.Scale) {
		return diag.Errorf("%d scales but %d zero points", len(e.Scale), len(e.ZeroPoint))
	}
	if e.FixPosition != nil && len(e.FixPosition) != len(e.Scale) {
		return diag.Errorf("%d scales but %d fix positions", len(e.Scale), len(e.FixPosition))
	}
	if len(e.Scale) == 0 {
		return diag.Errorf("no scale")
	}
	if e.Min >= e.Max {
		return diag.Errorf("quant_min %d is not below quant_max %d", e.Min, e.Max)
	}
	for i, s := range e.Scale {
		if !(s > 0) || math.IsInf(float64(s), 0) {
			return diag.Errorf("scale %v is not positive and finite", s)
		}
		if z := e.ZeroPoint[i]; z < e.Min || z > e.Max {
			return diag.Errorf("zero point %d is not in [%d, %d]", z, e.Min, e.Max)
		}
		if e.FixPosition != nil && scheme.FixScale(e.FixPosition[i]) != s {
			return diag.Errorf("scale %v is not 2^-%d, which its fix position says", s, e.FixPosition[i])
		}
	}
	return nil
}

func axisText(axis int) diag.Text {
	if axis < 0 {
		return diag.Textf("none (per tensor)")
	}
	return diag.Verbatim(fmt.Sprint(axis))
}

// Marshal returns the file: two blanks a level, lists of numbers on one line.
// The same QuantInfo gives the same bytes, and [ReadQuantInfo] gives it back.
func (q *QuantInfo) Marshal() ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(q); err != nil {
		return nil, diag.Errorf("quant_info: %w", err)
	}
	return indentJSON(buf.Bytes()), nil
}

// ReadQuantInfo reads a quant_info.json; file is its name, for messages. An
// error names the file, the place or tensor, and what is wrong. Keys that this
// version does not know are ignored.
func ReadQuantInfo(file string, data []byte) (*QuantInfo, error) {
	q, err := readQuantInfo(data)
	if err != nil {
		return nil, diag.Errorf("%s: %w", file, err)
	}
	return q, nil
}

func readQuantInfo(data []byte) (*QuantInfo, error) {
	var head struct{ Format string }
	if err := decodeJSON(data, &head); err != nil {
		return nil, err
	}
	switch {
	case head.Format == "":
		return nil, diag.Errorf("no \"format\": this is no quant_info.json of narrow's (which has %q)", QuantInfoFormat)
	case head.Format != QuantInfoFormat:
		return nil, diag.Errorf("its format is %q; this version reads %q: calibrate again", head.Format, QuantInfoFormat)
	}
	q := &QuantInfo{}
	if err := decodeJSON(data, q); err != nil {
		return nil, err
	}
	if len(q.Strategy) == 0 || string(q.Strategy) == "null" {
		return nil, diag.Errorf("no \"strategy\"")
	}
	for i := range q.Tensors {
		ti := &q.Tensors[i]
		if err := ti.check(); err != nil {
			return nil, diag.Errorf("tensors[%d] %q: %w", i, ti.Name, err)
		}
	}
	return q, nil
}

// check reports whether ti is complete.
func (ti *TensorInfo) check() error {
	switch {
	case ti.Name == "":
		return diag.Errorf("no name")
	case ti.Kind == 0:
		return diag.Errorf("no kind")
	case ti.Datatype == 0:
		return diag.Errorf("no datatype")
	case ti.Datatype != scheme.Int:
		if len(ti.Scale) > 0 || len(ti.ZeroPoint) > 0 || len(ti.FixPosition) > 0 {
			return diag.Errorf("a scale or zero point, but its datatype is %v", ti.Datatype)
		}
		return nil
	case ti.Method == nil || ti.RoundMode == nil || ti.ScaleType == nil || *ti.Method == 0 || *ti.RoundMode == 0 || *ti.ScaleType == 0:
		return diag.Errorf("no method, round_mode or scale_type")
	case ti.Signed == nil || ti.Symmetry == nil || ti.NarrowRange == nil:
		return diag.Errorf("no signed, symmetry or narrow_range")
	case ti.QuantMin == nil || ti.QuantMax == nil:
		return diag.Errorf("no quant_min or quant_max")
	case ti.BitWidth < 2 || ti.BitWidth > 32:
		return diag.Errorf("bit_width %d is not in 2..32", ti.BitWidth)
	case ti.Axis != nil && *ti.Axis < 0:
		return diag.Errorf("axis %d is negative", *ti.Axis)
	case ti.Axis == nil && len(ti.Scale) != 1:
		return diag.Errorf("%d scales without an axis", len(ti.Scale))
	case (*ti.ScaleType == scheme.PowerOfTwo) != (len(ti.FixPosition) > 0):
		return diag.Errorf("scale_type is %v, but there are %d fix positions", *ti.ScaleType, len(ti.FixPosition))
	}
	return checkNumbers(ti.encoding())
}

// ReadStrategy parses the resolved strategy that q holds, and checks its
// hash. file is the name of the quant_info.json, for messages.
func (q *QuantInfo) ReadStrategy(file string) (*strategy.Strategy, diag.List, error) {
	s, list := strategy.Parse(file+"#strategy", q.Strategy)
	if list.HasErrors() {
		return nil, list, diag.Errorf("%s: the strategy in it: %w", file, list.Err())
	}
	if got := s.SHA256(); got != q.StrategySHA256 {
		return nil, list, diag.Errorf("%s: the strategy in it has the hash %.12s, but strategy_sha256 is %.12s: it was changed by hand", file, got, q.StrategySHA256)
	}
	return s, list, nil
}

// tensorKey tells tensors of one model apart.
type tensorKey struct {
	kind        scheme.Kind
	layer, name string
}

// Apply maps the encodings of q to the tensors of p, which must be planned from
// the same model and strategy. The error names the first tensor that is only in
// one of the two, or is not quantized alike.
func (q *QuantInfo) Apply(p *plan.Plan) (map[*plan.Tensor]scheme.Encoding, error) {
	infos, err := q.match(p)
	if err != nil {
		return nil, err
	}
	encodings := map[*plan.Tensor]scheme.Encoding{}
	for t, ti := range infos {
		if ti.Datatype == scheme.Int {
			encodings[t] = ti.encoding()
		}
	}
	return encodings, nil
}

// match finds what q says of each tensor of p. The errors are those of
// [QuantInfo.Apply].
func (q *QuantInfo) match(p *plan.Plan) (map[*plan.Tensor]*TensorInfo, error) {
	infos := map[tensorKey][]*TensorInfo{}
	for i := range q.Tensors {
		ti := &q.Tensors[i]
		k := tensorKey{ti.Kind, ti.Layer, ti.Name}
		infos[k] = append(infos[k], ti)
	}
	out := map[*plan.Tensor]*TensorInfo{}
	for _, t := range p.Tensors {
		k := tensorKey{t.Kind, t.Layer.Name, t.Name}
		// Layers without names may share one: their order tells them apart.
		if len(infos[k]) == 0 {
			return nil, diag.Errorf("quant_info.json has no %s: it is of another model or strategy", describe(t))
		}
		ti := infos[k][0]
		infos[k] = infos[k][1:]
		if err := ti.fits(t); err != nil {
			return nil, diag.Errorf("%s does not fit quant_info.json: %w", describe(t), err)
		}
		out[t] = ti
	}
	for i := range q.Tensors {
		ti := &q.Tensors[i]
		if rest := infos[tensorKey{ti.Kind, ti.Layer, ti.Name}]; len(rest) > 0 {
			return nil, diag.Errorf("quant_info.json has tensor %q (%v of layer %q), which is not quantized in this model under this strategy", ti.Name, ti.Kind, ti.Layer)
		}
	}
	return out, nil
}

// fits reports whether ti was made for t.
func (ti *TensorInfo) fits(t *plan.Tensor) error {
	want := newTensorInfo(t)
	for _, c := range []struct {
		what      string
		got, want any
	}{
		{"datatype", ti.Datatype, want.Datatype},
		{"bit_width", ti.BitWidth, want.BitWidth},
		{"method", deref(ti.Method), deref(want.Method)},
		{"round_mode", deref(ti.RoundMode), deref(want.RoundMode)},
		{"signed", deref(ti.Signed), deref(want.Signed)},
		{"symmetry", deref(ti.Symmetry), deref(want.Symmetry)},
		{"narrow_range", deref(ti.NarrowRange), deref(want.NarrowRange)},
		{"scale_type", deref(ti.ScaleType), deref(want.ScaleType)},
	} {
		if c.got != c.want {
			return diag.Errorf("its %s is %v there, %v here", c.what, c.got, c.want)
		}
	}
	if ti.Datatype != scheme.Int {
		return nil
	}
	return checkEncoding(t, ti.encoding())
}

func deref[T any](p *T) T {
	if p == nil {
		var zero T
		return zero
	}
	return *p
}

// decodeJSON decodes exactly one JSON value; errors tell the line.
func decodeJSON(data []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(data))
	err := dec.Decode(v)
	if err == nil {
		if _, e := dec.Token(); e != io.EOF {
			return diag.Errorf("line %d: more follows the JSON value", lineOf(data, dec.InputOffset()))
		}
		return nil
	}
	var syntax *json.SyntaxError
	var typ *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return diag.Errorf("line %d: %w", lineOf(data, syntax.Offset), err)
	case errors.As(err, &typ):
		return diag.Errorf("line %d: %s is a %s", lineOf(data, typ.Offset), typ.Field, typ.Value)
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return diag.Errorf("the file ends too early")
	}
	return diag.Errorf("line %d: %w", lineOf(data, dec.InputOffset()), err)
}

func lineOf(data []byte, offset int64) int {
	return 1 + bytes.Count(data[:min(max(offset, 0), int64(len(data)))], []byte("\n"))
}
