package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"narrow/diag"
	"narrow/internal/messages"
)

// TestCommandsDoc: docs/commands.md is what the commands say themselves, in both
// languages. go test -run TestCommandsDoc -update writes it.
func TestCommandsDoc(t *testing.T) {
	for _, doc := range []struct {
		file, head string
		lang       messages.Language
	}{
		{"commands.md", "# Commands\n\n[中文](commands.zh-CN.md)\n\n" +
			"What `narrow COMMAND --help` prints. `--config_file` works as well as `--config-file`, everywhere. `--json` gives one\n" +
			"JSON document on standard output, the same in every language; progress and messages go to standard error.\n", messages.English},
		{"commands.zh-CN.md", "# 命令\n\n[English](commands.md)\n\n" +
			"`narrow COMMAND --help` 的输出。所有选项都可以写成 `--config_file` 或 `--config-file` 的形式。`--json` 在标准输出给出一个 JSON\n" +
			"文档，各语言下相同；进度和消息写到标准错误。\n", messages.Chinese},
	} {
		got := fillMarkdown(doc.head + commandsDoc(t, doc.lang))
		file := filepath.Join("../../docs", doc.file)
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
			continue
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if string(want) != got {
			t.Errorf("docs/%s is not what the commands say: go test ./cmd/narrow -run TestCommandsDoc -update", doc.file)
		}
	}
}

// commandsDoc writes the commands by task, each with its help in a block.
func commandsDoc(t *testing.T, lang messages.Language) string {
	t.Helper()
	var b strings.Builder
	root := newRootCommand(&app{lang: lang})
	say := func(text diag.Text) string { return lang.Sprint(text) }
	for _, g := range root.Groups() {
		fmt.Fprintf(&b, "\n## %s\n", say(diag.Verbatim(g.Title)))
		for _, c := range inOrder(root) {
			if c.GroupID != g.ID || !c.IsAvailableCommand() || c.Name() == "help" {
				continue
			}
			var help bytes.Buffer
			writeHelp(&help, lang, c)
			// The flags of all commands are told once, at the end.
			text := help.String()
			if i := strings.LastIndex(text, "\n"+say(diag.Textf("%s:", diag.Textf("All commands")))+"\n"); i >= 0 {
				text = text[:i]
			}
			fmt.Fprintf(&b, "\n### %s\n\n```text\n%s\n```\n", c.Name(), strings.TrimRight(text, "\n"))
		}
	}
	var all strings.Builder
	for _, s := range sectionsOf(root) {
		for _, f := range s.flags {
			twoColumns(&all, flagHead(f), flagText(lang, f), shortFlagColumn)
		}
	}
	fmt.Fprintf(&b, "\n## %s\n\n```text\n%s```\n", say(diag.Textf("All commands")), all.String())
	return b.String()
}
