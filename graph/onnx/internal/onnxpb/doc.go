// Package onnxpb holds the messages of the ONNX file format, generated from
// onnx-ml.proto of the onnx project (version 1.23.2, Apache-2.0). Nothing but
// graph/onnx may see it.
package onnxpb

//go:generate protoc -I ../../../.. --go_out=../../../.. --go_opt=paths=source_relative --go_opt=Mgraph/onnx/internal/onnxpb/onnx-ml.proto=narrow/graph/onnx/internal/onnxpb graph/onnx/internal/onnxpb/onnx-ml.proto
