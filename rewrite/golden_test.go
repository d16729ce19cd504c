package rewrite_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"narrow/graph/graphtext"
	"narrow/rewrite"
)

var update = flag.Bool("update", false, "rewrite the golden parts of testdata/rules")

// rulesByName are the rules that a case can name.
func rulesByName() map[string]rewrite.Rule {
	byName := map[string]rewrite.Rule{
		"equalize-through-relu6": rewrite.Equalize(rewrite.Equalizing{Relu6: rewrite.Relu6Bounds, Rounds: 1}),
		"equalize-to-the-end":    rewrite.Equalize(rewrite.Equalizing{Relu6: rewrite.Relu6Bounds, Rounds: 100, WeightsOnly: true}),
		"equalize-twice":         rewrite.Equalize(rewrite.Equalizing{Relu6: rewrite.Relu6Bounds, Rounds: 2}),
	}
	for _, r := range rewrite.All() {
		byName[r.Name] = r
	}
	return byName
}

// wantMark parts a case from what comes out of it.
const wantMark = "\n-- want --\n"

// TestRules goes through testdata/rules: a file says on its first line which
// rules to apply, then holds a model; behind the mark stand the report and the
// model that come out. Where all rules are exact, both models are run too.
func TestRules(t *testing.T) {
	files, err := filepath.Glob("testdata/rules/*.txt")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d cases: %v", len(files), err)
	}
	byName := rulesByName()
	tried := map[string]bool{}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			text, want, marked := strings.Cut(string(src), wantMark)
			head, _, _ := strings.Cut(text, "\n")
			names, ok := strings.CutPrefix(head, "# rules: ")
			if !ok {
				t.Fatalf("first line %q names no rules", head)
			}
			var rules []rewrite.Rule
			exact := true
			for name := range strings.FieldsSeq(names) {
				r, ok := byName[name]
				if !ok {
					t.Fatalf("no rule %q", name)
				}
				tried[r.Name] = true
				exact = exact && r.Exact
				rules = append(rules, r)
			}
			m, err := graphtext.Parse(text)
			if err != nil {
				t.Fatal(err)
			}
			before := graphtext.Format(m)
			out, report := apply(t, m, rules...)
			if graphtext.Format(m) != before {
				t.Error("the model that came in was changed")
			}
			got := report.String() + "\n" + graphtext.Format(out)
			if *update {
				if err := os.WriteFile(file, []byte(text+wantMark+got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if !marked || got != want {
				t.Errorf("came out:\n%s\nwant:\n%s", got, want)
			}
			// Equalization comes nearer each time; every other rule has ended.
			if _, second := apply(t, out, rules...); len(second.Changes) > second.Count("equalize") {
				t.Errorf("applied again, the rules change more:\n%s", second)
			}
			if exact {
				same(t, m, out, 3)
			}
		})
	}
	for _, r := range rewrite.All() {
		if !tried[r.Name] {
			t.Errorf("no case for rule %s", r.Name)
		}
	}
}

// TestRuleNames: names are stable, distinct and kebab-case, and each rule says
// what it does.
func TestRuleNames(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range rewrite.All() {
		if seen[r.Name] || r.Name == "" || strings.ToLower(r.Name) != r.Name || strings.ContainsAny(r.Name, " _") {
			t.Errorf("name %q", r.Name)
		}
		seen[r.Name] = true
		if !strings.HasSuffix(r.Doc, ".") {
			t.Errorf("%s: doc %q is no sentence", r.Name, r.Doc)
		}
		if r.Exact == strings.HasPrefix(r.Name, "convert-") {
			t.Errorf("%s: exact is %v", r.Name, r.Exact)
		}
	}
	if _, _, err := rewrite.Apply(graphtext.MustParse("net () => () {}"), rewrite.Rule{Name: "own"}); err == nil {
		t.Error("a rule from elsewhere was taken")
	}
}
