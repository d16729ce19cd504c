package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"
)

// platform is one that archives are made for.
type platform struct {
	goos, goarch string
	// target is zig's name of the platform, with the oldest system that the
	// pinned ONNX Runtime runs on.
	target string
	// cflags are for the C compiler.
	cflags string
	// archive is how the archive's name ends.
	archive string
}

func (p platform) String() string { return p.goos + "/" + p.goarch }

// platforms are those that archives are made for.
func platforms() []platform {
	return []platform{
		{goos: "linux", goarch: "amd64", target: "x86_64-linux-gnu.2.28", archive: ".tar.gz"},
		{goos: "linux", goarch: "arm64", target: "aarch64-linux-gnu.2.28", archive: ".tar.gz"},
		{goos: "darwin", goarch: "arm64", target: "aarch64-macos.14.0", archive: ".tar.gz"},
		// ONNX Runtime's header defines names that Windows' sal.h has too.
		{goos: "windows", goarch: "amd64", target: "x86_64-windows-gnu", cflags: "-Wno-macro-redefined", archive: ".zip"},
	}
}

func platformOf(name string) (platform, error) {
	var names []string
	for _, p := range platforms() {
		if p.String() == name {
			return p, nil
		}
		names = append(names, p.String())
	}
	return platform{}, fmt.Errorf("no archive is made for %s: it is one of %s", name, strings.Join(names, ", "))
}

// builder builds programs.
type builder struct {
	work string // a folder of its own
	zig  string
}

func (b *builder) stubs() string { return filepath.Join(b.work, "stubs") }

// build builds narrow for a platform, or, without a target, for this machine
// with its own C compiler.
func (b *builder) build(ctx context.Context, p platform, to string) (programInfo, error) {
	cmd := exec.CommandContext(ctx, "go", "build",
		"-trimpath", "-buildvcs=true",
		// The build id depends on where the compiler lies.
		"-ldflags=-s -w -buildid=",
		"-o", to, "./cmd/narrow")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=1", "GOFLAGS=", "GOOS="+p.goos, "GOARCH="+p.goarch, "GOAMD64=v1", "GOARM64=v8.0", "GOEXPERIMENT=",
		"CGO_CFLAGS=-O2", "CGO_LDFLAGS=-O2")
	if p.target != "" {
		cc := []string{b.zig, "cc", "-target", p.target}
		if p.cflags != "" {
			cc = append(cc, p.cflags)
		}
		if p.goos == "darwin" {
			cc = append(cc, "-L"+filepath.Join(b.stubs(), "lib"), "-F"+filepath.Join(b.stubs(), "Frameworks"))
		}
		for i, word := range cc {
			if strings.ContainsAny(word, " \t'") {
				cc[i] = `"` + word + `"`
			}
		}
		cmd.Env = append(cmd.Env, "CC="+strings.Join(cc, " "))
	}
	var text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &text
	if err := cmd.Run(); err != nil {
		return programInfo{}, fmt.Errorf("go build: %w\n%s", err, &text)
	}
	return readInfo(to)
}

// programInfo is what the go command recorded in a program.
type programInfo struct {
	version   string
	revision  string
	time      time.Time
	goVersion string
	modules   []*debug.Module
}

func (i programInfo) stamped() bool {
	return i.revision != "" && i.version != "" && i.version != "(devel)"
}

func readInfo(program string) (programInfo, error) {
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		return programInfo{}, fmt.Errorf("%s: %w", program, err)
	}
	out := programInfo{version: info.Main.Version, goVersion: info.GoVersion, modules: info.Deps}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			out.revision = s.Value
		case "vcs.time":
			if out.time, err = time.Parse(time.RFC3339, s.Value); err != nil {
				return out, fmt.Errorf("%s: vcs.time: %w", program, err)
			}
		}
	}
	slices.SortFunc(out.modules, func(a, b *debug.Module) int { return strings.Compare(a.Path, b.Path) })
	return out, nil
}
