// Package parity holds narrow's results against recorded runs of
// vai_q_pytorch 3.5: tensor by tensor the scales and fix positions, element by
// element the quantized outputs.
//
// In go the recorded files and narrow's plan; out comes which tensor of the
// one is which of the other.
package parity

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// recorded is what the reference wrote for one run.
type recorded struct {
	// params and outputs map the reference's names to [bits, fix position] or
	// [bits, scale, zero point, float max].
	Param  map[string][][]any `json:"param"`
	Output map[string][][]any `json:"output"`
	Input  map[string][][]any `json:"input"`
	// layers are the lines of <Model>.py.
	layers []layerLine
}

// layerLine is one line of the reference's listing.
type layerLine struct {
	kind string // Conv2d, Add, ...
	path string // module path
	name string // Model::nndct_conv2d_1
}

var (
	lineRE    = regexp.MustCompile(`= py_nndct\.nn\.(\w+)\((.*)\) #(.*)\(([^()]*)\)$`)
	bracketRE = regexp.MustCompile(`\[([^\]]*)\]`)
	moduleRE  = regexp.MustCompile(`^'nndct_(\w+)'`)
)

// readRecorded reads the folder of one run.
func readRecorded(dir string) (*recorded, error) {
	q := filepath.Join(dir, "quantize_result")
	src, err := os.ReadFile(filepath.Join(q, "quant_info.json"))
	if err != nil {
		return nil, err
	}
	r := &recorded{}
	if err := json.Unmarshal(src, r); err != nil {
		return nil, fmt.Errorf("%s: %w", q, err)
	}
	py, err := filepath.Glob(filepath.Join(q, "*.py"))
	if err != nil || len(py) != 1 {
		return nil, fmt.Errorf("%s: %d listings", q, len(py))
	}
	text, err := os.ReadFile(py[0])
	if err != nil {
		return nil, err
	}
	for _, line := range strings.Split(string(text), "\n") {
		m := lineRE.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		l := layerLine{kind: m[1], name: m[4]}
		if mm := moduleRE.FindStringSubmatch(m[2]); mm != nil {
			l.kind = mm[1]
		}
		var parts []string
		for _, b := range bracketRE.FindAllStringSubmatch(m[3], -1) {
			parts = append(parts, b[1])
		}
		l.path = strings.Join(parts, ".")
		r.layers = append(r.layers, l)
	}
	return r, nil
}
