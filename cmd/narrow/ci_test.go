package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mattn/go-shellwords"
	"go.yaml.in/yaml/v3"
)

// TestWorkflows: the workflows for other people's CI are what their systems take, as
// far as that can be told here (make check has actionlint look at GitHub's), their
// scripts are a shell's, their commands of narrow have the flags, and what fails ends
// the job.
func TestWorkflows(t *testing.T) {
	type step struct {
		Name string
		Uses string
		Run  string
		If   string
		With map[string]any
	}
	var github struct {
		On   map[string]any
		Jobs map[string]struct {
			RunsOn string `yaml:"runs-on"`
			Env    map[string]string
			Steps  []step
		}
	}
	readWorkflow(t, "github.yml", &github)
	var scripts []string
	uses := map[string]step{}
	for name, job := range github.Jobs {
		if job.RunsOn == "" || job.Env["RELEASES"] == "" {
			t.Errorf("job %s: %+v", name, job)
		}
		for _, s := range job.Steps {
			if (s.Run == "") == (s.Uses == "") {
				t.Errorf("step %q does nothing, or two things", s.Name)
			}
			if s.Run != "" {
				scripts = append(scripts, s.Run)
			}
			action, version, _ := strings.Cut(s.Uses, "@")
			if s.Uses != "" && version == "" {
				t.Errorf("%s has no version", s.Uses)
			}
			uses[action] = s
		}
	}
	up := uses["actions/upload-artifact"]
	if up.If != "always()" || !strings.Contains(up.With["path"].(string), "report.html") {
		t.Errorf("the report of a run that misses its limits is lost: %+v", up)
	}
	checkScripts(t, "github.yml", scripts)

	type job struct {
		Stage, Extends string
		Script         []string
		BeforeScript   []string `yaml:"before_script"`
		Artifacts      struct {
			When    string
			Paths   []string
			Reports struct{ JUnit string }
		}
	}
	var gitlab struct {
		Stages []string
		Jobs   map[string]job `yaml:",inline"`
	}
	readWorkflow(t, "gitlab-ci.yml", &gitlab)
	scripts = nil
	for name, j := range gitlab.Jobs {
		if !strings.HasPrefix(name, ".") && (!slices.Contains(gitlab.Stages, j.Stage) || gitlab.Jobs[j.Extends].BeforeScript == nil || j.Script == nil) {
			t.Errorf("job %s: %+v", name, j)
		}
		scripts = append(scripts, strings.Join(j.BeforeScript, "\n"), strings.Join(j.Script, "\n"))
	}
	if a := gitlab.Jobs["quantize"].Artifacts; a.When != "always" || a.Reports.JUnit == "" || !slices.Contains(a.Paths, "quantize_result/report.html") {
		t.Errorf("%+v", a)
	}
	checkScripts(t, "gitlab-ci.yml", scripts)
}

func readWorkflow(t *testing.T, name string, into any) {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("../../examples/ci", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(data, into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if text := string(data); strings.Contains(text, "example.org") || strings.Contains(text, "http") || strings.Contains(text, "\t") {
		t.Errorf("%s has an address of ours, or tabs", name)
	}
}

// checkScripts parses scripts as a shell and a command line would.
func checkScripts(t *testing.T, file string, scripts []string) {
	t.Helper()
	commands := 0
	for _, s := range scripts {
		sh := exec.Command("sh", "-n")
		sh.Stdin = strings.NewReader(s)
		if out, err := sh.CombinedOutput(); err != nil {
			t.Errorf("%s: %v: %s\n%s", file, err, out, s)
		}
		for _, line := range strings.Split(strings.ReplaceAll(s, "\\\n", " "), "\n") {
			line = strings.TrimSpace(line)
			if !strings.HasPrefix(line, "narrow ") {
				continue
			}
			commands++
			words, err := shellwords.Parse(line) // up to what only a shell knows
			if err != nil {
				t.Fatal(err)
			}
			c, rest, err := newRootCommand(&app{}).Find(words[1:])
			if err == nil {
				err = c.ParseFlags(rest)
			}
			if err != nil {
				t.Errorf("%s: %s: %v", file, line, err)
			}
		}
	}
	if commands < 2 {
		t.Errorf("%s: %d commands of narrow", file, commands)
	}
}
