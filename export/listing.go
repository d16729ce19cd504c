package export

import (
	"fmt"
	"strconv"
	"strings"

	"narrow/calibrate"
)

// Listing returns the readable listing of the network's layers as a Python
// file, and its name, <Model>.py: one numbered line a layer with its arguments
// in torch's names, and as the comment the layer's name. A rule's layer_name
// that is copied from there means that layer; a name that no line of text can
// hold stands in the quotes that JSON wants.
func Listing(in *calibrate.Calibrated) (name string, text []byte) {
	lines, model := listLines(in)
	var b strings.Builder
	fmt.Fprintf(&b, "# Written by narrow %s. Layer names are the comments behind the lines.\n\n", printable(in.Version))
	b.WriteString("import torch\nimport pytorch_nndct as py_nndct\n\n\n")
	fmt.Fprintf(&b, "class %s(torch.nn.Module):\n    def __init__(self):\n        super(%s, self).__init__()\n", model, model)
	for _, l := range lines {
		fmt.Fprintf(&b, "        self.module_%d = py_nndct.nn.%s(%s) #%s\n", l.index, l.class, l.args, l.name)
	}
	b.WriteString("\n    def forward(self, *args):\n")
	value := map[string]string{}
	inputs := 0
	for _, l := range lines {
		out := fmt.Sprintf("output_module_%d", l.index)
		var from []string
		if l.op == nil {
			from = []string{fmt.Sprintf("input=args[%d]", inputs)}
			inputs++
		}
		for _, in := range l.ins {
			from = append(from, expression(value, in))
		}
		fmt.Fprintf(&b, "        %s = self.module_%d(%s)\n", out, l.index, strings.Join(from, ", "))
		for i, o := range l.outs {
			value[o] = out
			if len(l.outs) > 1 {
				value[o] = fmt.Sprintf("%s[%d]", out, i)
			}
		}
	}
	var results []string
	for _, v := range in.Plan.Model.Graph.Outputs {
		results = append(results, expression(value, v.Name))
	}
	fmt.Fprintf(&b, "        return %s\n", strings.Join(results, ", "))
	return model + ".py", []byte(b.String())
}

// expression returns the Python expression of a value: the variable that holds
// it, or, for what no layer puts out, its name as a string.
func expression(value map[string]string, name string) string {
	if v := value[name]; v != "" {
		return v
	}
	return strconv.QuoteToASCII(name)
}
