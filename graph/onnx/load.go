package onnx

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"

	"narrow/diag"
	"narrow/graph"
)

// Load reads the model in the file path, external data from beside it. Beyond
// what [Decode] asks it refuses operator sets that are older or newer than
// narrow knows. Nodes of one name, which ONNX allows and ONNX Runtime does not,
// get names of their own. Calls of model-local functions are inlined, at most
// a stated number of their nodes. Every error names the file.
func Load(path string) (*graph.Model, error) {
	data, err := readModelFile(path)
	if err != nil {
		return nil, err
	}
	return load(path, data, filepath.Dir(path))
}

// LoadBytes is [Load] for the bytes of an .onnx file without external data; name
// is what messages call it.
func LoadBytes(name string, data []byte) (*graph.Model, error) { return load(name, data, "") }

func load(path string, data []byte, dir string) (*graph.Model, error) {
	m, err := Decode(data, dir)
	if err != nil {
		return nil, diag.Errorf("model %s: %w", path, err)
	}
	if err := CheckOpsets(m); err != nil {
		return nil, diag.Errorf("model %s: %w", path, err)
	}
	if m.IRVersion < 0 {
		return nil, diag.Errorf("model %s: it says that its format is version %d (ir_version), which there is none of: export it again", path, m.IRVersion)
	}
	if len(m.Graph.Outputs) == 0 {
		return nil, diag.Errorf("model %s: the graph has no outputs, so there is nothing to run it for", path)
	}
	if err := inline(m, dir); err != nil {
		return nil, diag.Errorf("model %s: %w", path, short(err))
	}
	m.Graph.UniqueNames()
	return m, nil
}

// missingError says that there is no model at a path; it is fs.ErrNotExist.
type missingError struct{ path string }

func (e *missingError) Error() string { return e.Text().String() }

func (e *missingError) Text() diag.Text {
	return diag.Textf("model %s: no such file: give the path of an .onnx file", e.path)
}

func (e *missingError) Unwrap() error { return fs.ErrNotExist }

func readModelFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &missingError{path}
	case err != nil:
		return nil, diag.Errorf("model %s: %w", path, rootCause(err))
	case info.IsDir():
		return nil, diag.Errorf("model %s: is a folder: give the path of the .onnx file in it", path)
	case !info.Mode().IsRegular():
		return nil, diag.Errorf("model %s: is no regular file: give the path of an .onnx file", path)
	case info.Size() > maxMessage:
		return nil, diag.Errorf("model %s: takes %d MB, and an ONNX file holds less than 2048; store its tensors as external data", path, info.Size()>>20)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, diag.Errorf("model %s: cannot be read: %w", path, rootCause(err))
	}
	return data, nil
}

// rootCause strips the operation and path that package os adds: the messages
// here name the file already.
func rootCause(err error) error {
	var pe *fs.PathError
	if errors.As(err, &pe) {
		return pe.Err
	}
	var le *os.LinkError
	if errors.As(err, &le) {
		return le.Err
	}
	return err
}
