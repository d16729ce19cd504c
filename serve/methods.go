package serve

import (
	"context"
	"io"
	"strings"

	"narrow"
	"narrow/diag"
)

// method serves one request.
type method func(ctx context.Context, c *call) (result any, arrays []Array, err error)

// methods are what a client can ask for; docs/protocol.md describes each.
func methods() map[string]method {
	return map[string]method{
		"hello":       hello,
		"close":       closeObject,
		"command":     command,
		"open":        open,
		"resolve":     resolve,
		"samples":     newSamples,
		"add":         addBatch,
		"calibrate":   calibrateOn,
		"save":        save,
		"load":        load,
		"session":     newSession,
		"run":         runBatch,
		"network":     network,
		"export":      exportTo,
		"search":      searchFor,
		"evaluator":   newEvaluator,
		"measure":     measure,
		"sensitivity": sensitivity,
	}
}

// hello tells who answers.
func hello(_ context.Context, c *call) (any, []Array, error) {
	var p struct {
		Protocol string `json:"protocol"`
	}
	if err := c.parse(&p); err != nil {
		return nil, nil, err
	}
	if p.Protocol != "" && p.Protocol != Protocol {
		return nil, nil, &Error{Kind: KindProtocol, Message: "this is narrow " + narrow.Version() + ", which speaks " + Protocol + ", not " + p.Protocol + ": install parts of one version"}
	}
	return map[string]any{"protocol": Protocol, "version": narrow.Version()}, nil, nil
}

// handleParams are those of methods that take one object.
type handleParams struct {
	Handle int `json:"handle"`
}

// closeObject forgets an object and gives back what it holds.
func closeObject(_ context.Context, c *call) (any, []Array, error) {
	var p handleParams
	if err := c.parse(&p); err != nil {
		return nil, nil, err
	}
	o, ok := c.s.objects[p.Handle]
	if !ok {
		return nil, nil, nil // closing twice is no mistake
	}
	delete(c.s.objects, p.Handle)
	if cl, ok := o.(io.Closer); ok {
		return nil, nil, cl.Close()
	}
	return nil, nil, nil
}

// strategyParams name a strategy: by its text, or by the file that holds it, or
// neither for the defaults.
type strategyParams struct {
	// File is the strategy file; where Text is given, what findings call it.
	File string  `json:"file"`
	Text *string `json:"text"`
}

// found is how results tell findings.
type found struct {
	// Text is what the command prints, "" where there are none.
	Text     string    `json:"text"`
	Findings diag.List `json:"findings"`
}

func (s *Server) found(list diag.List, source []byte) found {
	list.Sort()
	f := found{Findings: list}
	if f.Findings == nil {
		f.Findings = diag.List{}
	}
	if len(list) > 0 {
		f.Text = s.text(list, source)
	}
	return f
}

// command runs one of narrow's commands in this process and returns what it
// prints: lint, explain, layers and the like, with the same words and documents.
func command(ctx context.Context, c *call) (any, []Array, error) {
	var p struct {
		Args  []string `json:"args"`
		Stdin string   `json:"stdin"`
	}
	if err := c.parse(&p); err != nil {
		return nil, nil, err
	}
	if c.s.cfg.Command == nil {
		return nil, nil, usagef("this program runs no commands")
	}
	if len(p.Args) > 0 && p.Args[0] == "serve" {
		return nil, nil, usagef("serve cannot run within serve")
	}
	var out, err strings.Builder
	code := c.s.cfg.Command(ctx, p.Args, strings.NewReader(p.Stdin), &out, &err)
	if ctx.Err() != nil {
		return nil, nil, ctx.Err()
	}
	return map[string]any{"code": code, "stdout": out.String(), "stderr": err.String()}, nil, nil
}
