"""Latency of narrow's exports beside those of ONNX Runtime's own quantizer.

    python latency.py [--rounds 15] [--threads 1] MODEL.onnx EXPORT.qdq.onnx [MODEL EXPORT ...]

Needs numpy, onnx and onnxruntime from PyPI. For each pair quantize_static is run
on the model as its documents say: quant_pre_process first, QDQ, uint8
activations, int8 weights per channel. Then the float model, narrow's export and
that file run in turn, so that a slow minute of a shared machine hits all. A
figure is the median over the rounds of the ratio to the float model, in
processor time and in wall time. Inputs are random: latency does not depend on
the values.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx.version_converter
import onnxruntime as ort
from onnxruntime.quantization import (
    CalibrationDataReader,
    QuantFormat,
    QuantType,
    quantize_static,
)
from onnxruntime.quantization.shape_inference import quant_pre_process

INTEGER = {"QLinearConv", "ConvInteger", "QLinearMatMul", "MatMulInteger", "MatMulIntegerToFloat", "QGemm"}


class Random(CalibrationDataReader):
    """Eight random samples."""

    def __init__(self, feed: dict[str, np.ndarray]) -> None:
        rng = np.random.default_rng(1)
        self.left = [{k: rng.random(v.shape, dtype=np.float32) for k, v in feed.items()} for _ in range(8)]

    def get_next(self) -> dict[str, np.ndarray] | None:
        return self.left.pop() if self.left else None


def session(path: Path, threads: int, optimized: Path | None = None) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    if optimized:
        options.optimized_model_filepath = str(optimized)
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def feed_of(s: ort.InferenceSession) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    shape = lambda dims: [d if isinstance(d, int) and d > 0 else 320 if i > 1 else 1 for i, d in enumerate(dims)]
    return {i.name: rng.random(shape(i.shape), dtype=np.float32) for i in s.get_inputs()}


def at_least_13(model: Path, scratch: Path) -> str:
    """The model in an operator set that has scales per channel, as quantize_static's documents ask."""
    m = onnx.load(model)
    if next(o.version for o in m.opset_import if o.domain in ("", "ai.onnx")) >= 13:
        return str(model)
    raised = scratch / "raised.onnx"
    onnx.save(onnx.version_converter.convert_version(m, 13), raised)
    return str(raised)


def measure(sessions: list[ort.InferenceSession], feed: dict[str, np.ndarray], rounds: int, clock: Callable[[], float]) -> list[float]:
    """Median ratio of each session's time to the first's."""
    for s in sessions:
        s.run(None, feed)
    start = time.perf_counter()
    sessions[0].run(None, feed)
    runs = max(1, int(0.1 / max(time.perf_counter() - start, 1e-5)))
    ratios: list[list[float]] = [[] for _ in sessions]
    for _ in range(rounds):
        took = []
        for s in sessions:
            begin = clock()
            for _ in range(runs):
                s.run(None, feed)
            took.append(clock() - begin)
        for r, t in zip(ratios, took, strict=True):
            r.append(t / took[0])
    return [statistics.median(r) for r in ratios]


def integers(path: Path, threads: int, scratch: Path) -> str:
    """How many weighted operators run in integers, of all."""
    out = scratch / "optimized.onnx"
    session(path, threads, out)
    ops = Counter(n.op_type for n in onnx.load(out).graph.node)
    integer = sum(n for op, n in ops.items() if op in INTEGER)
    return f"{integer} of {integer + sum(ops[o] for o in ('Conv', 'FusedConv', 'Gemm', 'FusedGemm', 'ConvTranspose'))}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--skip-symbolic-shape", action="store_true", help="for models that quant_pre_process cannot infer")
    parser.add_argument("files", nargs="+", type=Path)
    args = parser.parse_args()
    print(f"ONNX Runtime {ort.__version__}, {args.threads} thread(s), median of {args.rounds} rounds\n")
    print("| network | narrow, processor time | quantize_static | narrow, wall | quantize_static | integers, narrow | quantize_static |")
    print("|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as tmp:
        scratch = Path(tmp)
        for model, export in zip(args.files[::2], args.files[1::2], strict=True):
            feed = feed_of(session(model, args.threads))
            prepared, static = scratch / "prepared.onnx", scratch / "static.onnx"
            quant_pre_process(at_least_13(model, scratch), str(prepared), skip_symbolic_shape=args.skip_symbolic_shape)
            quantize_static(prepared, static, Random(feed), quant_format=QuantFormat.QDQ, activation_type=QuantType.QUInt8,
                            weight_type=QuantType.QInt8, per_channel=True)
            sessions = [session(p, args.threads) for p in (model, export, static)]
            cpu = measure(sessions, feed, args.rounds, time.process_time)
            wall = measure(sessions, feed, args.rounds, time.perf_counter)
            print(f"| {model.stem} | {cpu[1]:.2f} | {cpu[2]:.2f} | {wall[1]:.2f} | {wall[2]:.2f} "
                  f"| {integers(export, args.threads, scratch)} | {integers(static, args.threads, scratch)} |", flush=True)


if __name__ == "__main__":
    main()
