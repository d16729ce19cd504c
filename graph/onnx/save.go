package onnx

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"google.golang.org/protobuf/proto"

	"narrow/diag"
	"narrow/graph"
	pb "narrow/graph/onnx/internal/onnxpb"
	"narrow/internal/atomicfile"
)

// SaveOption changes how [Save] writes a model.
type SaveOption func(*saveConfig)

type saveConfig struct {
	external  bool
	threshold int
}

// WithExternalData moves every initializer of at least threshold bytes into a
// second file beside the model. Models that an .onnx file cannot hold (2 GB)
// are written so without being asked, with a threshold of 1024.
func WithExternalData(threshold int) SaveOption {
	return func(c *saveConfig) { c.external, c.threshold = true, threshold }
}

// dataAlign is where tensors start in a data file, in bytes: a page, so that
// runtimes can map them.
const dataAlign = 4096

// Save writes m to the file path. The file appears whole or not at all: it is
// written beside under another name and then renamed. A data file, if any, is
// named for the model and the data's SHA-256 (net.onnx gets
// net.onnx.<16 hex digits>.data), so that it never takes the place of one that
// an earlier model of the same name still needs; once the new model is in
// place, data files of earlier ones are removed.
func Save(m *graph.Model, path string, options ...SaveOption) error {
	c := saveConfig{threshold: 1024}
	for _, o := range options {
		o(&c)
	}
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		return diag.Errorf("save model %s: is a folder: move it away, or save elsewhere", path)
	}
	if err := complete(m); err != nil {
		return diag.Errorf("save model %s: %w", path, err)
	}
	msg := encodeModel(m)
	keep := ""
	if c.external || proto.Size(msg) >= maxMessage {
		var err error
		if msg, keep, err = writeData(msg, path, c.threshold); err != nil {
			return diag.Errorf("save model %s: %w", path, err)
		}
		if n := proto.Size(msg); n >= maxMessage {
			return diag.Errorf("save model %s: it takes %d MB without its initializers, and an ONNX file holds less than 2048", path, n>>20)
		}
	}
	data, err := marshal(msg)
	if err != nil {
		return diag.Errorf("save model %s: %w", path, err)
	}
	err = writeFile(path, func(w io.Writer) error {
		_, err := w.Write(data)
		return err
	})
	if err != nil {
		return diag.Errorf("save model %s: %w", path, err)
	}
	return removeOldData(path, keep)
}

// writeFile lets write fill a new file beside path, then gives it that name.
// On any error no file is left behind and what path held stays.
func writeFile(path string, write func(io.Writer) error) (err error) {
	f, err := atomicfile.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*.tmp")
	if err != nil {
		return rootCause(err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if err = write(f); err != nil {
		return rootCause(err)
	}
	// Without this a crash of the machine could leave the name and no content.
	if err = f.Sync(); err != nil {
		return rootCause(err)
	}
	if err = f.Close(); err != nil {
		return rootCause(err)
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return rootCause(err)
	}
	return nil
}

// writeData writes the initializers of at least threshold bytes to a data file
// and returns the model that refers to it, with the file's name, "" where no
// tensor is that large.
func writeData(msg *pb.ModelProto, path string, threshold int) (*pb.ModelProto, string, error) {
	var tensors []*pb.TensorProto
	var offsets []int64
	var at int64
	hash := sha256.New()
	forLarge(msg.Graph, threshold, func(t *pb.TensorProto, raw []byte) {
		at = (at + dataAlign - 1) / dataAlign * dataAlign
		tensors = append(tensors, t)
		offsets = append(offsets, at)
		at += int64(len(raw))
		fmt.Fprintf(hash, "%d %d\n", offsets[len(offsets)-1], len(raw))
		hash.Write(raw)
	})
	if len(tensors) == 0 {
		return msg, "", nil
	}
	name := filepath.Base(path) + "." + hex.EncodeToString(hash.Sum(nil)[:8]) + ".data"
	err := writeFile(filepath.Join(filepath.Dir(path), name), func(w io.Writer) error {
		var pos int64
		for i, t := range tensors {
			if _, err := w.Write(make([]byte, offsets[i]-pos)); err != nil {
				return err
			}
			raw := rawOf(t)
			if _, err := w.Write(raw); err != nil {
				return err
			}
			pos = offsets[i] + int64(len(raw))
		}
		return nil
	})
	if err != nil {
		return nil, "", err
	}
	where := make(map[*pb.TensorProto]int64, len(tensors))
	for i, t := range tensors {
		where[t] = offsets[i]
	}
	e := edit[*pb.ModelProto]{msg, msg}
	e.w().Graph = outsource(msg.Graph, name, where)
	return e.out, name, nil
}

// rawOf returns a tensor's elements as little-endian bytes, nil for strings.
func rawOf(t *pb.TensorProto) []byte {
	if t.RawData != nil {
		return t.RawData
	}
	if graph.DataType(t.GetDataType()) == graph.String {
		return nil
	}
	return typedElements(graph.DataType(t.GetDataType()), t)
}

// forLarge calls f for each initializer of at least threshold bytes, in the
// order of the file, those of inner graphs included.
func forLarge(g *pb.GraphProto, threshold int, f func(*pb.TensorProto, []byte)) {
	seen := map[*pb.TensorProto]bool{}
	for _, t := range g.Initializer {
		if raw := rawOf(t); len(raw) > 0 && len(raw) >= threshold && !seen[t] {
			seen[t] = true
			f(t, raw)
		}
	}
	for _, n := range g.Node {
		for _, a := range n.Attribute {
			if a.G != nil {
				forLarge(a.G, threshold, f)
			}
		}
	}
}

// outsource returns a copy of g whose initializers lie in the file name at the
// places in where.
func outsource(g *pb.GraphProto, name string, where map[*pb.TensorProto]int64) *pb.GraphProto {
	e := edit[*pb.GraphProto]{g, g}
	var initializers []*pb.TensorProto
	for _, t := range g.Initializer {
		if offset, ok := where[t]; ok {
			raw := rawOf(t)
			te := edit[*pb.TensorProto]{t, t}
			clearData(te.w())
			te.w().DataLocation = pb.TensorProto_EXTERNAL.Enum()
			te.w().ExternalData = []*pb.StringStringEntryProto{
				{Key: ptr("location"), Value: ptr(name)},
				{Key: ptr("offset"), Value: ptr(strconv.FormatInt(offset, 10))},
				{Key: ptr("length"), Value: ptr(strconv.Itoa(len(raw)))},
			}
			t = te.out
		}
		initializers = append(initializers, t)
	}
	e.w().Initializer = initializers
	var nodes []*pb.NodeProto
	for _, n := range g.Node {
		ne := edit[*pb.NodeProto]{n, n}
		for i, a := range n.Attribute {
			if a.G == nil {
				continue
			}
			if ne.out == n {
				ne.w().Attribute = append([]*pb.AttributeProto(nil), n.Attribute...)
			}
			ae := edit[*pb.AttributeProto]{a, a}
			ae.w().G = outsource(a.G, name, where)
			ne.out.Attribute[i] = ae.out
		}
		nodes = append(nodes, ne.out)
	}
	e.w().Node = nodes
	return e.out
}

// removeOldData removes the data files that earlier calls of Save made for a
// model of this name, except keep.
func removeOldData(path, keep string) error {
	dir, base := filepath.Split(path)
	if dir == "" {
		dir = "."
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil // the model is in place; a folder that cannot be listed keeps its old files
	}
	for _, e := range entries {
		if !IsDataOf(e.Name(), base) || e.Name() == keep {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil {
			return diag.Errorf("save model %s: remove the data of the model it replaced: %w", path, err)
		}
	}
	return nil
}

// IsDataOf reports whether name is that of a data file that [Save] writes beside
// a model of the given file name.
func IsDataOf(name, model string) bool {
	middle, ok := strings.CutPrefix(name, model+".")
	digits, ok2 := strings.CutSuffix(middle, ".data")
	_, err := hex.DecodeString(digits)
	return ok && ok2 && err == nil && len(digits) == 16
}
