package ortlib

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func touch(t *testing.T, path string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("library"), 0o666); err != nil {
		t.Fatal(err)
	}
	return path
}

// The order is: flag, variable, beside, cache, system; each is found only
// once those before it are gone.
func TestOrder(t *testing.T) {
	root := t.TempDir()
	cached, err := CachePath(filepath.Join(root, "cache"))
	if err != nil {
		t.Skip(err)
	}
	flag := touch(t, filepath.Join(root, "flag", "my.so"))
	variable := touch(t, filepath.Join(root, "env", names()[0]))
	beside := touch(t, filepath.Join(root, "beside", names()[0]))
	touch(t, cached)
	system := touch(t, filepath.Join(root, "sys2", names()[len(names())-1]))
	env := filepath.Dir(variable) // a folder will do
	f := func() *finder {
		return &finder{
			env:    func(k string) string { return map[string]string{Env: env}[k] },
			beside: filepath.Dir(beside), cache: filepath.Join(root, "cache"),
			system: []string{filepath.Join(root, "sys1"), filepath.Dir(system)},
		}
	}
	step := func(flag, want string) {
		t.Helper()
		if got, err := f().find(flag); err != nil || got != want {
			t.Errorf("%q, %v; want %q", got, err, want)
		}
	}
	step(flag, flag)
	step("", variable)
	env = ""
	step("", beside)
	os.Remove(beside)
	step("", cached)
	os.Remove(cached)
	step("", system)
	os.Remove(system)
	_, err = f().find("")
	var nf *NotFoundError
	if !errors.As(err, &nf) {
		t.Fatal(err)
	}
	for _, want := range []string{"--ort-lib", Env, filepath.Dir(beside), cached, filepath.Join(root, "sys1"), "make setup", "npm pack onnxruntime-node@" + Version} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q is not in\n%v", want, err)
		}
	}
}

// A library that the user named and that is not there is an error, whatever
// else there is.
func TestNamedIsBinding(t *testing.T) {
	root := t.TempDir()
	f := &finder{env: func(string) string { return "" }, beside: filepath.Dir(touch(t, filepath.Join(root, names()[0])))}
	if p, err := f.find(filepath.Join(root, "gone.so")); err == nil || !strings.Contains(err.Error(), "gone.so") {
		t.Errorf("%q, %v", p, err)
	}
	f.env = func(string) string { return t.TempDir() }
	if p, err := f.find(""); err == nil || !strings.Contains(err.Error(), Env) {
		t.Errorf("%q, %v", p, err)
	}
}

func TestLoaderConf(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		p := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		return p
	}
	write("conf.d/a.conf", "# comment\n/opt/a\n")
	write("conf.d/b.conf", "/opt/b # why\n")
	main := write("ld.conf", "include conf.d/*.conf\n\n/opt/c\ninclude ld.conf\n")
	got := loaderConf(main, 0)
	if len(got) < 3 || !slices.Equal(got[:3], []string{"/opt/a", "/opt/b", "/opt/c"}) {
		t.Errorf("%v", got)
	}
}

func TestPlatforms(t *testing.T) {
	for _, p := range []string{"linux/amd64", "linux/arm64", "darwin/arm64", "windows/amd64", "windows/arm64"} {
		goos, arch, _ := strings.Cut(p, "/")
		if got, ok := For(goos, arch); !ok || !strings.HasSuffix(got.Member, "/"+got.File) {
			t.Errorf("%s: %+v", p, got)
		}
	}
	for _, p := range []string{"darwin/amd64", "linux/386", "plan9/amd64"} {
		goos, arch, _ := strings.Cut(p, "/")
		if got, ok := For(goos, arch); ok {
			t.Errorf("%s: %+v", p, got)
		}
	}
}
