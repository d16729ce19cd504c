package main

import (
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"narrow/diag"
	"narrow/internal/messages"
)

// helpWidth is how many columns the help text takes at most.
const helpWidth = 80

// flagSection are flags of one subject, as the help text shows them.
type flagSection struct {
	title diag.Text
	names []string
}

// flagSections are the flags of all commands by subject, in the order of the
// help text.
func flagSections() []flagSection {
	return []flagSection{
		{diag.Textf("Network and strategy"), []string{"model", "config-file", "target", "datatype"}},
		{diag.Textf("Samples"), []string{
			"data", "labels", "subset-len", "shuffle", "seed", "batch-size",
			"preprocess", "resize", "crop", "mean", "std", "scale", "bgr",
		}},
		{diag.Textf("Samples to test on"), []string{"test-data", "test-labels", "test-skip", "test-len"}},
		{diag.Textf("Calibration"), []string{
			"accuracy", "refine-samples", "keep-integers", "propagate", "skip-invalid", "save-stats", "from-stats", "checkpoint", "checkpoint-every",
		}},
		{diag.Textf("Parts of the samples"), []string{"shard", "save-shard", "from-shards", "no-keep-samples", "save-result", "from-results"}},
		{diag.Textf("Search"), []string{"budget", "search-samples", "jobs", "restart"}},
		{diag.Textf("Metric"), []string{"metric", "metric-name", "lower-is-better"}},
		{diag.Textf("Limits, for a CI"), []string{"min-top1", "max-drop", "min-agreement", "min-sqnr", "min-metric", "junit"}},
		{diag.Textf("Export"), []string{"format", "for", "opset", "exact-rounding", "keep-bias", "class-name", "deploy-check"}},
		{diag.Textf("Output"), []string{
			"output-dir", "output", "force", "write", "check", "expand", "exported", "as-exported", "save-output",
			"report-samples", "no-report", "html", "by", "layer", "json",
		}},
		{diag.Textf("Machine"), []string{"threads", "max-memory", "ort-lib", "parent"}},
		{diag.Textf("All commands"), []string{"strict", "color", "help"}},
	}
}

// operands are the words behind flags that take something else than a number or
// one of a few words.
var operands = map[string]string{
	"budget": "TIME", "config-file": "FILE", "crop": "SIZE", "data": "PATH", "junit": "FILE", "labels": "FILE", "max-memory": "SIZE",
	"metric": "COMMAND", "metric-name": "NAME",
	"mean": "A,B,C", "ort-lib": "PATH", "output": "FILE", "resize": "SIZE", "save-output": "FILE", "save-stats": "FILE", "std": "A,B,C",
	"test-data": "PATH", "test-labels": "FILE",
}

// operand returns the word behind a flag, "" where it takes none, and what the
// flag does. A word in backquotes in the latter wins, as in package pflag.
func operand(f *pflag.Flag) (word, usage string) {
	word, usage = pflag.UnquoteUsage(f)
	if strings.Contains(f.Usage, "`") || f.Value.Type() == "bool" {
		return word, usage
	}
	if list := choices()[f.Name]; len(list) > 0 {
		return strings.Join(list, "|"), usage
	}
	if word, ok := operands[f.Name]; ok {
		return word, usage
	}
	if _, ok := f.Annotations[cobra.BashCompFilenameExt]; ok {
		return "FILE", usage
	}
	if _, ok := f.Annotations[cobra.BashCompSubdirsInDir]; ok {
		return "DIR", usage
	}
	switch t := f.Value.Type(); {
	case strings.HasPrefix(t, "int"), strings.HasPrefix(t, "uint"):
		return "N", usage
	case strings.HasPrefix(t, "float"):
		return "X", usage
	case t == "duration":
		return "TIME", usage
	}
	return "TEXT", usage
}

// translateHelp replaces what the help of c and its subcommands says by what tr
// makes of it: short texts, paragraphs and flags, each on one line.
func translateHelp(c *cobra.Command, tr func(string) string) {
	if c.Hidden {
		return
	}
	c.Short = tr(c.Short)
	if c.Long != "" {
		var out []string
		for _, p := range strings.Split(c.Long, "\n\n") {
			if !verbatim(p) {
				p = tr(strings.Join(strings.Fields(p), " "))
			}
			out = append(out, p)
		}
		c.Long = strings.Join(out, "\n\n")
	}
	one := func(f *pflag.Flag) {
		if !f.Hidden {
			f.Usage = tr(f.Usage)
		}
	}
	c.LocalNonPersistentFlags().VisitAll(one)
	c.PersistentFlags().VisitAll(one)
	for _, sub := range c.Commands() {
		translateHelp(sub, tr)
	}
}

// verbatim reports whether a paragraph is shown as it is: commands to type.
func verbatim(paragraph string) bool { return strings.HasPrefix(paragraph, "  ") }

// chineseHelp returns the Chinese of a piece of help text; a piece without one,
// which a test does not let pass, stays English.
func chineseHelp(english string) string {
	if s, ok := helpInChinese[english]; ok {
		return s
	}
	return english
}

// writeHelp writes the help text of a command.
func writeHelp(w io.Writer, lang messages.Language, c *cobra.Command) {
	var b strings.Builder
	line := func(indent int, s string) {
		for _, l := range wrap(s, helpWidth-indent) {
			b.WriteString(strings.Repeat(" ", indent) + l + "\n")
		}
	}
	head := func(t diag.Text) { line(0, "\n"+lang.Sprint(diag.Textf("%s:", t))) }
	long := c.Long
	if long == "" {
		long = c.Short
	}
	for i, p := range strings.Split(long, "\n\n") {
		if i > 0 {
			b.WriteByte('\n')
		}
		if verbatim(p) {
			b.WriteString(p + "\n")
			continue
		}
		line(0, strings.Join(strings.Fields(p), " "))
	}
	head(diag.Textf("Usage"))
	if c.HasAvailableSubCommands() {
		line(2, c.CommandPath()+" COMMAND [--FLAG ...]")
	} else {
		line(2, c.UseLine())
	}
	if c.Example != "" {
		head(diag.Textf("Example"))
		b.WriteString(strings.TrimRight(c.Example, "\n") + "\n")
	}
	for _, g := range c.Groups() {
		head(diag.Verbatim(g.Title))
		for _, sub := range inOrder(c) {
			if sub.GroupID == g.ID && sub.IsAvailableCommand() {
				twoColumns(&b, "  "+sub.Name(), sub.Short, 2+commandColumn)
			}
		}
	}
	for _, s := range sectionsOf(c) {
		head(s.title)
		column := 0
		for _, f := range s.flags {
			if n := width(flagHead(f)) + 2; n <= flagColumn {
				column = max(column, n)
			}
		}
		for _, f := range s.flags {
			twoColumns(&b, flagHead(f), flagText(lang, f), max(column, shortFlagColumn))
		}
	}
	if c.HasAvailableSubCommands() {
		line(0, "\n"+lang.Sprint(diag.Textf("\"%s COMMAND --help\" tells all of a command.", c.CommandPath())))
	}
	_, _ = io.WriteString(w, b.String()) // as cobra does
}

// orderKey is the annotation that holds a command's place in the help text.
const orderKey = "order"

// inOrder returns the subcommands as they were added: cobra sorts them by name.
func inOrder(c *cobra.Command) []*cobra.Command {
	return slices.SortedStableFunc(slices.Values(c.Commands()), func(a, b *cobra.Command) int {
		return strings.Compare(a.Annotations[orderKey], b.Annotations[orderKey])
	})
}

const (
	// commandColumn is where the short texts of commands begin.
	commandColumn = 14
	// flagColumn is where the texts of flags begin at the latest, and
	// shortFlagColumn at the earliest.
	flagColumn, shortFlagColumn = 30, 20
)

// shownSection are the flags of one subject that a command has.
type shownSection struct {
	title diag.Text
	flags []*pflag.Flag
}

// sectionsOf returns a command's flags by subject.
func sectionsOf(c *cobra.Command) []shownSection {
	var out []shownSection
	known := map[string]bool{}
	for _, s := range flagSections() {
		shown := shownSection{title: s.title}
		for _, name := range s.names {
			if f := c.Flag(name); f != nil && !f.Hidden {
				shown.flags = append(shown.flags, f)
				known[name] = true
			}
		}
		if len(shown.flags) > 0 {
			out = append(out, shown)
		}
	}
	other := shownSection{title: diag.Textf("Others")}
	c.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden && !known[f.Name] {
			other.flags = append(other.flags, f)
		}
	})
	if len(other.flags) > 0 {
		out = append(out, other)
	}
	return out
}

// flagHead writes a flag with its letter and what it takes.
func flagHead(f *pflag.Flag) string {
	s := "      --" + f.Name
	if f.Shorthand != "" {
		s = "  -" + f.Shorthand + ", --" + f.Name
	}
	if word, _ := operand(f); word != "" {
		s += " " + word
	}
	return s
}

// flagText writes what a flag does, with its default.
func flagText(lang messages.Language, f *pflag.Flag) string {
	_, usage := operand(f)
	t := diag.Verbatim(usage)
	if d := f.DefValue; !slices.Contains([]string{"", "0", "0s", "false", "auto", "[]"}, d) {
		t = diag.Textf("%s (default: %s)", t, d)
	}
	return lang.Sprint(t)
}

// twoColumns writes a head and, from a column on, a text; a head that reaches
// that column stands on a line of its own.
func twoColumns(b *strings.Builder, head, text string, column int) {
	indent := strings.Repeat(" ", column)
	for i, l := range wrap(text, helpWidth-column) {
		switch {
		case i > 0:
			fmt.Fprintf(b, "%s%s\n", indent, l)
		case width(head)+2 > column:
			fmt.Fprintf(b, "%s\n%s%s\n", head, indent, l)
		default:
			fmt.Fprintf(b, "%s%s%s\n", head, indent[width(head):], l)
		}
	}
}

// newHelpCommand is cobra's own in both languages, with the exit codes of the
// other commands.
func newHelpCommand(*app) *cobra.Command {
	return &cobra.Command{
		Use:     "help [COMMAND]",
		Short:   "Show the help of a command",
		Example: "  narrow help run",
		RunE: func(c *cobra.Command, args []string) error {
			of, rest, err := c.Root().Find(args)
			if err != nil || len(rest) > 0 {
				return unknownCommand(c, args[0])
			}
			return of.Help()
		},
	}
}
