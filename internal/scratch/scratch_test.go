package scratch

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestMain makes a folder in another process, which then waits to be killed.
func TestMain(m *testing.M) {
	if os.Getenv("NARROW_SCRATCH_TEST") != "" {
		d, err := New()
		if err == nil {
			err = os.WriteFile(filepath.Join(d.Path, "weights"), []byte("secret"), 0o600)
		}
		if err != nil {
			panic(err)
		}
		os.Stdout.WriteString(d.Path + "\n") //nolint:errcheck // the test waits for it
		time.Sleep(time.Minute)
	}
	os.Exit(m.Run())
}

// TestDead: the folder of a process that was killed goes, that of one that lives
// stays, and so does what only looks like one.
func TestDead(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	if os.TempDir() != tmp {
		t.Skip("another variable names the temporary folder here")
	}
	start := func() (*exec.Cmd, string) {
		c := exec.Command(os.Args[0])
		c.Env = append(os.Environ(), "NARROW_SCRATCH_TEST=1")
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 4096)
		n, err := out.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return c, strings.TrimSpace(string(b[:n]))
	}
	dead, left := start()
	alive, stays := start()
	defer alive.Process.Kill() //nolint:errcheck // it waits
	if !strings.Contains(left, strconv.Itoa(dead.Process.Pid)) {
		t.Errorf("%s does not name its process", left)
	}
	if st, err := os.Stat(left); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("others may read it: %v, %v", st.Mode(), err)
	}
	_ = dead.Process.Kill()
	_ = dead.Wait()
	other := filepath.Join(tmp, "narrow-run-of-somebody")
	if err := os.Mkdir(other, 0o700); err != nil {
		t.Fatal(err)
	}
	exists := func(path string) bool { _, err := os.Stat(path); return err == nil }

	// Of a process that nobody watched: once the folder has settled.
	d, err := New()
	if err != nil {
		t.Fatal(err)
	}
	if !exists(left) {
		t.Error("a folder goes before it is settled")
	}
	if err := d.Remove(); err != nil || exists(d.Path) {
		t.Errorf("its own folder stays: %v", err)
	}
	old := time.Now().Add(-time.Hour)
	for _, path := range []string{left, stays, other} {
		if err := os.Chtimes(path, old, old); err != nil {
			t.Fatal(err)
		}
	}
	d, err = New()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Remove() //nolint:errcheck // the test's folder goes
	if exists(left) || !exists(stays) || !exists(other) {
		t.Errorf("the dead process's stays: %v, the living one's: %v, another one: %v", exists(left), exists(stays), exists(other))
	}

	// Of one that its parent saw die: at once.
	dead, left = start()
	_ = dead.Process.Kill()
	_ = dead.Wait()
	Clear(dead.Process.Pid)
	if exists(left) || !exists(stays) {
		t.Errorf("its folder stays: %v, the living one's: %v", exists(left), exists(stays))
	}
}
