// Release builds narrow's archives for all platforms on one Linux or macOS
// machine, and checks what it built.
//
//	go run ./tools/release              into ./dist, for all platforms
//	go run ./tools/release linux/arm64  for some
//	go run ./tools/release -check       checks ./dist, and runs what this machine can run
//
// In goes the commit that is checked out, with nothing changed; out come, for
// each platform, an archive (the program, the ONNX Runtime library beside it,
// manual pages, completions, licences) and a CycloneDX list of what is in it;
// and SHA256SUMS. The rules of the house: the same commit gives the same bytes;
// the version is the tag's; the library is the one that package setup pins, the
// C compiler (zig, from PyPI) the one in zig.txt.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"

	"narrow/internal/setup"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	fl := flag.NewFlagSet("release", flag.ContinueOnError)
	out := fl.String("o", "dist", "folder of the archives")
	dirty := fl.Bool("dirty", false, "build from a changed tree too, as a version that says so")
	check := fl.Bool("check", false, "check the archives instead of building them")
	with := emulators{}
	fl.Var(with, "with", "for -check: GOOS/GOARCH=COMMAND to run another platform's program by, such as linux/arm64='qemu-aarch64 -L /usr/aarch64-linux-gnu'")
	if err := fl.Parse(args); err != nil {
		return err
	}
	if *check {
		return checkAll(ctx, *out, with)
	}
	targets := platforms()
	if fl.NArg() > 0 {
		targets = nil
		for _, name := range fl.Args() {
			p, err := platformOf(name)
			if err != nil {
				return err
			}
			targets = append(targets, p)
		}
	}
	return release(ctx, *out, targets, *dirty)
}

// release builds the archives for the targets into dir.
func release(ctx context.Context, dir string, targets []platform, dirty bool) error {
	if _, err := os.Stat("go.mod"); err != nil {
		return errors.New("run it in narrow's source folder")
	}
	installer, err := setup.New(os.Stderr)
	if err != nil {
		return err
	}
	var goos [][2]string
	for _, p := range targets {
		goos = append(goos, [2]string{p.goos, p.goarch})
	}
	libraries, err := installer.Runtimes(ctx, goos...)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "narrow-release-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	zig, err := installZig(ctx, installer.Root)
	if err != nil {
		return err
	}
	b := &builder{work: work, zig: zig}
	if err := b.writeStubs(); err != nil {
		return err
	}

	// The host's own program writes the manual pages and completions.
	host := filepath.Join(work, "narrow-host"+exeSuffix(runtime.GOOS))
	info, err := b.build(ctx, platform{goos: runtime.GOOS, goarch: runtime.GOARCH}, host)
	if err != nil {
		return err
	}
	if strings.HasSuffix(info.version, "+dirty") && !dirty {
		return fmt.Errorf("the tree has changes that are not committed (git status tells), so its version would be %s: commit them, or pass -dirty", info.version)
	}
	if !info.stamped() {
		return errors.New("the go command found no commit to take the version from: release from a git clone, with git installed")
	}
	shared, err := sharedFiles(ctx, host, work)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	var made []string
	for i, p := range targets {
		files, err := releaseOne(ctx, b, p, info.version, libraries[i], shared, dir)
		if err != nil {
			return fmt.Errorf("%s: %w", p, err)
		}
		made = append(made, files...)
	}
	return writeSums(dir, made)
}

// releaseOne builds one platform's archive and list of contents, of the given
// version, and returns their names.
func releaseOne(ctx context.Context, b *builder, p platform, version, library string, shared []entry, dir string) ([]string, error) {
	program := filepath.Join(b.work, p.goos+"-"+p.goarch, "narrow"+exeSuffix(p.goos))
	info, err := b.build(ctx, p, program)
	if err != nil {
		return nil, err
	}
	if info.version != version {
		return nil, fmt.Errorf("the tree changed while the release was made: it is %s now and was %s", info.version, version)
	}
	when, err := epoch(info)
	if err != nil {
		return nil, err
	}
	licences, err := collectLicences(ctx, info.modules)
	if err != nil {
		return nil, err
	}
	base := "narrow-" + strings.TrimPrefix(info.version, "v") + "-" + p.goos + "-" + p.goarch
	entries := append([]entry{
		{name: filepath.Base(program), from: program, mode: 0o755},
		{name: filepath.Base(library), from: library, mode: 0o755},
	}, shared...)
	entries = append(entries, licences.entries()...)
	archive := base + p.archive
	if err := writeArchive(filepath.Join(dir, archive), base, entries, when); err != nil {
		return nil, err
	}
	bom := base + ".cdx.json"
	if err := writeBOM(filepath.Join(dir, bom), p, info, licences, library, when); err != nil {
		return nil, err
	}
	fmt.Println(filepath.Join(dir, archive))
	return []string{archive, bom}, nil
}

// epoch is the time that everything in the archives bears: SOURCE_DATE_EPOCH
// where it is set, else the commit's.
func epoch(info programInfo) (time.Time, error) {
	if s := os.Getenv("SOURCE_DATE_EPOCH"); s != "" {
		sec, err := strconv.ParseInt(s, 10, 64)
		if err != nil {
			return time.Time{}, fmt.Errorf("SOURCE_DATE_EPOCH is %q: give seconds since 1970", s)
		}
		return time.Unix(sec, 0).UTC(), nil
	}
	return info.time, nil
}

// sharedFiles are what all archives hold alike: documents, strategy files,
// manual pages, completions.
func sharedFiles(ctx context.Context, host, work string) ([]entry, error) {
	var out []entry
	for _, name := range []string{"README.md", "README.zh-CN.md", "CHANGELOG.md", "LICENSE"} {
		out = append(out, entry{name: name, from: name, mode: 0o644})
	}
	// The READMEs point into docs.
	err := filepath.WalkDir("docs", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			out = append(out, entry{name: filepath.ToSlash(name), from: name, mode: 0o644})
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	man := filepath.Join(work, "man1")
	if msg, err := exec.CommandContext(ctx, host, "man", man).CombinedOutput(); err != nil {
		return nil, fmt.Errorf("manual pages: %w\n%s", err, msg)
	}
	for shell, name := range map[string]string{"bash": "narrow.bash", "zsh": "_narrow", "fish": "narrow.fish", "powershell": "narrow.ps1"} {
		script, err := exec.CommandContext(ctx, host, "completion", shell).Output()
		if err != nil {
			return nil, fmt.Errorf("completions for %s: %w", shell, err)
		}
		out = append(out, entry{name: "completions/" + name, data: script, mode: 0o644})
	}
	for folder, pattern := range map[string]string{"man/man1": man + "/*.1", "configs": "examples/configs/*.json", "examples/metrics": "examples/metrics/*.py"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			return nil, fmt.Errorf("no file is like %s", pattern)
		}
		for _, f := range files {
			out = append(out, entry{name: folder + "/" + filepath.Base(f), from: f, mode: 0o644})
		}
	}
	return out, nil
}

func exeSuffix(goos string) string {
	if goos == "windows" {
		return ".exe"
	}
	return ""
}
