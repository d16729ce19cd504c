package onnx

import (
	"cmp"
	"errors"
	"io"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"narrow/diag"
	"narrow/graph"
)

// span is where a tensor's elements lie in another file.
type span struct {
	tensor   *graph.Tensor
	location string
	offset   int64
	length   int64 // -1: to the end of the file
}

// readExternal fills in the tensors whose elements lie in files below dir.
// Every byte of a file is read at most once, however many tensors share it, so
// memory stays within the files' size. Absolute paths, paths with .. and
// symbolic links that lead out of dir are refused.
func readExternal(tensors []*graph.Tensor, dir string) error {
	if len(tensors) == 0 {
		return nil
	}
	files := map[string][]span{}
	var order []string
	for _, t := range tensors {
		s, err := parseSpan(t)
		if err != nil {
			return err
		}
		if dir == "" {
			return diag.Errorf("tensor %q keeps its elements in the file %q, but the model came without a folder", t.Name, s.location)
		}
		if files[s.location] == nil {
			order = append(order, s.location)
		}
		files[s.location] = append(files[s.location], s)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return diag.Errorf("the model's folder: %w", err)
	}
	defer root.Close()
	for _, location := range order {
		if err := readSpans(root, location, files[location]); err != nil {
			return diag.Errorf("tensor %q: external data %q: %w", files[location][0].tensor.Name, location, err)
		}
	}
	return nil
}

// parseSpan reads a tensor's external_data entries.
func parseSpan(t *graph.Tensor) (span, error) {
	s := span{tensor: t, length: -1}
	for _, e := range t.Source.(*source).msg.ExternalData {
		var err error
		switch e.GetKey() {
		case "location":
			s.location = e.GetValue()
		case "offset":
			s.offset, err = strconv.ParseInt(e.GetValue(), 10, 64)
		case "length":
			s.length, err = strconv.ParseInt(e.GetValue(), 10, 64)
			if err == nil && s.length < 0 {
				err = strconv.ErrRange
			}
		}
		if err != nil || s.offset < 0 {
			return s, diag.Errorf("tensor %q: external data: %s %q is no count of bytes", t.Name, e.GetKey(), e.GetValue())
		}
	}
	if s.location == "" {
		return s, diag.Errorf("tensor %q: external data: no location", t.Name)
	}
	return s, nil
}

// readSpans reads the parts of one file and hands each tensor its own.
func readSpans(root *os.Root, location string, spans []span) error {
	name := filepath.FromSlash(location)
	if !filepath.IsLocal(name) {
		return diag.Errorf("leads out of the model's folder; only files in it or below it are read")
	}
	info, err := root.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return diag.Errorf("no such file; it must lie beside the model")
	case err != nil:
		return diag.Errorf("cannot be opened (a link that leads out of the model's folder?): %w", rootCause(err))
	case !info.Mode().IsRegular():
		return diag.Errorf("is no regular file")
	}
	f, err := root.Open(name)
	if err != nil {
		return rootCause(err)
	}
	defer f.Close()
	size := info.Size()
	for i := range spans {
		s := &spans[i]
		want, err := byteSize(s.tensor)
		if err != nil {
			return err
		}
		if want < 0 {
			return diag.Errorf("holds tensor %q of type %v, which has no fixed size", s.tensor.Name, s.tensor.Type)
		}
		if s.length < 0 {
			s.length = int64(want)
		}
		if s.length != int64(want) {
			return diag.Errorf("gives tensor %q of type %v and shape %v %d bytes, not %d", s.tensor.Name, s.tensor.Type, s.tensor.Dims, s.length, want)
		}
		if s.offset > size || s.length > size-s.offset {
			return diag.Errorf("has %d bytes, but tensor %q lies at %d and takes %d; was it cut off?", size, s.tensor.Name, s.offset, s.length)
		}
	}
	return fill(f, spans)
}

// fill reads the union of the spans, which it sorts, and cuts it up.
func fill(f io.ReaderAt, spans []span) error {
	slices.SortStableFunc(spans, func(a, b span) int { return cmp.Compare(a.offset, b.offset) })
	for len(spans) > 0 {
		start, end := spans[0].offset, spans[0].offset
		n := 0
		for n < len(spans) && spans[n].offset <= end {
			end = max(end, spans[n].offset+spans[n].length)
			n++
		}
		if end-start > math.MaxInt {
			return diag.Errorf("is too large for this machine")
		}
		buf := make([]byte, end-start)
		if _, err := f.ReadAt(buf, start); err != nil {
			return diag.Errorf("cannot be read: %w", rootCause(err))
		}
		for _, s := range spans[:n] {
			from := s.offset - start
			s.tensor.Raw = buf[from : from+s.length : from+s.length]
			s.tensor.Source.(*source).raw = s.tensor.Raw
		}
		spans = spans[n:]
	}
	return nil
}
