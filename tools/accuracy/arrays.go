package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"

	"narrow"
	"narrow/samples"
)

// writeArrays writes, for each network, what its rows are measured on as a folder of
// model.onnx, calib.npy, test.npy and labels.npy: for tools/peers/accuracy.py.
func (o options) writeArrays(ctx context.Context, dir string) error {
	for _, n := range networks {
		if !o.wants(n) {
			continue
		}
		if err := o.writeNetwork(ctx, n, filepath.Join(dir, n.name)); err != nil {
			return fmt.Errorf("%s: %w", n.name, err)
		}
	}
	return nil
}

func (o options) writeNetwork(ctx context.Context, n network, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	source, err := filepath.Abs(filepath.Join(o.models, n.model))
	if err != nil {
		return err
	}
	data, err := os.ReadFile(source)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, "model.onnx"), data, 0o644); err != nil {
		return err
	}
	model, err := narrow.Open(ctx, source)
	if err != nil {
		return err
	}
	calib, test, err := n.sets(o, model)
	if err != nil {
		return err
	}
	defer calib.Close()
	defer test.Close()
	for file, set := range map[string]*samples.Set{"calib.npy": calib, "test.npy": test} {
		if err := writeSamples(ctx, filepath.Join(dir, file), set); err != nil {
			return err
		}
	}
	var labels []byte
	for _, c := range test.Labels().Classes {
		labels = binary.LittleEndian.AppendUint64(labels, uint64(c))
	}
	return writeArray(filepath.Join(dir, "labels.npy"), "<i8", []int64{int64(len(labels) / 8)}, labels)
}

// writeSamples writes a network's only input over all samples.
func writeSamples(ctx context.Context, file string, set *samples.Set) error {
	var data []byte
	var shape []int64
	for b, err := range set.Batches(ctx, testBatch) {
		if err != nil {
			return err
		}
		if len(b.Inputs) != 1 {
			return errors.New("the network has several inputs")
		}
		for _, x := range b.Inputs {
			per := len(x.Floats) / int(x.Shape[0])
			for _, v := range x.Floats[:b.Count*per] {
				data = binary.LittleEndian.AppendUint32(data, math.Float32bits(v))
			}
			shape = append([]int64{int64(set.Len())}, x.Shape[1:]...)
		}
	}
	return writeArray(file, "<f4", shape, data)
}

// writeArray writes an .npy file of version 1.
func writeArray(file, kind string, shape []int64, data []byte) error {
	dims := strings.Join(strings.Fields(strings.Trim(fmt.Sprint(shape), "[]")), ", ")
	header := fmt.Sprintf("{'descr': '%s', 'fortran_order': False, 'shape': (%s,), }", kind, dims)
	header += strings.Repeat(" ", 63-(len(header)+10)%64) + "\n"
	out := append([]byte("\x93NUMPY\x01\x00"), binary.LittleEndian.AppendUint16(nil, uint16(len(header)))...)
	return os.WriteFile(file, append(append(out, header...), data...), 0o644)
}
