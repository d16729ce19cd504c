package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestRuleOfSensitivity: the rule that sensitivity prints does what it says,
// for a layer with weights on a DPU too.
func TestRuleOfSensitivity(t *testing.T) {
	t.Setenv("NARROW_ORT_LIB", library(t))
	dir := t.TempDir()
	data, config := filepath.Join(dir, "x.npy"), filepath.Join(dir, "s.json")
	if err := mkFile([]string{"npy", data, "uint8", "16,28,28"}); err != nil {
		t.Fatal(err)
	}
	narrow := func(args ...string) string {
		t.Helper()
		var stdout, stderr bytes.Buffer
		if code := run(context.Background(), args, strings.NewReader(""), &stdout, &stderr); code != 0 {
			t.Fatalf("narrow %v: exit code %d\n%s", args, code, &stderr)
		}
		return stdout.String()
	}
	write := func(rules string) {
		t.Helper()
		if err := os.WriteFile(config, []byte(`{"layer_quantize_config": [`+rules+`]}`), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("")
	out := narrow("sensitivity", "--model", bundled, "--data", data, "--preprocess", "unit", "--config-file", config)
	_, rule, ok := strings.Cut(out, "strategy file:\n")
	if !ok {
		t.Fatal(out)
	}
	_, name, _ := strings.Cut(rule, `"layer_name":"`)
	name, _, _ = strings.Cut(name, `"`)
	write(rule)
	narrow("lint", "--config-file", config, "--model", bundled)
	again := narrow("sensitivity", "--model", bundled, "--data", data, "--preprocess", "unit", "--config-file", config)
	table, _, _ := strings.Cut(again, "\n\nall layers")
	if strings.Contains(table, " "+name+" ") || !strings.Contains(out, "  "+name+" ") {
		t.Errorf("the rule %s left %s quantized:\n%s", rule, name, again)
	}
}
