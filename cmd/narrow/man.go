package main

import (
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"narrow/diag"
	"narrow/internal/atomicfile"
	"narrow/internal/messages"
)

// escapeMarkdown keeps <Model> from being read as a tag, and vai_q_pytorch as
// emphasis: the pages are made by way of Markdown.
func escapeMarkdown(s string) string {
	return strings.NewReplacer(`\`, `\\`, "<", `\<`, ">", `\>`, "_", `\_`, "*", `\*`).Replace(s)
}

// newManCommand makes the command by which make install and releases write the
// manual pages; the help text skips it.
func newManCommand(a *app) *cobra.Command {
	return &cobra.Command{
		Use:    "man DIR",
		Short:  "Write the manual pages of all commands into a folder",
		Hidden: true,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("man takes the folder to write to")
			}
			return nil
		},
		RunE: func(_ *cobra.Command, args []string) error {
			if err := atomicfile.MakeDir(args[0]); err != nil {
				return err
			}
			// The pages are in English whatever the language.
			root := newRootCommand(&app{stdin: a.stdin, stdout: a.stdout, stderr: a.stderr, lang: messages.English})
			translateHelp(root, escapeMarkdown)
			root.DisableAutoGenTag = true
			v := currentVersion()
			// The commit's date and not today's: the same program writes the same bytes.
			header := &doc.GenManHeader{Section: "1", Source: "narrow " + v.Version, Manual: "narrow manual", Date: v.commitTime()}
			if err := doc.GenManTree(root, header, args[0]); err != nil {
				return diag.Errorf("writing the manual pages: %w", err)
			}
			return nil
		},
	}
}
