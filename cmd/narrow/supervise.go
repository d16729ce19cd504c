package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/spf13/cobra"

	"narrow/diag"
	"narrow/internal/atomicfile"
	"narrow/internal/printable"
	"narrow/internal/scratch"
	"narrow/internal/supervise"
)

// runsEngine reports whether a command runs networks. Native code can end the
// whole process, so such a command does its work in a child process. Not serve:
// the program that began it sees how it ends, and waits for no one in between.
func runsEngine(name string) bool {
	switch name {
	case "run", "calib", "test", "export", "report", "compare", "sensitivity", "search", "version":
		return true
	}
	return false
}

// supervised runs args in a child process where they ask for a command that
// runs networks. handled is false where the caller has to do the work.
func (a *app) supervised(args []string) (code int, handled bool) {
	if supervise.Off() {
		return 0, false
	}
	c, rest, err := newRootCommand(a).Find(args)
	if err != nil || !runsEngine(c.Name()) {
		return 0, false
	}
	_ = c.ParseFlags(rest) // the child tells what is wrong there
	outputs := outputFolders(c)
	var made []string
	for _, dir := range outputs {
		made = append(made, atomicfile.Missing(dir)...)
	}
	end := supervise.Run()
	if end == nil {
		return 0, false
	}
	if end.Done {
		if end.Said != "" { // native code that had something to say, and continued
			fmt.Fprint(a.stderr, printable.Text(end.Said))
		}
		return end.Code, true
	}
	for _, dir := range outputs {
		atomicfile.Repair(dir)
	}
	for _, dir := range slices.Backward(made) {
		os.Remove(dir) // stays where something is in it
	}
	scratch.Clear(end.PID)
	switch end.By {
	case nil:
		fmt.Fprintln(a.stderr, a.lang.Sprint(crashText(end, flagValue(c, "model"))))
	case syscall.SIGQUIT: // as an interruption: no stacks, no core
		fmt.Fprintln(a.stderr, a.lang.Sprint(interrupted()))
	default:
		supervise.Raise(end.By)
	}
	return exitOther, true
}

// outputFolders returns the folders that a command writes into.
func outputFolders(c *cobra.Command) []string {
	var dirs []string
	if dir := flagValue(c, "output-dir"); dir != "" {
		dirs = append(dirs, dir)
	}
	for _, name := range []string{"checkpoint", "save-stats", "save-output", "html", "output", "log", "save-shard", "junit"} {
		if file := flagValue(c, name); file != "" {
			dirs = append(dirs, filepath.Dir(file))
		}
	}
	return dirs
}

// flagValue returns the value of a flag, "" where the command has none of that
// name.
func flagValue(c *cobra.Command, name string) string {
	if f := c.Flags().Lookup(name); f != nil {
		return f.Value.String()
	}
	return ""
}

// libraryNode stands for the library in the place of a node: nothing has run yet.
const libraryNode = "\x00library"

// crashText tells of a child that crashed, in one line: what it was doing, the
// model, and what to do.
func crashText(e *supervise.End, model string) diag.Text {
	where := diag.Textf("at its start")
	switch {
	case e.Node == libraryNode:
		where = diag.Textf("while %s", diag.Verbatim(e.Step))
	case e.Node != "":
		where = diag.Textf("while %s, after node %q", diag.Verbatim(e.Step), e.Node)
	case e.Step != "":
		where = diag.Textf("while %s", diag.Verbatim(e.Step))
	}
	if model != "" {
		where = diag.Textf("%s (model %s)", where, model)
	}
	switch e.Crash.Cause {
	case supervise.Memory:
		return diag.Textf("narrow: there was not enough memory %s: try --batch-size 1, or a machine with more", where)
	case supervise.Killed:
		return diag.Textf("narrow: its working process was killed %s: by the system if memory ran out (then try --batch-size 1), or by somebody", where)
	case supervise.Native:
		if e.Node == libraryNode {
			return diag.Textf("narrow: ONNX Runtime crashed (%s) while %s: the library is damaged, or made for another machine: install it again", e.Crash.Signal, diag.Verbatim(e.Step))
		}
		return diag.Textf("narrow: ONNX Runtime crashed (%s) %s: it cannot run this network; look for what is odd there, such as empty tensors (%s=off shows the stack)",
			e.Crash.Signal, where, supervise.Env)
	}
	said := e.Crash.Text
	if said == "" {
		said = e.Crash.Signal
	}
	return diag.Textf("narrow: a mistake in narrow ended it %s: %s: please report it with the model (%s=off shows the stack)", where, said, supervise.Env)
}

// step notes what is being done, for the message if it ends in a crash.
func (a *app) step(t diag.Text) { a.record.Step(a.lang.Sprint(t)) }
