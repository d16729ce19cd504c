package main

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// repeated are lines of documents that repeat figures of the tables of
// docs/accuracy-measured.md: {network|strategy|accuracy|column} stands for one, and
// behind the last of them a line goes on as it will.
var repeated = []struct{ doc, line string }{
	{"README.md", "| MobileNet v1 0.25, DPU default: top-1 | {MobileNet v1 0.25|DPU default|guide|top-1} by `guide`, {MobileNet v1 0.25|DPU default|high|top-1} by `high`, of {MobileNet v1 0.25|DPU default|high|float top-1} |"},
	{"README.md", "| the same, int8: top-1, agreement with float | {MobileNet v1 0.25|the same, equalized|high|top-1}, {MobileNet v1 0.25|the same, equalized|high|agreement} |"},
	{"README.md", "| SqueezeNet 1.1, int8: top-1, agreement | {SqueezeNet 1.1|the same, equalized|high|top-1}, {SqueezeNet 1.1|the same, equalized|high|agreement} |"},
	{"README.md", "| calibrating that: processor time | {SqueezeNet 1.1|the same, equalized|high|processor} by `high` |"},
	{"README.zh-CN.md", "| MobileNet v1 0.25，DPU 默认策略：top-1 | `guide` {MobileNet v1 0.25|DPU default|guide|top-1}，`high` {MobileNet v1 0.25|DPU default|high|top-1}（浮点 {MobileNet v1 0.25|DPU default|high|float top-1}） |"},
	{"README.zh-CN.md", "| 同上，int8：top-1、与浮点的一致率 | {MobileNet v1 0.25|the same, equalized|high|top-1}、{MobileNet v1 0.25|the same, equalized|high|agreement} |"},
	{"README.zh-CN.md", "| SqueezeNet 1.1，int8：top-1、一致率 | {SqueezeNet 1.1|the same, equalized|high|top-1}、{SqueezeNet 1.1|the same, equalized|high|agreement} |"},
	{"README.zh-CN.md", "| 上一项的校准：处理器时间 | `high` {SqueezeNet 1.1|the same, equalized|high|processor} |"},
	{"docs/accuracy.md", "| DPU default | 2.2 % | {MobileNet v1 0.25|DPU default|guide|top-1} | {MobileNet v1 0.25|DPU default|high|top-1} |"},
	{"docs/accuracy.md", "| int8 maxmin per tensor | 0.0 % | {MobileNet v1 0.25|int8 per tensor (the guide's int_config)|guide|top-1} | {MobileNet v1 0.25|int8 per tensor (the guide's int_config)|high|top-1} |"},
	{"docs/accuracy.md", "| the same, equalized, bias corrected | 1.4 % | {MobileNet v1 0.25|int8 per tensor, equalized, bias corrected|guide|top-1} | {MobileNet v1 0.25|int8 per tensor, equalized, bias corrected|high|top-1} |"},
	{"docs/accuracy.md", "| int8, weights per channel | 49.4 % | {MobileNet v1 0.25|int8, weights per channel|guide|top-1} | {MobileNet v1 0.25|int8, weights per channel|high|top-1} |"},
	{"docs/accuracy.md", "| the same, activations asymmetric, biases of 32 bits | not measured | {MobileNet v1 0.25|int8, weights per channel, asymmetric activations, bias corrected|guide|top-1} | {MobileNet v1 0.25|int8, weights per channel, asymmetric activations, bias corrected|high|top-1} |"},
	{"docs/accuracy.zh-CN.md", "| DPU 默认 | 2.2 % | {MobileNet v1 0.25|DPU default|guide|top-1} | {MobileNet v1 0.25|DPU default|high|top-1} |"},
	{"docs/accuracy.zh-CN.md", "| int8 maxmin，逐张量 | 0.0 % | {MobileNet v1 0.25|int8 per tensor (the guide's int_config)|guide|top-1} | {MobileNet v1 0.25|int8 per tensor (the guide's int_config)|high|top-1} |"},
	{"docs/accuracy.zh-CN.md", "| 同上，均衡并纠正偏差 | 1.4 % | {MobileNet v1 0.25|int8 per tensor, equalized, bias corrected|guide|top-1} | {MobileNet v1 0.25|int8 per tensor, equalized, bias corrected|high|top-1} |"},
	{"docs/accuracy.zh-CN.md", "| int8，权重逐通道 | 49.4 % | {MobileNet v1 0.25|int8, weights per channel|guide|top-1} | {MobileNet v1 0.25|int8, weights per channel|high|top-1} |"},
	{"docs/accuracy.zh-CN.md", "| 同上，激活非对称，偏差 32 位 | 未测 | {MobileNet v1 0.25|int8, weights per channel, asymmetric activations, bias corrected|guide|top-1} | {MobileNet v1 0.25|int8, weights per channel, asymmetric activations, bias corrected|high|top-1} |"},
}

// TestFigures: a figure of the accuracy tables is the same wherever it is repeated. go
// test -run TestFigures -update writes the lines anew, after the tables.
func TestFigures(t *testing.T) {
	const measured = "docs/accuracy-measured.md"
	table := accuracyTables(t, readDoc(t, measured))
	lines := repeated
	for _, network := range []string{"MobileNet v1 0.25", "SqueezeNet 1.1", "ResNet-20", "DS-CNN", "Vision transformer"} {
		for name, strategy := range map[string]string{"int8": "the same, equalized", "DPU": "DPU default"} {
			line := "| " + network + " | **narrow, " + name + "** |"
			for _, column := range []string{"top-1", "agreement", "SQNR", "processor"} {
				line += " {" + strings.Join([]string{network, strategy, "high", column}, "|") + "} |"
			}
			lines = append(lines, struct{ doc, line string }{measured, line})
		}
	}
	placeholder := regexp.MustCompile(`\{[^}]*\}`)
	for _, l := range lines {
		want := placeholder.ReplaceAllStringFunc(l.line, func(key string) string {
			figure, ok := table[strings.Trim(key, "{}")]
			if !ok {
				t.Errorf("%s has no %s", measured, key)
			}
			return figure
		})
		src := readDoc(t, l.doc)
		if strings.Contains(src, "\n"+want) {
			continue
		}
		// The same line with other figures.
		parts := placeholder.Split(l.line, -1)
		for i := range parts {
			parts[i] = regexp.QuoteMeta(parts[i])
		}
		was := regexp.MustCompile(`(?m)^` + strings.Join(parts, `[-0-9. %sdB秒]+`)).FindString(src)
		switch {
		case was == "":
			t.Errorf("%s has no line like\n%s", l.doc, want)
		case *update:
			if err := os.WriteFile(filepath.Join("../..", l.doc), []byte(strings.Replace(src, was, want, 1)), 0o600); err != nil {
				t.Fatal(err)
			}
		default:
			t.Errorf("%s says\n%s\nand the tables of %s\n%s", l.doc, was, measured, want)
		}
	}
}

func readDoc(t *testing.T, doc string) string {
	t.Helper()
	src, err := os.ReadFile(filepath.Join("../..", doc))
	if err != nil {
		t.Fatal(err)
	}
	return string(src)
}

// accuracyTables returns the cells of the tables that tools/accuracy prints, by network,
// strategy, accuracy and column.
func accuracyTables(t *testing.T, src string) map[string]string {
	t.Helper()
	cells := map[string]string{}
	var network string
	var columns []string
	for line := range strings.Lines(src) {
		if rest, ok := strings.CutPrefix(line, "## "); ok {
			network, _, _ = strings.Cut(strings.TrimSpace(rest), ", ")
			columns = nil
			continue
		}
		row := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), " | ")
		for i := range row {
			row[i] = strings.TrimSpace(row[i])
		}
		switch {
		case len(row) > 2 && row[0] == "strategy" && row[1] == "accuracy":
			columns = row
		case columns != nil && len(row) == len(columns):
			for i, c := range columns {
				cells[strings.Join([]string{network, row[0], row[1], c}, "|")] = row[i]
			}
		}
	}
	if len(cells) < 500 {
		t.Fatalf("only %d figures were found", len(cells))
	}
	return cells
}
