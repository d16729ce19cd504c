package atomicfile

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"narrow/diag"
)

// Replace lets fill write files, none of them in folders, into the folder stage,
// through to the disk, and then puts all of them in the place of those of the
// same names at once. Files for whose names drop (which may be nil) holds go.
// Everything else in the folder stays. An error, fill's too, leaves the folder
// as it was.
//
// Where the system can exchange two folders in one step (Linux, on its own
// file systems) that is how: whoever looks, and whenever the process is
// killed, sees all former or all new files. That needs leave to write into the
// folder's parent, and is not done for a folder that is a mount point, that
// has folders in it, or that this process stands in, since what stands in it
// would be left in the former one. There the files are renamed one by one, a
// journal beforehand: [Read] never sees some of each, and if a kill comes
// between the first rename and the last, the next [Hold] does the rest.
func (f *Folder) Replace(fill func(stage string) error, drop func(name string) bool) (err error) {
	stage, err := os.MkdirTemp(f.dir, stagePrefix)
	if err != nil {
		return cannot(f.dir, err)
	}
	defer os.RemoveAll(stage) // gone already when all went well
	if err := fill(stage); err != nil {
		return err
	}
	f.at("filled")
	names, err := entries(stage)
	if err != nil || len(names) == 0 {
		return err
	}
	for name := range names {
		path := filepath.Join(f.dir, name)
		if st, err := os.Lstat(path); err == nil && st.IsDir() {
			return diag.Errorf("writing %s: is a folder: move it away, or name another output folder with -o", path)
		}
	}
	if drop == nil {
		drop = func(string) bool { return false }
	}
	there, err := entries(f.dir)
	if err != nil {
		return err
	}
	stale := map[string]bool{}
	for name, e := range there {
		if names[name] == nil && !e.IsDir() && drop(name) {
			stale[name] = true
		}
	}
	if len(names) == 1 && len(stale) == 0 {
		for name := range names { // one rename changes all there is to change
			if err := os.Rename(filepath.Join(stage, name), filepath.Join(f.dir, name)); err != nil {
				return diag.Errorf("writing %s: %w", filepath.Join(f.dir, name), err)
			}
		}
		syncDir(f.dir)
		return nil
	}
	syncDir(stage)
	if f.exchange(stage, names, stale) {
		return nil
	}
	if err := f.journal(stage); err != nil {
		return diag.Errorf("writing into %s: %w", f.dir, err)
	}
	for name := range stale {
		err = errors.Join(err, os.Remove(filepath.Join(f.dir, name)))
	}
	return err
}

// entries returns what stands in a folder, by name.
func entries(dir string) (map[string]fs.DirEntry, error) {
	list, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	m := make(map[string]fs.DirEntry, len(list))
	for _, e := range list {
		m[e.Name()] = e
	}
	return m, nil
}

func (f *Folder) at(step string) {
	if f.step != nil {
		f.step(step)
	}
}

// journal renames the files one by one. The stage's new name is the decision:
// before it the old files hold, after it the new ones.
func (f *Folder) journal(stage string) error {
	if err := f.roll(); err != nil { // another one's
		return err
	}
	if err := os.Chmod(stage, 0o755); err != nil { // for readers: see Read
		return err
	}
	if err := os.Rename(stage, filepath.Join(f.dir, nextName)); err != nil {
		return err
	}
	syncDir(f.dir)
	f.at("decided")
	return f.roll()
}

// roll puts decided files in their places, if there are any.
func (f *Folder) roll() error {
	next := filepath.Join(f.dir, nextName)
	names, err := entries(next)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	for name := range names {
		if err := os.Rename(filepath.Join(next, name), filepath.Join(f.dir, name)); err != nil {
			return err
		}
		f.at("renamed one")
	}
	syncDir(f.dir)
	return os.Remove(next)
}

// exchange makes a folder beside f with the files of both, and exchanges the
// two. It reports false, and has changed nothing, where that cannot be done.
func (f *Folder) exchange(stage string, names map[string]fs.DirEntry, stale map[string]bool) bool {
	dir, ok := f.exchangeable()
	if !ok {
		return false
	}
	twin, err := os.MkdirTemp(filepath.Dir(dir), swapPrefix(dir))
	if err != nil {
		return false
	}
	if !f.twin(twin, dir, stage, names, stale) || exchange(twin, dir) != nil {
		os.RemoveAll(twin)
		return false
	}
	syncDir(filepath.Dir(dir))
	f.at("exchanged")
	// What somebody else wrote since the twin was made must not go.
	rescue(twin, dir, func(name string) bool { return names[name] != nil || stale[name] })
	f.at("rescued")
	os.RemoveAll(twin)
	return true
}

// exchangeable returns the folder's real path, and whether nothing stands
// against its becoming another one.
func (f *Folder) exchangeable() (string, bool) {
	dir, err := filepath.Abs(f.dir)
	if err != nil {
		return "", false
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil || dir == filepath.Dir(dir) {
		return "", false
	}
	here, err := os.Getwd()
	if err != nil {
		return "", false
	}
	if here, err = filepath.EvalSymlinks(here); err != nil || below(here, dir) {
		return "", false
	}
	return dir, true
}

func below(path, dir string) bool {
	rel, err := filepath.Rel(dir, path)
	return err != nil || rel != ".." && !strings.HasPrefix(rel, ".."+string(filepath.Separator))
}

// twin fills a folder with links to the files of dir and stage.
func (f *Folder) twin(twin, dir, stage string, names map[string]fs.DirEntry, stale map[string]bool) bool {
	there, err := entries(dir)
	if err != nil || !sameAccess(twin, dir) {
		return false
	}
	for name, e := range there {
		switch {
		case strings.HasPrefix(name, stagePrefix) || names[name] != nil:
			continue
		case e.IsDir():
			return false
		case stale[name]:
			continue
		}
		if os.Link(filepath.Join(dir, name), filepath.Join(twin, name)) != nil {
			return false
		}
	}
	for name := range names {
		if os.Link(filepath.Join(stage, name), filepath.Join(twin, name)) != nil {
			return false
		}
	}
	syncDir(twin)
	f.at("twin made")
	return true
}

// swapPrefix begins the names of the folders that dir is exchanged with.
func swapPrefix(dir string) string {
	sum := sha256.Sum256([]byte(filepath.Base(dir)))
	return ".narrow-swap-" + hex.EncodeToString(sum[:4]) + "-"
}

// rescue moves files from a former folder into dir that are not the same there,
// but for those that are replaced.
func rescue(former, dir string, replaced func(string) bool) {
	list, _ := entries(former)
	for name := range list {
		if strings.HasPrefix(name, stagePrefix) || replaced(name) {
			continue
		}
		old, err := os.Lstat(filepath.Join(former, name))
		if err != nil {
			continue
		}
		if now, err := os.Lstat(filepath.Join(dir, name)); err == nil && os.SameFile(old, now) {
			continue
		}
		_ = os.Rename(filepath.Join(former, name), filepath.Join(dir, name))
	}
}

// recover repairs what a killed process left.
func (f *Folder) recover() error {
	if err := f.roll(); err != nil {
		return err
	}
	list, err := entries(f.dir)
	if err != nil {
		return err
	}
	for name := range list {
		if strings.HasPrefix(name, stagePrefix) {
			err = errors.Join(err, os.RemoveAll(filepath.Join(f.dir, name)))
		}
	}
	sweep(f.dir, staleAfter)
	if err != nil {
		return err
	}
	dir, err := filepath.Abs(f.dir)
	if err != nil {
		return err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return err
	}
	beside, _ := entries(filepath.Dir(dir)) // one that cannot be listed holds none of ours
	for name := range beside {
		if !strings.HasPrefix(name, swapPrefix(dir)) {
			continue
		}
		twin := filepath.Join(filepath.Dir(dir), name)
		in, err := entries(twin)
		if err != nil {
			continue
		}
		for name := range in {
			if strings.HasPrefix(name, stagePrefix) { // the former folder, which was exchanged
				rescue(twin, dir, func(name string) bool { _, err := os.Lstat(filepath.Join(dir, name)); return err == nil })
				break
			}
		}
		os.RemoveAll(twin)
	}
	return nil
}

// staleAfter is how old a temporary file must be to be a dead process's: a
// living one holds a lock on its own, but not in the moment it is made.
const staleAfter = 2 * time.Second

// sweep removes single temporary files in dir that nobody writes any more, and
// that are older than age.
func sweep(dir string, age time.Duration) {
	list, _ := entries(dir)
	for name := range list {
		if ok, err := filepath.Match(tempPattern, name); !ok || err != nil {
			continue
		}
		t := filepath.Join(dir, name)
		f, err := os.Open(t)
		if err != nil {
			continue
		}
		st, err := f.Stat()
		if err == nil && st.Mode().IsRegular() && time.Since(st.ModTime()) >= age && lockFile(f) == nil {
			os.Remove(t)
		}
		f.Close()
	}
}

// syncDir makes what happened to a folder's names last through a failure of
// the machine, where the system can.
func syncDir(dir string) {
	if d, err := os.Open(dir); err == nil {
		_ = d.Sync()
		d.Close()
	}
}
