// Package ortlib finds the ONNX Runtime shared library.
//
// In goes what the user named, if anything; out comes a path to open, or an
// error that lists every place looked at and the command that installs the
// library. Nothing is opened or loaded here, and what a user named is never
// skipped in silence for something else.
package ortlib

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"narrow/diag"
)

const (
	// Version is the ONNX Runtime that narrow is built and tested with, and
	// that setup installs.
	Version = "1.30.0"
	// Env is the environment variable that names the library.
	Env = "NARROW_ORT_LIB"
)

// Platform says where the library is inside npm's onnxruntime-node, and what
// it is called.
type Platform struct {
	// Member is the path in the package, with forward slashes.
	Member string
	// File is the name that it is installed under.
	File string
}

// For returns the platform of a GOOS and GOARCH, and false where the package
// has no library for it.
func For(goos, goarch string) (Platform, bool) {
	arch := map[string]string{"amd64": "x64", "arm64": "arm64"}[goarch]
	var system, file string
	switch goos {
	case "linux":
		system, file = "linux", "libonnxruntime.so.1"
	case "darwin":
		system, file = "darwin", "libonnxruntime.1.dylib"
	case "windows":
		system, file = "win32", "onnxruntime.dll"
	}
	if arch == "" || system == "" || system == "darwin" && arch == "x64" {
		return Platform{}, false
	}
	return Platform{"bin/napi-v6/" + system + "/" + arch + "/" + file, file}, true
}

// CacheRoot is the folder below which everything that setup installs lies:
// narrow in the user's cache folder (XDG_CACHE_HOME, else ~/.cache, on Linux).
func CacheRoot() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", diag.Errorf("the user's cache folder is not known: %w", err)
	}
	return filepath.Join(dir, "narrow"), nil
}

// CachePath is where setup puts this machine's library, below the folder root.
func CachePath(root string) (string, error) {
	return CachePathFor(root, runtime.GOOS, runtime.GOARCH)
}

// CachePathFor is where setup puts the library for a GOOS and GOARCH.
func CachePathFor(root, goos, goarch string) (string, error) {
	p, ok := For(goos, goarch)
	if !ok {
		return "", diag.Errorf("npm's onnxruntime-node %s has no library for %s/%s", Version, goos, goarch)
	}
	return filepath.Join(root, "onnxruntime-"+Version, goos+"-"+goarch, p.File), nil
}

// names are the file names under which the library may be installed, the most
// telling first.
func names() []string {
	switch runtime.GOOS {
	case "darwin":
		return []string{"libonnxruntime.1.dylib", "libonnxruntime.dylib", "libonnxruntime." + Version + ".dylib"}
	case "windows":
		return []string{"onnxruntime.dll"}
	}
	return []string{"libonnxruntime.so.1", "libonnxruntime.so", "libonnxruntime.so." + Version}
}

// NotFoundError says that there is no library, and what to do about it.
type NotFoundError struct {
	// Looked lists the places, in order, each with what was found there.
	Looked []diag.Text
}

// Error returns several lines: the places, and the way out.
func (e *NotFoundError) Error() string { return e.Text().String() }

// Text is Error in words that can be translated.
func (e *NotFoundError) Text() diag.Text {
	var places diag.Text
	for _, l := range e.Looked {
		places = diag.Textf("%s  %s\n", places, l)
	}
	t := diag.Textf("the ONNX Runtime library was not found; narrow looked at\n%sinstall it by `make setup` in narrow's source folder", places)
	if p, ok := For(runtime.GOOS, runtime.GOARCH); ok {
		t = diag.Textf("%s, or by\n  %s\nand pass --ort-lib package/%s", t, fmt.Sprintf("npm pack onnxruntime-node@%[1]s && tar -xzf onnxruntime-node-%[1]s.tgz", Version), p.Member)
	}
	return t
}

// Find returns the path of the library. It looks at flag (the value of
// --ort-lib), the variable NARROW_ORT_LIB, the executable's folder, the cache
// that setup fills, and the system's library path, in this order. A flag or
// variable that is set is the only place looked at; it may name the folder of
// the library too.
//
// The error is a [*NotFoundError].
func Find(flag string) (string, error) {
	f := finder{env: os.Getenv}
	if exe, err := os.Executable(); err == nil {
		if real, err := filepath.EvalSymlinks(exe); err == nil {
			exe = real
		}
		f.beside = filepath.Dir(exe)
	}
	f.cache, f.cacheErr = CacheRoot()
	f.system = systemDirs(os.Getenv, "/etc/ld.so.conf")
	return f.find(flag)
}

// finder is what Find depends on.
type finder struct {
	env      func(string) string
	beside   string
	cache    string
	cacheErr error
	system   []string
	looked   []diag.Text
}

func (f *finder) find(flag string) (string, error) {
	for _, named := range []struct{ by, path string }{{"--ort-lib", flag}, {Env, f.env(Env)}} {
		if named.path == "" {
			f.looked = append(f.looked, diag.Textf("%s: not set", named.by))
			continue
		}
		what := diag.Textf("no such file")
		if fi, err := os.Stat(named.path); err == nil {
			// A name without a folder would be searched for on the system's path.
			abs, err := filepath.Abs(named.path)
			if err != nil {
				abs = named.path
			}
			if !fi.IsDir() {
				return abs, nil
			}
			if p := in(abs); p != "" {
				return p, nil
			}
			what = diag.Textf("a folder without %s", names()[0])
		}
		// To fall back to another library than the named one would mislead.
		return "", &NotFoundError{Looked: []diag.Text{diag.Textf("%s %s: %s", named.by, named.path, what)}}
	}
	if p := f.dir(f.beside); p != "" {
		return p, nil
	}
	if f.cacheErr != nil {
		f.looked = append(f.looked, diag.Textf("the cache: %v", f.cacheErr))
	} else if p, err := CachePath(f.cache); err != nil {
		f.looked = append(f.looked, diag.Textf("the cache: %v", err))
	} else if exists(p) {
		return p, nil
	} else {
		f.looked = append(f.looked, diag.Textf("the cache: %s", p))
	}
	for _, d := range f.system {
		if p := in(d); p != "" {
			return p, nil
		}
	}
	f.looked = append(f.looked, diag.Textf("the system's library path: %s", strings.Join(f.system, " ")))
	return "", &NotFoundError{Looked: f.looked}
}

func (f *finder) dir(dir string) string {
	if dir == "" {
		return ""
	}
	p := in(dir)
	if p == "" {
		f.looked = append(f.looked, diag.Textf("beside the program: %s", filepath.Join(dir, names()[0])))
	}
	return p
}

// in returns the path of the library in dir, or "".
func in(dir string) string {
	for _, n := range names() {
		if p := filepath.Join(dir, n); exists(p) {
			return p
		}
	}
	return ""
}

func exists(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.Mode().IsRegular()
}

// systemDirs lists the folders that the system's loader searches, those of its
// environment variable first.
func systemDirs(env func(string) string, conf string) []string {
	var dirs []string
	add := func(list ...string) {
		for _, d := range list {
			if filepath.IsAbs(d) && !slices.Contains(dirs, d) {
				dirs = append(dirs, d)
			}
		}
	}
	switch runtime.GOOS {
	case "windows":
		add(filepath.SplitList(env("PATH"))...)
	case "darwin":
		add(filepath.SplitList(env("DYLD_LIBRARY_PATH"))...)
		add("/opt/homebrew/lib", "/usr/local/lib", "/usr/lib")
	default:
		add(filepath.SplitList(env("LD_LIBRARY_PATH"))...)
		add(loaderConf(conf, 0)...)
		add("/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib")
	}
	return dirs
}

// loaderConf reads the folders named in a file like /etc/ld.so.conf.
func loaderConf(path string, depth int) []string {
	f, err := os.Open(path)
	if err != nil || depth > 4 {
		return nil
	}
	defer f.Close()
	var dirs []string
	for sc := bufio.NewScanner(f); sc.Scan(); {
		line, _, _ := strings.Cut(sc.Text(), "#")
		line = strings.TrimSpace(line)
		if rest, ok := strings.CutPrefix(line, "include"); ok && rest != strings.TrimSpace(rest) {
			pattern := strings.TrimSpace(rest)
			if !filepath.IsAbs(pattern) {
				pattern = filepath.Join(filepath.Dir(path), pattern)
			}
			files, _ := filepath.Glob(pattern) // a bad pattern names no file
			for _, name := range files {
				dirs = append(dirs, loaderConf(name, depth+1)...)
			}
		} else if line != "" {
			dirs = append(dirs, line)
		}
	}
	return dirs
}
