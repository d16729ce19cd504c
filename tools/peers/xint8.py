"""Structure of narrow's vitisai exports beside AMD Quark's XINT8 files.

    python xint8.py MODEL.onnx EXPORT.vitisai.onnx [MODEL EXPORT ...]

Needs amd-quark, numpy, onnx and onnxruntime from PyPI. Quark quantizes each model with its XINT8 configuration on eight random samples: where
pairs stand and of which types does not depend on the values. Then each
operator that both files have, by the name of its result, is compared: which of
its inputs come out of a DequantizeLinear and of which type, and whether its
result goes into a QuantizeLinear.
"""

from __future__ import annotations

import copy
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
from onnxruntime.quantization import CalibrationDataReader
from quark.onnx import ModelQuantizer
from quark.onnx.quantization.config.custom_config import XINT8_QCONFIG


class Random(CalibrationDataReader):
    """Eight random samples."""

    def __init__(self, model: onnx.ModelProto) -> None:
        rng = np.random.default_rng(1)
        constants = {i.name for i in model.graph.initializer}
        shapes = {
            i.name: [d.dim_value if d.dim_value > 0 else (320 if k > 1 else 1) for k, d in enumerate(i.type.tensor_type.shape.dim)]
            for i in model.graph.input
            if i.name not in constants
        }
        self.samples = [{n: rng.random(s, dtype=np.float32) for n, s in shapes.items()} for _ in range(8)]

    def get_next(self) -> dict[str, np.ndarray] | None:
        return self.samples.pop() if self.samples else None


def structure(path: Path) -> tuple[dict[str, tuple], Counter]:
    """What stands around each operator but pairs, by type and place, and the count of all operators."""
    m = onnx.load(path)
    producer = {o: n for n in m.graph.node for o in n.output}
    types = {i.name: onnx.TensorProto.DataType.Name(i.data_type) for i in m.graph.initializer}
    readers: dict[str, list[onnx.NodeProto]] = {}
    for n in m.graph.node:
        for i in n.input:
            readers.setdefault(i, []).append(n)
    out, seen = {}, Counter()
    for n in m.graph.node:
        if n.op_type in ("QuantizeLinear", "DequantizeLinear"):
            continue
        ins = []
        for i in n.input:
            p = producer.get(i)
            ins.append(types.get(p.input[2] if len(p.input) > 2 else "", "?") if p is not None and p.op_type == "DequantizeLinear" else "-")
        quantized = all(r.op_type == "QuantizeLinear" for o in n.output for r in readers.get(o, []))
        out[f"{n.op_type} {seen[n.op_type]}"] = (tuple(ins), quantized)
        seen[n.op_type] += 1
    return out, Counter(n.op_type for n in m.graph.node)


def main() -> None:
    files = [Path(a) for a in sys.argv[1:]]
    with tempfile.TemporaryDirectory() as tmp:
        for model, export in zip(files[::2], files[1::2], strict=True):
            peer = Path(tmp) / "xint8.onnx"
            ModelQuantizer(copy.deepcopy(XINT8_QCONFIG)).quantize_model(str(model), str(peer), Random(onnx.load(model)))
            (a, ca), (b, cb) = structure(export), structure(peer)
            differ = {k: (a.get(k), b.get(k)) for k in a.keys() | b.keys() if a.get(k) != b.get(k)}
            print(f"{model.stem}: operators narrow {dict(ca - cb)} more, Quark {dict(cb - ca)} more; {len(a) - len(differ)} of {len(a)} operators stand alike")
            for k, v in sorted(differ.items()):
                print("   ", k, "narrow", v[0], "Quark", v[1])


if __name__ == "__main__":
    main()
