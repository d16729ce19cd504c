package atomicfile

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

// crashAt, in the environment of this test binary, makes it a process that
// replaces files and ends at a step, as if it were killed.
const crashAt = "NARROW_TEST_CRASH_AT"

func TestMain(m *testing.M) {
	if at := os.Getenv(crashAt); at != "" {
		crash(at, os.Getenv("NARROW_TEST_DIR"))
	}
	os.Exit(m.Run())
}

const crashed = 7

// crash writes the new set of files and ends at step number at, with an exit
// code of 7, or in the end with 0.
func crash(at, dir string) {
	n, err := strconv.Atoi(at)
	if err != nil {
		panic(err)
	}
	f, err := Hold(dir)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	f.step = func(string) {
		if n--; n < 0 {
			os.Exit(crashed)
		}
	}
	if err := f.Write(set("new")...); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	if err := f.Release(); err != nil {
		os.Exit(1)
	}
	os.Exit(0)
}

func set(text string) []File {
	return []File{Bytes("a", []byte(text+" a")), Bytes("b", []byte(text+" b")), Bytes("c", []byte(text+" c"))}
}

// contents reads the files of dir by themselves, but for hidden ones.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	m := map[string]string{}
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if strings.HasPrefix(e.Name(), ".narrow") || e.IsDir() {
			continue
		}
		data, err := os.ReadFile(filepath.Join(dir, e.Name()))
		if err != nil {
			t.Fatal(err)
		}
		m[e.Name()] = string(data)
	}
	return m
}

func want(text string) map[string]string {
	return map[string]string{"a": text + " a", "b": text + " b", "c": text + " c", "theirs": "not ours"}
}

// TestKilledAtEveryStep: after a kill at any step the files are all former or
// all new: for whoever looks where folders can be exchanged, for Read
// everywhere; and the next Hold leaves nothing temporary.
func TestKilledAtEveryStep(t *testing.T) {
	for _, how := range []string{"exchange", "journal"} {
		t.Run(how, func(t *testing.T) {
			if how == "exchange" && runtime.GOOS != "linux" {
				t.Skip("folders are exchanged on Linux only")
			}
			seen := map[string]bool{}
			for at := 0; ; at++ {
				parent := t.TempDir()
				dir := filepath.Join(parent, "result")
				if err := Write(dir, append(set("old"), Bytes("theirs", []byte("not ours")))...); err != nil {
					t.Fatal(err)
				}
				if how == "journal" { // a folder in it forbids the exchange
					if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
						t.Fatal(err)
					}
				}
				c := exec.Command(os.Args[0])
				c.Env = append(os.Environ(), crashAt+"="+strconv.Itoa(at), "NARROW_TEST_DIR="+dir)
				out, err := c.CombinedOutput()
				var exit *exec.ExitError
				killed := errors.As(err, &exit) && exit.ExitCode() == crashed
				if err != nil && !killed {
					t.Fatalf("%v: %s", err, out)
				}
				// A folder with one file of each kind is what neither may leave.
				state := func(m map[string]string) string {
					switch {
					case maps.Equal(m, want("old")):
						return "old"
					case maps.Equal(m, want("new")):
						return "new"
					}
					return fmt.Sprint(m)
				}
				now := state(contents(t, dir))
				if how == "exchange" && now != "old" && now != "new" {
					t.Errorf("killed at step %d, the folder holds %s", at, now)
				}
				seen[now] = true
				read, err := Read(dir, "a", "b", "c", "theirs", "nothing")
				if err != nil {
					t.Fatal(err)
				}
				m := map[string]string{}
				for k, v := range read {
					m[k] = string(v)
				}
				told := state(m)
				if told != "old" && told != "new" || how == "exchange" && told != now {
					t.Errorf("killed at step %d, Read returns %s", at, told)
				}
				f, err := Hold(dir)
				if err != nil {
					t.Fatal(err)
				}
				if got := state(contents(t, dir)); got != told {
					t.Errorf("killed at step %d, the next Hold leaves %s, but Read returned %s", at, got, told)
				}
				if err := f.Release(); err != nil {
					t.Fatal(err)
				}
				noTraces(t, parent)
				if !killed {
					if now != "new" {
						t.Errorf("without a kill the folder holds %s", now)
					}
					break
				}
			}
			if !seen["old"] || !seen["new"] || how == "journal" && len(seen) < 3 {
				t.Errorf("the kills were too few: %v", seen)
			}
		})
	}
}

// noTraces fails where anything temporary stands below dir.
func noTraces(t *testing.T, dir string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if strings.HasPrefix(d.Name(), ".narrow") {
			t.Errorf("%s stands there still", path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestExchangeSavesLateFiles: what another program writes while a result is
// being put in its place does not go with the former folder.
func TestExchangeSavesLateFiles(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("folders are exchanged on Linux only")
	}
	dir := filepath.Join(t.TempDir(), "result")
	if err := Write(dir, append(set("old"), Bytes("theirs", []byte("before")))...); err != nil {
		t.Fatal(err)
	}
	was, err := os.Stat(dir)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, text string) {
		t.Helper()
		if err := Write(dir, Bytes(name, []byte(text))); err != nil {
			t.Fatal(err)
		}
	}
	f := &Folder{dir: dir, step: func(step string) {
		if step == "twin made" {
			write("late", "late")
			write("theirs", "not ours") // by a rename, as editors save
		}
	}}
	if err := f.Write(set("new")...); err != nil {
		t.Fatal(err)
	}
	m := want("new")
	m["late"] = "late"
	if got := contents(t, dir); !maps.Equal(got, m) {
		t.Errorf("the folder holds %v", got)
	}
	if now, err := os.Stat(dir); err != nil || os.SameFile(was, now) {
		t.Errorf("the folder was not exchanged (%v)", err)
	}
}

func TestHold(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "folder")
	f, err := Hold(dir)
	if err != nil {
		t.Fatal(err)
	}
	_, err = Hold(dir)
	var busy *BusyError
	if !errors.As(err, &busy) || busy.PID != os.Getpid() || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
		t.Errorf("the second Hold: %v", err)
	}
	// An exchanged folder is held like the one before it.
	if err := f.Write(set("x")...); err != nil {
		t.Fatal(err)
	}
	if _, err := Hold(dir); !errors.As(err, &busy) {
		t.Errorf("Hold after writing: %v", err)
	}
	if err := f.Release(); err != nil {
		t.Fatal(err)
	}
	if f, err = Hold(dir); err != nil {
		t.Fatal(err)
	}
	if err := f.Release(); err != nil {
		t.Fatal(err)
	}
	noTraces(t, dir)

	empty := filepath.Join(t.TempDir(), "a", "b")
	if f, err = Hold(empty); err != nil {
		t.Fatal(err)
	}
	if err := f.Release(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Dir(empty)); err == nil {
		t.Error("folders made for nothing stay")
	}
}

// TestDrop: files that the new set makes stale go with the old set.
func TestDrop(t *testing.T) {
	for _, sub := range []bool{false, true} {
		dir := filepath.Join(t.TempDir(), "result")
		if err := Write(dir, append(set("old"), Bytes("theirs", []byte("not ours")), Bytes("stale", nil))...); err != nil {
			t.Fatal(err)
		}
		if sub {
			if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		f := &Folder{dir: dir}
		err := f.Replace(func(stage string) error {
			for _, file := range set("new") {
				if err := WriteNew(filepath.Join(stage, file.Name), file.Write); err != nil {
					return err
				}
			}
			return nil
		}, func(name string) bool { return name == "stale" })
		if err != nil {
			t.Fatal(err)
		}
		if got := contents(t, dir); !maps.Equal(got, want("new")) {
			t.Errorf("the folder holds %v", got)
		}
	}
}

// TestSweep: a temporary file whose writer was killed goes when the next one
// writes; that of a living writer stays.
func TestSweep(t *testing.T) {
	dir := t.TempDir()
	long := time.Now().Add(-time.Hour)
	var temps []string
	var files []*os.File
	for range 2 {
		f, err := os.CreateTemp(dir, tempPattern)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if err := os.Chtimes(f.Name(), long, long); err != nil {
			t.Fatal(err)
		}
		temps, files = append(temps, f.Name()), append(files, f)
	}
	if err := lockFile(files[0]); err != nil {
		t.Skip(err)
	}
	if runtime.GOOS == "windows" {
		files[1].Close()
	}
	if err := Write(dir, Bytes("a", nil)); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(temps[0]); err != nil {
		t.Errorf("the file of a living writer: %v", err)
	}
	if _, err := os.Stat(temps[1]); err == nil {
		t.Error("the file of a dead writer stays")
	}
}

// TestReadMeanwhile: whoever reads while files are replaced gets all files of
// one set.
func TestReadMeanwhile(t *testing.T) {
	for _, sub := range []bool{false, true} { // exchanged, and one by one
		dir := filepath.Join(t.TempDir(), "result")
		if err := Write(dir, set("0")...); err != nil {
			t.Fatal(err)
		}
		if sub {
			if err := os.Mkdir(filepath.Join(dir, "sub"), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		done := make(chan error)
		go func() {
			for i := range 40 {
				if err := Write(dir, set(strconv.Itoa(i))...); err != nil {
					done <- err
					return
				}
			}
			done <- nil
		}()
		seen := map[string]bool{}
		for writing := true; writing; {
			select {
			case err := <-done:
				if err != nil {
					t.Error(err)
				}
				writing = false
			default:
			}
			files, err := Read(dir, "a", "b", "c")
			if err != nil {
				t.Fatal(err)
			}
			text, _, _ := strings.Cut(string(files["a"]), " ")
			if seen[text] = true; string(files["b"]) != text+" b" || string(files["c"]) != text+" c" {
				t.Fatalf("Read returns %q", files)
			}
		}
		if len(seen) < 2 {
			t.Errorf("only %v were seen", seen)
		}
	}
}

// TestStandingInside: a folder that the process stands in stays the same one.
func TestStandingInside(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "result")
	if err := Write(dir, set("old")...); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
	if err := Write(".", set("new")...); err != nil {
		t.Fatal(err)
	}
	here, err := os.Stat(".")
	if err != nil {
		t.Fatal(err)
	}
	there, err := os.Stat(dir)
	if err != nil || !os.SameFile(here, there) {
		t.Errorf("the folder was exchanged from under the process (%v)", err)
	}
	if got := contents(t, "."); got["a"] != "new a" || got["c"] != "new c" {
		t.Errorf("the folder holds %v", got)
	}
}

// TestHoldFile: the second who would write a file is told of the first.
func TestHoldFile(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "strategy.json")
	h, err := HoldFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := HoldFile(file); err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), strconv.Itoa(os.Getpid())) {
		t.Errorf("the second holder: %v", err)
	}
	if other, err := HoldFile(filepath.Join(dir, "other.json")); err != nil {
		t.Error(err)
	} else {
		other.Release()
	}
	Sweep(dir) // takes no living process's lock away
	if _, err := HoldFile(file); err == nil {
		t.Error("the lock is gone")
	}
	h.Release()
	if list, _ := os.ReadDir(dir); len(list) > 0 {
		t.Errorf("%s stays", list[0].Name())
	}
	if h, err = HoldFile(file); err != nil {
		t.Fatal(err)
	}
	h.Release()
}
