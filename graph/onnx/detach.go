package onnx

import (
	"google.golang.org/protobuf/proto"

	"narrow/diag"
	"narrow/graph"
	pb "narrow/graph/onnx/internal/onnxpb"
)

// DetachedLocation is the file that [EncodeDetached] says its tensors lie in.
// There is no such file: the tensors are handed over beside the model.
const DetachedLocation = "detached"

// EncodeDetached is [Encode] for an engine in the same process: the top-level
// initializers of at least threshold bytes are not copied into the bytes but
// declared as external data in the file [DetachedLocation], and returned.
func EncodeDetached(m *graph.Model, threshold int) ([]byte, []*graph.Tensor, error) {
	if err := complete(m); err != nil {
		return nil, nil, err
	}
	msg := encodeModel(m)
	where := map[*pb.TensorProto]int64{}
	var detached []*graph.Tensor
	for i, t := range m.Graph.Initializers {
		if len(t.Raw) >= max(threshold, 1) {
			where[msg.Graph.Initializer[i]] = 0
			detached = append(detached, t)
		}
	}
	if len(detached) > 0 {
		e := edit[*pb.ModelProto]{msg, msg}
		e.w().Graph = outsource(msg.Graph, DetachedLocation, where)
		msg = e.out
	}
	if n := proto.Size(msg); n >= maxMessage {
		return nil, nil, diag.Errorf("the model takes %d MB without its initializers, and an ONNX file holds less than 2048", n>>20)
	}
	data, err := marshal(msg)
	return data, detached, err
}
