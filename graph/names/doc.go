// Package names knows what the layers of a network are called.
//
// In goes a model; out comes, for every node, its ONNX name, its torch module
// path (layer1.0.conv1) and its name in vai_q_pytorch's listings
// (ResNet::ResNet/Sequential[layer1]/BasicBlock[0]/Conv2d[conv1]), as far as
// the exporter left them in the file, its torch class and operator; and, for
// a name or type that somebody writes, the nodes that it means.
//
// Rule of the house: a name is looked up as it is written first; only what is
// no node's name is taken for a path. Nothing is guessed: where a name means
// several nodes, all of them come out.
package names
