package export

import (
	"encoding/json"
	"maps"
	"math"
	"slices"
	"strings"

	"narrow/diag"
)

// MarshalBiasCorr returns the content of bias_corr.json: what bias correction
// took from each layer's bias, by the layer's name, in order of the names. A
// value that is not finite is an error that names the layer.
func MarshalBiasCorr(corr map[string][]float32) ([]byte, error) {
	var b strings.Builder
	b.WriteByte('{')
	for i, layer := range slices.Sorted(maps.Keys(corr)) {
		if i > 0 {
			b.WriteByte(',')
		}
		values := make([]float32Exact, len(corr[layer]))
		for j, v := range corr[layer] {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				return nil, diag.Errorf("bias correction of layer %q: element %d is %v", layer, j, v)
			}
			values[j] = float32Exact(v)
		}
		text, err := json.Marshal(values)
		if err != nil {
			return nil, diag.Errorf("bias correction of layer %q: %w", layer, err)
		}
		b.WriteString(quoteJSON(layer) + ":" + string(text))
	}
	b.WriteByte('}')
	return indentJSON([]byte(b.String())), nil
}

// ReadBiasCorr reads a bias_corr.json; file is its name, for messages. The
// values are those that were written, to the bit.
func ReadBiasCorr(file string, data []byte) (map[string][]float32, error) {
	var read map[string][]float32Exact
	if err := decodeJSON(data, &read); err != nil {
		return nil, diag.Errorf("%s: %w", file, err)
	}
	corr := make(map[string][]float32, len(read))
	for layer, values := range read {
		corr[layer] = make([]float32, len(values))
		for i, v := range values {
			corr[layer][i] = float32(v)
		}
	}
	return corr, nil
}
