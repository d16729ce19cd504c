package onnx

import (
	"bytes"
	"unicode/utf8"

	"narrow/diag"
)

// magic are the starts of files that people hand over by mistake, and what to
// do about each.
var magic = []struct{ start, what string }{
	{"version https://git-lfs", "a Git LFS pointer, not the model itself: run `git lfs pull`"},
	{"\x89PNG", "a PNG image, not an ONNX model"},
	{"\xff\xd8\xff", "a JPEG image, not an ONNX model"},
	{"GIF8", "a GIF image, not an ONNX model"},
	{"RIFF", "a RIFF file (WebP, WAV), not an ONNX model"},
	{"\x93NUMPY", "a NumPy array, not an ONNX model"},
	{"\x89HDF", "an HDF5 file (Keras?), not an ONNX model: export it to ONNX first"},
	{"PK\x03\x04", "a zip archive (a PyTorch checkpoint?), not an ONNX model: unpack it, or export it with torch.onnx.export"},
	{"\x1f\x8b", "a gzip file, not an ONNX model: unpack it first"},
	{"BZh", "a bzip2 file, not an ONNX model: unpack it first"},
	{"\xfd7zXZ", "an xz file, not an ONNX model: unpack it first"},
	{"\x28\xb5\x2f\xfd", "a zstd file, not an ONNX model: unpack it first"},
	{"\x80\x02", "a Python pickle (an old PyTorch checkpoint?), not an ONNX model: export it with torch.onnx.export"},
	{"%PDF", "a PDF file, not an ONNX model"},
	{"\x7fELF", "a program, not an ONNX model"},
	{"<!DOCTYPE", "an HTML page, not an ONNX model: the download went wrong"},
	{"<html", "an HTML page, not an ONNX model: the download went wrong"},
}

// sniff refuses what is visibly something else than a model, saying what.
func sniff(data []byte) error {
	if len(data) == 0 {
		return diag.Errorf("the file is empty, not an ONNX model: copy or export it again")
	}
	for _, m := range magic {
		if bytes.HasPrefix(data, []byte(m.start)) {
			return diag.Errorf("this is %s", m.what)
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
