package main

import (
	"context"
	"errors"
	"maps"
	"path/filepath"
	"slices"

	"narrow/diag"
	"narrow/export"
	"narrow/graph"
	"narrow/graph/onnx"
	"narrow/internal/atomicfile"
)

// results are the files that one command brings into the output folder, all of
// them at once or none.
type results struct {
	// files are small ones by name.
	files map[string][]byte
	// model is a network to write as modelFile, or nil.
	model     *graph.Model
	modelFile string
	// large are files that are written as they are made.
	large []atomicfile.File
	// page, where set, makes report.html when all other files stand in the folder
	// stage, of whose sizes it tells.
	page func(stage string) ([]byte, error)
}

// hold keeps other processes from the output folder until the command ends,
// and makes sure, before long work, that it can be written.
func (a *app) hold(ctx context.Context, dir string) error {
	return a.commit(ctx, func() (err error) {
		a.folder, err = atomicfile.Hold(dir)
		return err
	})
}

// release lets the output folder go.
func (a *app) release() {
	_ = a.folder.Release() // what cannot be removed holds nobody off
	a.file.Release()
}

// write puts the results into the folder that is held.
func (a *app) write(ctx context.Context, r results) error {
	dir := a.folder.Dir()
	fill := func(stage string) error {
		for _, name := range slices.Sorted(maps.Keys(r.files)) {
			file := atomicfile.Bytes(name, r.files[name])
			if err := atomicfile.WriteNew(filepath.Join(stage, name), file.Write); err != nil {
				return diag.Errorf("writing %s: %w", filepath.Join(dir, name), cause(err))
			}
		}
		for _, file := range r.large {
			if err := atomicfile.WriteNew(filepath.Join(stage, file.Name), file.Write); err != nil {
				return diag.Errorf("writing %s: %w", filepath.Join(dir, file.Name), cause(err))
			}
		}
		if r.model != nil {
			if err := onnx.Save(r.model, filepath.Join(stage, r.modelFile)); err != nil {
				return diag.Errorf("writing %s: %w", filepath.Join(dir, r.modelFile), cause(err))
			}
		}
		if r.page == nil {
			return nil
		}
		page, err := r.page(stage)
		if err == nil {
			err = atomicfile.WriteNew(filepath.Join(stage, reportFile), atomicfile.Bytes(reportFile, page).Write)
		}
		if err != nil {
			return diag.Errorf("writing %s: %w", filepath.Join(dir, reportFile), cause(err))
		}
		return nil
	}
	_, calibrated := r.files[export.QuantInfoFile]
	drop := func(name string) bool {
		// A page shows one calibration: that of a former one goes with it.
		return r.model != nil && onnx.IsDataOf(name, r.modelFile) || calibrated && name == reportFile
	}
	return a.commit(ctx, func() error { return a.folder.Replace(fill, drop) })
}

// cause returns what an error wraps, without the temporary name around it,
// which says nothing to anybody.
func cause(err error) error {
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		err = inner
	}
	return err
}
