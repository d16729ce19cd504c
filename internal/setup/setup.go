// Package setup installs, into the user's cache, what narrow needs and does
// not hold itself: the ONNX Runtime library and the Fashion-MNIST images.
//
// In goes nothing but the machine; out come files in the cache, whose content
// is the pinned one. The rules of the house: what is there already is left
// alone; all is made under a temporary name beside its place, checked, and
// renamed, so several programs may install at once and a broken run leaves
// nothing half-made; downloads are npm's and apt's, never our own.
package setup

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"narrow/internal/ortlib"
)

// integrity is what npm publishes as dist.integrity of onnxruntime-node at
// [ortlib.Version].
const integrity = "sha512-twhs1C2C/BFkz1yc5OY0KIU2GUq6DURO7hD4bx5Q2Qy3nAMJwRXW8xU3NVczE29VA9lolLOYepoD8fjTGOfIqw=="

// dataFile is one of Fashion-MNIST's four files. Packers compress differently,
// so the unpacked content is what is checked.
type dataFile struct{ name, sha256 string }

var dataFiles = []dataFile{
	{"t10k-images-idx3-ubyte.gz", "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"},
	{"t10k-labels-idx1-ubyte.gz", "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"},
	{"train-images-idx3-ubyte.gz", "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"},
	{"train-labels-idx1-ubyte.gz", "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"},
}

const (
	debPackage = "dataset-fashion-mnist"
	debFolder  = "usr/share/datasets/fashion-mnist"
)

// Installer installs below a folder.
type Installer struct {
	// Root is the cache's folder; see [ortlib.CacheRoot].
	Root string
	// Log receives a line before each thing that takes a while.
	Log io.Writer

	integrity string
	files     []dataFile
	installed string // where the Debian package puts the data
	run       func(ctx context.Context, dir, name string, args ...string) error
	isRoot    bool
}

// New returns an installer into the user's cache.
func New(log io.Writer) (*Installer, error) {
	root, err := ortlib.CacheRoot()
	if err != nil {
		return nil, err
	}
	return &Installer{Root: root, Log: log, integrity: integrity, files: dataFiles, installed: "/" + debFolder, run: run, isRoot: os.Geteuid() == 0}, nil
}

// run runs a program in dir. The error holds the end of what it printed.
func run(ctx context.Context, dir, name string, args ...string) error {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return err
	}
	if err != nil {
		text := strings.TrimSpace(string(out))
		if len(text) > 2000 {
			text = "..." + text[len(text)-2000:]
		}
		return fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, text)
	}
	return nil
}

func (s *Installer) say(format string, args ...any) {
	fmt.Fprintf(s.Log, format+"\n", args...)
}

// patiently runs a program that takes long, and says every ten seconds that it
// is at work.
func (s *Installer) patiently(ctx context.Context, dir, name string, args ...string) error {
	began := time.Now()
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	done := make(chan error, 1)
	go func() { done <- s.run(ctx, dir, name, args...) }()
	for {
		select {
		case err := <-done:
			return err
		case <-tick.C:
			s.say("  ... %s is at work for %.0f s", name, time.Since(began).Seconds())
		}
	}
}

// temporary makes a folder beside the things to install, so that renaming
// works.
func (s *Installer) temporary() (dir string, remove func(), err error) {
	if err := os.MkdirAll(s.Root, 0o777); err != nil {
		return "", nil, fmt.Errorf("the cache cannot be made: %w", err)
	}
	old, _ := filepath.Glob(filepath.Join(s.Root, ".setup-*")) // the pattern is a good one
	for _, d := range old {
		// Of a run that was killed; one of today may still be at work.
		if fi, err := os.Stat(d); err == nil && time.Since(fi.ModTime()) > 24*time.Hour {
			os.RemoveAll(d)
		}
	}
	dir, err = os.MkdirTemp(s.Root, ".setup-*")
	if err != nil {
		return "", nil, fmt.Errorf("the cache cannot be written: %w", err)
	}
	return dir, func() { os.RemoveAll(dir) }, nil
}

// place moves a finished file to where it belongs.
func place(from, to string) error {
	if err := os.MkdirAll(filepath.Dir(to), 0o777); err != nil {
		return err
	}
	err := os.Rename(from, to)
	if err != nil && runtime.GOOS == "windows" {
		// A library in use cannot be replaced there, and need not be.
		if _, there := os.Stat(to); there == nil {
			return nil
		}
	}
	return err
}

// Runtime installs the ONNX Runtime library for this machine, unless it is
// there, and returns its path.
func (s *Installer) Runtime(ctx context.Context) (string, error) {
	paths, err := s.Runtimes(ctx, [2]string{runtime.GOOS, runtime.GOARCH})
	if err != nil {
		return "", err
	}
	return paths[0], nil
}

// library is a member of the npm package and the path to put it at.
type library struct{ member, path string }

// Runtimes installs the libraries for several platforms, each a GOOS and a
// GOARCH, and returns their paths in that order. One package holds all, and is
// fetched once, and only if one is missing.
func (s *Installer) Runtimes(ctx context.Context, platforms ...[2]string) ([]string, error) {
	paths := make([]string, len(platforms))
	var missing []library
	for i, target := range platforms {
		path, err := ortlib.CachePathFor(s.Root, target[0], target[1])
		if err != nil {
			return nil, err
		}
		paths[i] = path
		if !s.whole(path) {
			p, _ := ortlib.For(target[0], target[1]) // CachePathFor knows it
			missing = append(missing, library{"package/" + p.Member, path})
		}
	}
	if len(missing) == 0 {
		return paths, nil
	}
	dir, remove, err := s.temporary()
	if err != nil {
		return nil, err
	}
	defer remove()
	name := "onnxruntime-node-" + ortlib.Version + ".tgz"
	s.say("installing ONNX Runtime %s from npm (108 MB) ...", ortlib.Version)
	// No scripts: the package's own would fetch GPU libraries.
	err = s.patiently(ctx, dir, "npm", "pack", "--silent", "--ignore-scripts", "onnxruntime-node@"+ortlib.Version)
	if errors.Is(err, exec.ErrNotFound) {
		return nil, fmt.Errorf("npm is needed to install ONNX Runtime and was not found: install it (apt-get install npm), or set %s to a library of version %s that you have", ortlib.Env, ortlib.Version)
	}
	if err != nil {
		return nil, fmt.Errorf("ONNX Runtime: %w", err)
	}
	tgz := filepath.Join(dir, name)
	if err := checkIntegrity(tgz, s.integrity); err != nil {
		return nil, fmt.Errorf("ONNX Runtime: %w", err)
	}
	for _, m := range missing {
		lib := filepath.Join(dir, "library")
		if err := extract(tgz, m.member, lib); err != nil {
			return nil, fmt.Errorf("ONNX Runtime: %w", err)
		}
		if err := place(lib, m.path); err != nil {
			return nil, fmt.Errorf("ONNX Runtime: %w", err)
		}
		if err := ortlib.Note(m.path); err != nil {
			return nil, fmt.Errorf("ONNX Runtime: %w", err)
		}
		s.say("ONNX Runtime %s: %s", ortlib.Version, m.path)
	}
	return paths, nil
}

// whole reports whether the library at path is what was installed there. One of
// which nothing is noted, of an earlier version of setup, is noted as it is.
func (s *Installer) whole(path string) bool {
	if fi, err := os.Stat(path); err != nil || fi.Size() == 0 {
		return false
	}
	if err := ortlib.Check(path, true); err != nil {
		s.say("%v", err)
		return false
	}
	if _, err := os.Stat(path + ortlib.NoteEnding); err != nil {
		_ = ortlib.Note(path) // a cache that cannot be written is used as it is
	}
	return true
}

// checkIntegrity compares a file with a Subresource Integrity string.
func checkIntegrity(file, want string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha512.New()
	if _, err := io.Copy(h, f); err != nil {
		return err
	}
	if got := "sha512-" + base64.StdEncoding.EncodeToString(h.Sum(nil)); got != want {
		return fmt.Errorf("%s has integrity %s and not the pinned %s: it was not installed", filepath.Base(file), got, want)
	}
	return nil
}

// extract writes one member of a .tgz to a file.
func extract(tgz, member, to string) error {
	f, err := os.Open(tgz)
	if err != nil {
		return err
	}
	defer f.Close()
	zr, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("%s: %w", filepath.Base(tgz), err)
	}
	for tr := tar.NewReader(zr); ; {
		h, err := tr.Next()
		if err == io.EOF {
			return fmt.Errorf("%s does not hold %s", filepath.Base(tgz), member)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Base(tgz), err)
		}
		if h.Name != member || h.Typeflag != tar.TypeReg {
			continue
		}
		return writeFile(to, tr)
	}
}

// writeFile writes a file and has the disk hold it.
func writeFile(to string, r io.Reader) (err error) {
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, out.Close()) }()
	if _, err := io.Copy(out, r); err != nil {
		return err
	}
	return out.Sync()
}

// DataDir is where the Fashion-MNIST files are, below the cache's folder root.
func DataDir(root string) string { return filepath.Join(root, "fashion-mnist") }

// Data installs the four files of Fashion-MNIST, unless they are there, and
// returns their folder.
func (s *Installer) Data(ctx context.Context) (string, error) {
	dir := DataDir(s.Root)
	have, err := s.complete(dir)
	if err != nil {
		return "", fmt.Errorf("%w: remove it, and run this again", err)
	}
	if have {
		return dir, nil
	}
	if have, err := s.complete(s.installed); err == nil && have {
		return dir, s.copyData(s.installed, dir)
	}
	tmp, remove, err := s.temporary()
	if err != nil {
		return "", err
	}
	defer remove()
	s.say("installing Fashion-MNIST from Debian's %s (31 MB) ...", debPackage)
	if err := s.download(ctx, tmp); err != nil {
		return "", err
	}
	debs, _ := filepath.Glob(filepath.Join(tmp, debPackage+"_*.deb")) // the pattern is a good one
	if len(debs) != 1 {
		return "", fmt.Errorf("apt-get download %s left %d packages", debPackage, len(debs))
	}
	if err := s.run(ctx, tmp, "dpkg-deb", "-x", debs[0], "x"); err != nil {
		return "", fmt.Errorf("unpacking %s: %w", debPackage, err)
	}
	from := filepath.Join(tmp, "x", filepath.FromSlash(debFolder))
	have, err = s.complete(from)
	if err == nil && !have {
		err = fmt.Errorf("package %s does not hold the four files", debPackage)
	}
	if err != nil {
		return "", err
	}
	if err := s.copyData(from, dir); err != nil {
		return "", err
	}
	s.say("Fashion-MNIST: %s", dir)
	return dir, nil
}

// download has apt fetch the package into dir; no root is needed.
func (s *Installer) download(ctx context.Context, dir string) error {
	args := []string{"download", debPackage}
	if s.isRoot {
		// apt's own user cannot write here, and says so at length.
		args = append([]string{"-o", "APT::Sandbox::User=root"}, args...)
	}
	err := s.patiently(ctx, dir, "apt-get", args...)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, exec.ErrNotFound):
		return s.byHand()
	case ctx.Err() != nil:
		return ctx.Err()
	case !s.isRoot:
		return fmt.Errorf("%w\nif apt does not know the package, run `sudo apt-get update`, then this again", err)
	}
	s.say("apt does not know the package; updating its lists ...")
	if uerr := s.run(ctx, dir, "apt-get", "update"); uerr != nil {
		return fmt.Errorf("%w\nand apt's lists could not be updated: %w", err, uerr)
	}
	if err := s.patiently(ctx, dir, "apt-get", args...); err != nil {
		return fmt.Errorf("%w\nafter apt-get update too; %w", err, s.byHand())
	}
	return nil
}

// byHand tells what to do where apt cannot help.
func (s *Installer) byHand() error {
	var b strings.Builder
	fmt.Fprintf(&b, "apt-get, which would install Fashion-MNIST, is not there: put these four files of the data set into %s\n", DataDir(s.Root))
	for _, f := range s.files {
		fmt.Fprintf(&b, "  %s\n", f.name)
	}
	fmt.Fprintf(&b, "(they are those of Zalando's fashion-mnist; on a Debian machine, in %s's %s)", debPackage, debFolder)
	return errors.New(b.String())
}

// complete reports whether dir holds the four files. A file with other content
// is an error.
func (s *Installer) complete(dir string) (bool, error) {
	for _, f := range s.files {
		switch err := f.check(filepath.Join(dir, f.name)); {
		case errors.Is(err, os.ErrNotExist):
			return false, nil
		case err != nil:
			return false, err
		}
	}
	return true, nil
}

// check reads a file to its end.
func (d dataFile) check(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	h := sha256.New()
	zr, err := gzip.NewReader(f)
	if err == nil {
		_, err = io.Copy(h, zr)
	}
	if err != nil {
		return fmt.Errorf("%s is damaged: %w", path, err)
	}
	if hex.EncodeToString(h.Sum(nil)) != d.sha256 {
		return fmt.Errorf("%s is not the file of that name in Fashion-MNIST", path)
	}
	return nil
}

// copyData copies the four files, each under a temporary name first.
func (s *Installer) copyData(from, to string) error {
	tmp, remove, err := s.temporary()
	if err != nil {
		return err
	}
	defer remove()
	for _, f := range s.files {
		in, err := os.Open(filepath.Join(from, f.name))
		if err != nil {
			return err
		}
		err = writeFile(filepath.Join(tmp, f.name), in)
		in.Close()
		if err == nil {
			err = place(filepath.Join(tmp, f.name), filepath.Join(to, f.name))
		}
		if err != nil {
			return fmt.Errorf("installing %s: %w", f.name, err)
		}
	}
	return nil
}
