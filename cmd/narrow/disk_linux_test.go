package main

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// disk mounts an empty disk of that size in memory at a new folder.
func disk(t *testing.T, size string) string {
	t.Helper()
	dir, err := filepath.Abs("disk")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("a disk of its own takes root: mount: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestFullDisk: on a disk that fills up while a result is written, the former
// one stays, nothing else does, and the message says what is wrong.
func TestFullDisk(t *testing.T) {
	t.Setenv(accuracyEnv, "guide") // of 8 samples high tells that they are few
	model := sandbox(t)
	root := disk(t, "2m")
	for _, out := range []string{filepath.Join(root, "out"), root} { // exchanged; a mount point: journalled
		run := "run --data x.npy --model " + model + " -o " + out
		if code, _, stderr := execute(run); code != 0 {
			t.Fatal(stderr)
		}
		other := run + " --config-file other.json --keep-bias"
		before := visible(t, out)
		filler := filepath.Join(root, "filler")
		failed := 0
		for free := int64(0); ; free = 2*free + 4096 {
			if err := fill(filler, free); err != nil {
				t.Fatal(err)
			}
			code, stdout, stderr := execute(other)
			if err := os.Remove(filler); err != nil {
				t.Fatal(err)
			}
			if code == 0 {
				break
			}
			failed++
			if code != 1 || stdout != "" || !strings.HasPrefix(stderr, "narrow: ") || !strings.Contains(stderr, "no space left on device") || !strings.Contains(stderr, out) || strings.Contains(stderr, ".narrow") {
				t.Errorf("with %d bytes free: exit code %d, standard output %q, standard error %q", free, code, stdout, stderr)
			}
			if got := visible(t, out); !maps.Equal(got, before) {
				t.Fatalf("with %d bytes free: %v", free, difference(before, got))
			}
			if left := traces(t, out); len(left) > 0 {
				t.Fatalf("with %d bytes free there are still %v", free, left)
			}
		}
		if failed < 4 || maps.Equal(visible(t, out), before) {
			t.Errorf("the disk was full %d times, and in the end the result is the former one: %v", failed, maps.Equal(visible(t, out), before))
		}
		if left := traces(t, out); len(left) > 0 {
			t.Errorf("there are still %v", left)
		}
	}
}

// fill writes a file that leaves that many bytes of the disk.
func fill(file string, free int64) error {
	var st unix.Statfs_t
	if err := unix.Statfs(filepath.Dir(file), &st); err != nil {
		return err
	}
	return os.WriteFile(file, make([]byte, max(int64(st.Bavail)*st.Bsize-free, 0)), 0o600)
}

// TestReadOnly: a folder that may be read only is found out before the work,
// and reading from it works.
func TestReadOnly(t *testing.T) {
	model := sandbox(t)
	root := disk(t, "2m")
	out := filepath.Join(root, "out")
	run := "run --data x.npy --model " + model + " -o " + out
	if code, _, stderr := execute(run); code != 0 {
		t.Fatal(stderr)
	}
	before := tree(t, root)
	if err := unix.Mount("", root, "", unix.MS_REMOUNT|unix.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	for _, args := range []string{run, strings.Replace(run, "run ", "calib ", 1), "export --model " + model + " -o " + out, run + "/new"} {
		code, stdout, stderr := execute(args)
		want := "read-only file system: name another with -o\n"
		if code != 1 || stdout != "" || !strings.HasPrefix(stderr, "narrow: cannot write into the output folder "+out) || !strings.HasSuffix(stderr, want) {
			t.Errorf("narrow %s: exit code %d, standard output %q, standard error %q", args, code, stdout, stderr)
		}
	}
	if code, _, stderr := execute("test --data x.npy --model " + model + " -o " + out); code != 0 {
		t.Errorf("narrow test: %s", stderr)
	}
	if got := tree(t, root); !maps.Equal(got, before) {
		t.Errorf("the folder: %v", difference(before, got))
	}
}
