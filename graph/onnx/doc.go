// Package onnx reads and writes .onnx files: bytes and a folder for external
// data come in, a graph.Model comes out, and the other way round.
//
// Rules of the house: what is read and written again is the same model, every
// field that package graph does not know included, but for calls of model-local
// functions, which [Load] inlines; the same model gives the same bytes; a file
// is there whole or not at all; no input, however broken, makes it panic or take
// more memory than a stated multiple of its size ([MemoryFactor]; functions:
// a stated number); no file outside the model's folder is read.
//
// How nothing is lost: each part of a graph.Model carries the message it was
// decoded from in its Source field, and that message is never changed. The
// encoder decodes it once more in its head: where the part still says the same,
// the message is written as it was; where it differs, a copy with only the
// differing fields replaced. So an edit needs no bookkeeping by who makes it,
// and a part without a Source is written from scratch.
package onnx
