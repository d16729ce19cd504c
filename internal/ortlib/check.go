package ortlib

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"narrow/diag"
)

// NoteEnding ends the name of what setup notes of a library, beside it: the
// SHA-256 of its bytes, its size and its time.
const NoteEnding = ".sum"

// DamagedError says that a library is not the one that setup installed.
type DamagedError struct{ Path string }

// Error names the file and the way out.
func (e *DamagedError) Error() string { return e.Text().String() }

// Text is Error in words that can be translated.
func (e *DamagedError) Text() diag.Text {
	return diag.Textf("the ONNX Runtime library %s is damaged: it is not what was installed; `make setup` in narrow's source folder installs it again", e.Path)
}

// Note notes what the library at path is, for [Check].
func Note(path string) error {
	sum, err := hashOf(path)
	if err != nil {
		return err
	}
	size, when, err := stampOf(path)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path+NoteEnding, fmt.Appendf(nil, "%s %d %d\n", sum, size, when), 0o666); err != nil {
		return diag.Errorf("noting the library's hash: %w", err)
	}
	return nil
}

// Check looks at whether the library at path still is what [Note] noted, where
// its size or time is another; always decides whether it is hashed otherwise
// too. A library of which nothing is noted is taken as it is. The error is a
// [*DamagedError].
func Check(path string, always bool) error {
	text, err := os.ReadFile(path + NoteEnding)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return diag.Errorf("reading the library's hash: %w", err)
	}
	var sum string
	var size, when int64
	if n, _ := fmt.Sscanf(string(text), "%64s %d %d", &sum, &size, &when); n != 3 {
		return &DamagedError{path} // what was noted is damaged
	}
	nowSize, nowWhen, err := stampOf(path)
	if err != nil {
		return err
	}
	if !always && nowSize == size && nowWhen == when {
		return nil
	}
	now, err := hashOf(path)
	if err != nil {
		return err
	}
	if now != sum {
		return &DamagedError{path}
	}
	return nil
}

func stampOf(path string) (size, when int64, err error) {
	fi, err := os.Stat(path)
	if err != nil {
		return 0, 0, diag.Errorf("looking at the library: %w", err)
	}
	return fi.Size(), fi.ModTime().UnixNano(), nil
}

func hashOf(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", diag.Errorf("reading the library: %w", err)
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", diag.Errorf("reading the library: %w", err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
