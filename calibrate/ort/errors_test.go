package ort

import "testing"

func TestTidy(t *testing.T) {
	for text, want := range map[string]string{
		"Non-zero status code returned while running Reshape node. Name:'r' Status Message: /onnxruntime_src/onnxruntime/core/providers/cpu/tensor/reshape_helper.h:91 onnxruntime::ReshapeHelper::ReshapeHelper(const onnxruntime::TensorShape&, onnxruntime::TensorShapeVector&, bool) a == b was false. Cannot be reshaped.\n": "Non-zero status code returned while running Reshape node. Name:'r' Status Message: a == b was false. Cannot be reshaped.",
		"/src/onnxruntime/core/graph.cc:12 static void f(std::function<int(int)>, char) [T = int] no": "static void f(std::function<int(int)>, char) [T = int] no",
		"Load model failed": "Load model failed",
	} {
		if got := tidy(text); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}
