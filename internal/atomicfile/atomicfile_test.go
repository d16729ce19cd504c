package atomicfile

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestFailureLeavesWhatWasThere(t *testing.T) {
	dir := t.TempDir()
	if err := Write(dir, Bytes("a", []byte("old a")), Bytes("b", []byte("old b"))); err != nil {
		t.Fatal(err)
	}
	boom := errors.New("boom")
	err := Write(dir, Bytes("a", []byte("new a")), File{"b", func(w io.Writer) error {
		_, _ = io.WriteString(w, "half of")
		return boom
	}})
	if !errors.Is(err, boom) {
		t.Fatalf("Write returned %v", err)
	}
	for name, want := range map[string]string{"a": "old a", "b": "old b"} {
		if got, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(got) != want {
			t.Errorf("%s holds %q, %v; want %q", name, got, err, want)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 2 {
		t.Errorf("%d files in the folder, want 2: %v", len(entries), entries)
	}
}

func TestReplaces(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	for _, text := range []string{"first", "second"} {
		if err := Write(dir, Bytes("a", []byte(text))); err != nil {
			t.Fatal(err)
		}
		if got, err := os.ReadFile(filepath.Join(dir, "a")); err != nil || string(got) != text {
			t.Errorf("a holds %q, %v; want %q", got, err, text)
		}
	}
}

func TestCheckDir(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{file, filepath.Join(file, "below"), "/proc/nowhere"} {
		err := CheckDir(dir)
		if err == nil || !strings.Contains(err.Error(), dir) {
			t.Errorf("CheckDir(%q) = %v, want an error that names it", dir, err)
		}
	}
	root := t.TempDir()
	if err := CheckDir(filepath.Join(root, "new", "folder")); err != nil {
		t.Error(err)
	}
	if err := CheckDir(root); err != nil {
		t.Error(err)
	}
	if entries, err := os.ReadDir(root); err != nil || len(entries) != 0 {
		t.Errorf("CheckDir left %v, %v", entries, err)
	}
}

// TestDanglingLink: a link to nowhere stays, whatever becomes of the write.
func TestDanglingLink(t *testing.T) {
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink("nowhere", link); err != nil {
		t.Skip(err)
	}
	for _, write := range []func() error{
		func() error { return CheckDir(link) },
		func() error { return Write(link, Bytes("a", nil)) },
		func() error { return Write(filepath.Join(link, "deep"), Bytes("a", nil)) },
	} {
		if err := write(); err == nil {
			t.Error("no error")
		}
		if to, err := os.Readlink(link); err != nil || to != "nowhere" {
			t.Fatalf("the link leads to %q, %v", to, err)
		}
	}
}

// TestFailureLeavesNoFolder: folders that were made for files that could not
// be written go away again, those that were there stay.
func TestFailureLeavesNoFolder(t *testing.T) {
	root := t.TempDir()
	failed := errors.New("failed")
	err := Write(filepath.Join(root, "a", "b"), Bytes("first", []byte("x")), File{"second", func(io.Writer) error { return failed }})
	if !errors.Is(err, failed) {
		t.Errorf("error %v", err)
	}
	if entries, err := os.ReadDir(root); err != nil || len(entries) > 0 {
		t.Errorf("left %v, %v", entries, err)
	}
}
