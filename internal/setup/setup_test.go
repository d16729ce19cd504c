package setup

import (
	"archive/tar"
	"bytes"
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
	"sync"
	"testing"

	"narrow/internal/ortlib"
)

// packed returns data in gzip.
func packed(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// npmPackage returns a .tgz with the given members, and what they hold.
func npmPackage(t *testing.T, members map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for member, content := range members {
		if err := w.WriteHeader(&tar.Header{Name: member, Mode: 0o644, Size: int64(len(content)), Typeflag: tar.TypeReg}); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return packed(t, b.Bytes())
}

// released are the platforms whose libraries the package of these tests holds
// beside this machine's.
var released = [][2]string{{"linux", "arm64"}, {"darwin", "arm64"}, {"windows", "amd64"}}

// machine is an installer whose npm and apt are small files: what is tested
// is what narrow does with what they fetch, and when they fail.
type machine struct {
	*Installer
	mu   sync.Mutex
	ran  []string
	fail map[string]error
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	p, ok := ortlib.For(runtime.GOOS, runtime.GOARCH)
	if !ok {
		t.Skip("no library for this platform")
	}
	members := map[string]string{}
	for _, r := range released {
		other, _ := ortlib.For(r[0], r[1])
		members["package/"+other.Member] = "for " + r[0] + "/" + r[1]
	}
	members["package/"+p.Member] = "the library"
	tgz := npmPackage(t, members)
	sum := sha512.Sum512(tgz)
	m := &machine{fail: map[string]error{}}
	m.Installer = &Installer{
		Root: filepath.Join(t.TempDir(), "cache"), Log: io.Discard,
		integrity: "sha512-" + base64.StdEncoding.EncodeToString(sum[:]),
		installed: filepath.Join(t.TempDir(), "nothing"),
	}
	for i := range 4 {
		h := sha256.Sum256([]byte{byte(i)})
		m.files = append(m.files, dataFile{fmt.Sprintf("file%d.gz", i), hex.EncodeToString(h[:])})
	}
	m.run = func(ctx context.Context, dir, name string, args ...string) error {
		line := name + " " + args[0]
		if args[0] == "-o" {
			line = name + " " + args[2]
		}
		m.mu.Lock()
		defer m.mu.Unlock()
		m.ran = append(m.ran, line)
		if err := m.fail[line]; err != nil {
			return err
		}
		switch line {
		case "npm pack":
			return os.WriteFile(filepath.Join(dir, "onnxruntime-node-"+ortlib.Version+".tgz"), tgz, 0o666)
		case "apt-get download":
			return os.WriteFile(filepath.Join(dir, debPackage+"_1_all.deb"), nil, 0o666)
		case "apt-get update":
			delete(m.fail, "apt-get download")
		case "dpkg-deb -x":
			m.putData(t, filepath.Join(dir, "x", debFolder))
		}
		return nil
	}
	return m
}

func (m *machine) putData(t *testing.T, dir string) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Error(err)
	}
	for i, f := range m.files {
		if err := os.WriteFile(filepath.Join(dir, f.name), packed(t, []byte{byte(i)}), 0o666); err != nil {
			t.Error(err)
		}
	}
}

// tidy checks that no temporary folder stays.
func (m *machine) tidy(t *testing.T) {
	t.Helper()
	left, err := filepath.Glob(filepath.Join(m.Root, ".setup-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestInstall(t *testing.T) {
	m := newMachine(t)
	ctx := context.Background()
	// Several at once, as two test runs on one machine.
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			lib, err := m.Runtime(ctx)
			if err != nil {
				t.Error(err)
				return
			}
			if b, err := os.ReadFile(lib); err != nil || string(b) != "the library" {
				t.Errorf("%q, %v", b, err)
			}
			dir, err := m.Data(ctx)
			if err != nil {
				t.Error(err)
			} else if ok, err := m.complete(dir); !ok || err != nil {
				t.Errorf("%v, %v", ok, err)
			}
		})
	}
	wg.Wait()
	m.tidy(t)
	// The second time nothing runs.
	m.ran = nil
	if _, err := m.Runtime(ctx); err != nil {
		t.Error(err)
	}
	if _, err := m.Data(ctx); err != nil {
		t.Error(err)
	}
	if len(m.ran) > 0 {
		t.Errorf("ran %v", m.ran)
	}
}

// Several platforms' libraries come out of one package, fetched once and only
// for what is missing.
func TestRuntimes(t *testing.T) {
	m := newMachine(t)
	ctx := context.Background()
	for range 2 {
		paths, err := m.Runtimes(ctx, released...)
		if err != nil {
			t.Fatal(err)
		}
		for i, r := range released {
			want := "for " + r[0] + "/" + r[1]
			if r[0] == runtime.GOOS && r[1] == runtime.GOARCH {
				want = "the library"
			}
			if b, err := os.ReadFile(paths[i]); err != nil || string(b) != want {
				t.Errorf("%v: %q, %v", r, b, err)
			}
		}
	}
	if len(m.ran) != 1 {
		t.Errorf("ran %v", m.ran)
	}
	m.tidy(t)
	if _, err := m.Runtimes(ctx, [2]string{"darwin", "amd64"}); err == nil || !strings.Contains(err.Error(), "darwin/amd64") {
		t.Errorf("no library for darwin/amd64, but %v", err)
	}
}

func TestInstalledData(t *testing.T) {
	m := newMachine(t)
	m.putData(t, m.installed)
	dir, err := m.Data(context.Background())
	if err != nil || len(m.ran) > 0 {
		t.Fatalf("%v, ran %v", err, m.ran)
	}
	if ok, err := m.complete(dir); !ok {
		t.Error(err)
	}
}

func TestAptLists(t *testing.T) {
	m := newMachine(t)
	m.fail["apt-get download"] = errors.New("unable to locate package")
	if _, err := m.Data(context.Background()); err == nil || !strings.Contains(err.Error(), "sudo apt-get update") {
		t.Errorf("without root: %v", err)
	}
	m.tidy(t)
	m.isRoot = true
	if _, err := m.Data(context.Background()); err != nil {
		t.Errorf("as root: %v", err)
	}
}

func TestFaults(t *testing.T) {
	ctx := context.Background()
	m := newMachine(t)
	m.fail["apt-get download"] = fmt.Errorf("apt-get: %w", exec.ErrNotFound)
	m.fail["npm pack"] = fmt.Errorf("npm: %w", exec.ErrNotFound)
	_, err := m.Data(ctx)
	for _, want := range []string{DataDir(m.Root), "file0.gz", "file3.gz"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("no apt: %v, want %q", err, want)
		}
	}
	if _, err := m.Runtime(ctx); err == nil || !strings.Contains(err.Error(), "install it") || !strings.Contains(err.Error(), ortlib.Env) {
		t.Errorf("no npm: %v", err)
	}

	m = newMachine(t)
	m.integrity = "sha512-other"
	if _, err := m.Runtime(ctx); err == nil || !strings.Contains(err.Error(), "pinned sha512-other") {
		t.Errorf("integrity: %v", err)
	}
	if path, _ := ortlib.CachePath(m.Root); path != "" {
		if _, err := os.Stat(path); err == nil {
			t.Error("a library of wrong integrity was installed")
		}
	}
	m.tidy(t)

	m = newMachine(t)
	m.files[2].sha256 = strings.Repeat("0", 64)
	if _, err := m.Data(ctx); err == nil || !strings.Contains(err.Error(), "file2.gz is not the file of that name") {
		t.Errorf("content: %v", err)
	}
	if ok, _ := m.complete(DataDir(m.Root)); ok {
		t.Error("wrong data were installed")
	}
	m.tidy(t)

	m = newMachine(t)
	m.putData(t, DataDir(m.Root))
	if err := os.WriteFile(filepath.Join(DataDir(m.Root), "file1.gz"), []byte("junk"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Data(ctx); err == nil || !strings.Contains(err.Error(), "file1.gz is damaged") {
		t.Errorf("damage: %v", err)
	}
}

// TestRepair: a library that was altered or cut off in the cache is installed
// again.
func TestRepair(t *testing.T) {
	m := newMachine(t)
	ctx := context.Background()
	lib, err := m.Runtime(ctx)
	if err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(lib)
	if err != nil {
		t.Fatal(err)
	}
	altered := bytes.Clone(whole)
	altered[0] ^= 1
	for _, bad := range [][]byte{altered, whole[:len(whole)-1], nil} {
		if err := os.WriteFile(lib, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := m.Runtime(ctx); err != nil {
			t.Fatal(err)
		}
		if now, err := os.ReadFile(lib); err != nil || !bytes.Equal(now, whole) {
			t.Errorf("%q is not repaired (%v)", now, err)
		}
	}
	before := len(m.ran)
	if _, err := m.Runtime(ctx); err != nil || len(m.ran) != before {
		t.Errorf("a library that is whole is installed again (%v)", err)
	}
}
