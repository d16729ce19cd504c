package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"narrow/graph/graphtext"
	"narrow/graph/onnx"
	"narrow/internal/ortlib"
)

var update = flag.Bool("update", false, "rewrite the golden output in testdata/script")

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"narrow": main, "mk": mk})
}

// bundled is the network that comes with narrow.
const bundled = "../../models/fashion_dscnn.onnx"

// library returns the path of ONNX Runtime's library.
func library(t *testing.T) string {
	t.Helper()
	lib, err := ortlib.Find("")
	if err != nil {
		t.Fatal(err)
	}
	return lib
}

// emptyFolder moves to an empty folder, tells narrow where the engine is, and
// returns the path of the bundled network.
func emptyFolder(t *testing.T) (model string) {
	t.Helper()
	model, err := filepath.Abs(bundled)
	if err != nil {
		t.Fatal(err)
	}
	t.Setenv(ortlib.Env, library(t))
	t.Chdir(t.TempDir())
	return model
}

// narrowCommand is the program itself, in a process of its own.
func narrowCommand(args string) (*exec.Cmd, *bytes.Buffer) {
	var stderr bytes.Buffer
	c := exec.Command("narrow", strings.Fields(args)...)
	c.Stderr = &stderr
	return c, &stderr
}

// execute runs one command line in this process.
func execute(args string) (code int, stdout, stderr string) {
	var out, err bytes.Buffer
	code = run(context.Background(), strings.Fields(args), strings.NewReader(""), &out, &err)
	return code, out.String(), err.String()
}

// TestScript runs testdata/script. The scripts find the bundled network in
// $MODEL, small networks of one kind each in $CASES, and ONNX Runtime in
// $NARROW_ORT_LIB.
func TestScript(t *testing.T) {
	lib := library(t)
	model, err := filepath.Abs(bundled)
	if err != nil {
		t.Fatal(err)
	}
	cases, err := filepath.Abs("testdata/cases")
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *update,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			e.Setenv(ortlib.Env, lib)
			e.Setenv("MODEL", model)
			e.Setenv("CASES", cases)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// onnx net.txt net.onnx writes a model from its text form.
			"onnx": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) != 2 {
					ts.Fatalf("usage: onnx text file")
				}
				m, err := graphtext.Parse(ts.ReadFile(args[0]))
				ts.Check(err)
				ts.Check(onnx.Save(m, ts.MkAbs(args[1])))
			},
			// exits 2 narrow lint x.json runs a program and checks its exit code.
			"exits": func(ts *testscript.TestScript, neg bool, args []string) {
				if neg || len(args) < 2 {
					ts.Fatalf("usage: exits code program args...")
				}
				err := ts.Exec(args[1], args[2:]...)
				var failed *exec.ExitError
				switch {
				case err == nil:
					ts.Fatalf("exit code 0, not %s", args[0])
				case !errors.As(err, &failed):
					ts.Check(err)
				case strconv.Itoa(failed.ExitCode()) != args[0]:
					ts.Fatalf("exit code %d, not %s", failed.ExitCode(), args[0])
				}
			},
		},
	})
}

// TestExitCodes: 0 done, 2 a mistake in the strategy or the command line, 1
// anything else; warnings count only under --strict.
func TestExitCodes(t *testing.T) {
	dir := t.TempDir()
	file := func(name, content string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	good := file("good.json", "{}")
	bad := file("bad.json", `{"target_device": "TPU"}`)
	warn := file("warn.json", `{"overall_quantize_config": {"percentage": 99}}`)
	noModel := file("no.onnx", "this is no model")
	tests := []struct {
		args string
		want int
	}{
		{"lint " + good, 0},
		{"lint --config_file " + good, 0},
		{"lint " + bad, 2},
		{"lint --json " + bad, 2},
		{"lint " + warn, 0},
		{"lint --strict " + warn, 2},
		{"lint " + dir + "/missing.json", 1},
		{"lint " + dir, 1},
		{"lint " + good + " --model " + noModel, 1},
		{"lint " + good + " --model " + dir + "/missing.onnx", 1},
		{"lint --nonsense", 2},
		{"lint a b", 2},
		{"explain --model " + noModel, 1},
		{"explain", 2},
		{"layers", 2},
		{"nonsense", 2},
		{"fmt " + bad, 2},
		{"fmt", 2},
		{"init --target TPU", 2},
		{"version", 0},
		{"--help", 0},
		{"", 0},
	}
	for _, tt := range tests {
		var stdout, stderr bytes.Buffer
		if got := run(context.Background(), strings.Fields(tt.args), strings.NewReader(""), &stdout, &stderr); got != tt.want {
			t.Errorf("narrow %s: exit code %d, want %d\n%s%s", tt.args, got, tt.want, &stdout, &stderr)
		}
		if tt.want == 1 && stdout.Len() > 0 {
			t.Errorf("narrow %s: standard output %q", tt.args, &stdout)
		}
	}
}
