package ort

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"narrow/calibrate/ort/internal/capi"
	"narrow/graph"
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

// tidy strips the places in ONNX Runtime's source from its messages, and makes
// them one line.
func tidy(text string) string {
	for _, re := range []string{
		`\S*onnxruntime/\S+:\d+ [^()]*\([^()]*\)( const)?( \[[^\]]*\])? `, // file:line type name(arguments)
		`\S*onnxruntime/\S+:\d+ `,
	} {
		text = regexp.MustCompile(re).ReplaceAllString(text, "")
	}
	return strings.Join(strings.Fields(text), " ")
}

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
