package ort

import "testing"

func TestTidy(t *testing.T) {
	for text, want := range map[string]string{
		"Non-zero status code returned while running Reshape node. Name:'r' Status Message: /onnxruntime_src/onnxruntime/core/providers/cpu/tensor/reshape_helper.h:91 onnxruntime::ReshapeHelper::ReshapeHelper(const onnxruntime::TensorShape&, onnxruntime::TensorShapeVector&, bool) a == b was false. Cannot be reshaped.\n": `node "r" (Reshape): a == b was false. Cannot be reshaped.`,
		"/src/onnxruntime/core/graph.cc:12 static void f(std::function<int(int)>, char) [T = int] no": "static void f(std::function<int(int)>, char) [T = int] no",
		"Load model failed": "Load model failed",
		`This is an invalid model. In Node, ("n", Frob, "", -1) : ("x": tensor(float),) -> ("y",) , Error No Op registered for Frob with domain_version of 13`: `node "n" (Frob): there is no operator Frob in version 13 of its set, or ONNX Runtime does not have it`,
		`Node (if) Op (If) [TypeInferenceError] Graph attribute inferencing failed: Node (m) Op (Mul) [ShapeInferenceError] Incompatible dimensions`:           `node "if" (If): Graph attribute inferencing failed: node "m" (Mul): Incompatible dimensions`,
		"Exception during initialization: [ONNXRuntimeError] : 1 : FAIL : upsamplebase.h:548 ScalesValidation Scale value should be greater than 0.":           "Exception during initialization: Scale value should be greater than 0.",
	} {
		if got := tidy(text); got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
}
