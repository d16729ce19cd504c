// Package narrow quantizes trained networks after training. The path has six
// steps:
//
//  1. [Open] or [OpenBytes] reads an ONNX model.
//  2. [strategy.Load] reads a strategy file, in the format of vai_q_pytorch 3.5,
//     that says how to quantize. Mistakes in it are the error, all at once.
//  3. [Model.Plan] applies the exact rewrites and decides for every tensor how
//     it is quantized, and why.
//  4. [Planned.Calibrate] runs samples through the network and finds the scales.
//  5. [Calibrated.Test] compares the quantized with the float network.
//  6. [Calibrated.Export] makes a model that other runtimes load.
//     [Calibrated.Save] and [Load] keep a calibration in a folder.
//
// As a program, without the handling of errors:
//
//	ctx := context.Background()
//	model, err := narrow.Open(ctx, "net.onnx")
//	s, err := strategy.Load("int8.json")
//	planned, err := model.Plan(s, narrow.PlanOptions{})
//	set, err := samples.Open("images", model.Inputs(), samples.Options{})
//	runner, err := ort.Open("") // wherever ONNX Runtime is
//	calibrated, err := planned.Calibrate(ctx, runner, set.Batches(ctx, 16), narrow.CalibrateOptions{})
//	result, err := calibrated.Test(ctx, runner, set.Batches(ctx, 16), narrow.TestOptions{})
//	fmt.Println(result.Agreement)
//	exported, err := calibrated.Export(narrow.ExportOptions{})
//	fmt.Println(exported.Findings) // what the format could not hold
//	err = exported.Save("net.qdq.onnx")
//
// An error is non-nil exactly when there is no result. What there is to say of
// a result hangs on it as Findings. An error that carries findings, such as the
// mistakes of a strategy, gives them to [diag.AsFindings].
//
// Samples come as [engine.Batches], from anywhere; package samples reads files.
// What runs networks is an [engine.Runner]: package engine/ort has the one on
// ONNX Runtime, and the second example one of another kind. This package itself
// contains no cgo.
//
// The same inputs give the same bytes, whatever the number of threads.
package narrow

import (
	"reflect"
	"runtime/debug"

	"narrow/scheme"
)

// Accuracy says which of the two ways to quantize is taken: see [scheme.Accuracy]. The
// zero value is [High].
type Accuracy = scheme.Accuracy

// The two ways.
const (
	High  = scheme.High
	Guide = scheme.Guide
)

// Version returns the version of narrow that is running, "devel" where it was
// built from a working tree.
func Version() string {
	module := reflect.TypeFor[Model]().PkgPath()
	if info, ok := debug.ReadBuildInfo(); ok {
		mods := append([]*debug.Module{&info.Main}, info.Deps...)
		for _, m := range mods {
			if m.Path == module && m.Version != "" && m.Version != "(devel)" {
				return m.Version
			}
		}
	}
	return "devel"
}
