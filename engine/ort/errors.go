package ort

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"narrow/engine/ort/internal/capi"
	"narrow/graph"
	"narrow/internal/printable"
)

// clean makes an error of ONNX Runtime's fit for one line that names the node,
// and leaves every other error as it is.
func (r *Runner) clean(err error, m *graph.Model) error {
	var st *capi.Status
	if !errors.As(err, &st) {
		return err
	}
	text := tidy(st.Message)
	re := regexp.MustCompile(`([\w.]*):(\w+)\(-?\d+\) is not a registered function/op`)
	if match := re.FindStringSubmatch(text); match != nil {
		domain := match[1]
		if domain == "ai.onnx" {
			domain = ""
		}
		if n := findOp(m.Graph, domain, match[2]); n != nil {
			text = fmt.Sprintf("node %q: ONNX Runtime %s has no operator %s of domain %q", n.Label(), r.Version(), n.OpType, match[1])
		}
	}
	return &capi.Status{Code: st.Code, Message: text}
}

// tidyError tidies an error of ONNX Runtime's, which names the node itself.
func tidyError(err error) error {
	var st *capi.Status
	if !errors.As(err, &st) {
		return err
	}
	return &capi.Status{Code: st.Code, Message: tidy(st.Message)}
}

// tidy strips the places in ONNX Runtime's source from its messages, has them
// name a node as narrow does, and makes them one line.
func tidy(text string) string {
	for _, re := range []string{
		`\S*onnxruntime/\S+:\d+ [^()]*\([^()]*\)( const)?( \[[^\]]*\])? `, // file:line type name(arguments)
		`\S*onnxruntime/\S+:\d+ `,
		`\[ONNXRuntimeError\] : \d+ : \w+ : `,
		`\b\w+\.(h|cc):\d+ \w+ `,
	} {
		text = regexp.MustCompile(re).ReplaceAllString(text, "")
	}
	text = strings.Join(strings.Fields(text), " ")
	for _, re := range []*regexp.Regexp{invalidNode, inferredNode, runNode} {
		text = re.ReplaceAllString(text, `node "$name" ($op): `)
	}
	text = noOperator.ReplaceAllString(text, `there is no operator $1 in version $2 of its set, or ONNX Runtime does not have it`)
	return printable.Passage(text) // it repeats names of the model
}

// The ways in which ONNX Runtime names a node.
var (
	// This is an invalid model. In Node, ("name", Type, "domain", -1) : (inputs) -> (outputs) , Error what is wrong
	invalidNode = regexp.MustCompile(`^This is an invalid model\. In Node, \("(?P<name>[^"]*)", (?P<op>\w+), .*\) , Error `)
	// Node (name) Op (Type) [ShapeInferenceError] what is wrong
	inferredNode = regexp.MustCompile(`Node \((?P<name>[^()]*)\) Op \((?P<op>\w+)\) \[\w+\] `)
	// Non-zero status code returned while running Type node. Name:'name' Status Message: what is wrong
	runNode = regexp.MustCompile(`^Non-zero status code returned while running (?P<op>\w+) node\. Name:'(?P<name>[^']*)' Status Message: `)

	noOperator = regexp.MustCompile(`No Op registered for (\w+) with domain_version of (\d+)`)
)

// findOp returns the first node of an operator, looking into inner graphs too.
func findOp(g *graph.Graph, domain, op string) *graph.Node {
	for _, n := range g.Nodes {
		if n.Domain == domain && n.OpType == op {
			return n
		}
		for _, sub := range n.Subgraphs() {
			if found := findOp(sub, domain, op); found != nil {
				return found
			}
		}
	}
	return nil
}
