package onnx

import (
	"bytes"
	"unicode/utf8"

	"narrow/diag"
)

// magic are the starts of files that people hand over by mistake, and what to
// do about each.
var magic = []struct {
	start string
	what  error
}{
	{"version https://git-lfs", diag.Errorf("this is a Git LFS pointer, not the model itself: run `git lfs pull`")},
	{"\x89PNG", diag.Errorf("this is a PNG image, not an ONNX model")},
	{"\xff\xd8\xff", diag.Errorf("this is a JPEG image, not an ONNX model")},
	{"GIF8", diag.Errorf("this is a GIF image, not an ONNX model")},
	{"RIFF", diag.Errorf("this is a RIFF file (WebP, WAV), not an ONNX model")},
	{"\x93NUMPY", diag.Errorf("this is a NumPy array, not an ONNX model")},
	{"\x89HDF", diag.Errorf("this is an HDF5 file (Keras?), not an ONNX model: export it to ONNX first")},
	{"PK\x03\x04", diag.Errorf("this is a zip archive (a PyTorch checkpoint?), not an ONNX model: unpack it, or export it with torch.onnx.export")},
	{"\x1f\x8b", diag.Errorf("this is a gzip file, not an ONNX model: unpack it first")},
	{"BZh", diag.Errorf("this is a bzip2 file, not an ONNX model: unpack it first")},
	{"\xfd7zXZ", diag.Errorf("this is an xz file, not an ONNX model: unpack it first")},
	{"\x28\xb5\x2f\xfd", diag.Errorf("this is a zstd file, not an ONNX model: unpack it first")},
	{"\x80\x02", diag.Errorf("this is a Python pickle (an old PyTorch checkpoint?), not an ONNX model: export it with torch.onnx.export")},
	{"%PDF", diag.Errorf("this is a PDF file, not an ONNX model")},
	{"\x7fELF", diag.Errorf("this is a program, not an ONNX model")},
	{"<!DOCTYPE", diag.Errorf("this is an HTML page, not an ONNX model: the download went wrong")},
	{"<html", diag.Errorf("this is an HTML page, not an ONNX model: the download went wrong")},
}

// sniff refuses what is visibly something else than a model, saying what.
func sniff(data []byte) error {
	if len(data) == 0 {
		return diag.Errorf("the file is empty, not an ONNX model: copy or export it again")
	}
	for _, m := range magic {
		if bytes.HasPrefix(data, []byte(m.start)) {
			return m.what
		}
	}
	if len(data) > 8 && (string(data[4:8]) == "TFL3" || string(data[4:8]) == "ORTM") {
		what := map[string]string{"TFL3": "TensorFlow Lite", "ORTM": "ORT-format"}[string(data[4:8])]
		return diag.Errorf("this is a %s model, not an ONNX model: export the network to ONNX", what)
	}
	if isText(data) {
		return diag.Errorf("this is text, not an ONNX model: give the path of an .onnx file")
	}
	return nil
}

// isText reports whether data starts like a text file. A model starts with a
// field's tag and so has control characters within its first few bytes.
func isText(data []byte) bool {
	head := data[:min(len(data), 512)]
	for len(head) > 0 {
		r, n := utf8.DecodeRune(head)
		if r == utf8.RuneError && n == 1 && len(head) >= utf8.UTFMax {
			return false
		}
		if r < ' ' && r != '\t' && r != '\n' && r != '\r' && r != '\f' || r == 0x7f {
			return false
		}
		head = head[n:]
	}
	return true
}
