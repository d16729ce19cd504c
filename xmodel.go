package narrow

import (
	"fmt"

	"narrow/diag"
	"narrow/export"
	"narrow/export/xmodel"
)

// ExportXModel returns the quantized network as an .xmodel holds it, for a DPU's
// compiler: [xmodel.File.WriteTo] writes it. name is the network's class name,
// "" for the one that the model tells. Findings say what the file cannot hold, all
// of it; where they hold errors, there is no file.
func (c *Calibrated) ExportXModel(name string) (*xmodel.File, diag.List, error) {
	if name == "" {
		name = export.ModelName(c.Model.Graph, c.Model.Path)
	}
	f, list, err := xmodel.New(c.Result, xmodel.Options{Name: name})
	if err != nil {
		return nil, list, fmt.Errorf("exporting %s: %w", c.Model.Path, err)
	}
	if err := list.Err(); err != nil {
		return nil, list, fmt.Errorf("exporting %s: %w", c.Model.Path, err)
	}
	return f, list, nil
}
