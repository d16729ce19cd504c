"""What narrow's exports compute in ONNX Runtime and in OpenVINO, next to narrow test: the tables of docs/export-measured.md.

    go run ./tools/accuracy -models MODELS -data DATA -arrays ARRAYS
    PYTHONPATH=python/src NARROW_BIN=bin/narrow python tools/peers/runtimes.py ARRAYS [--networks dscnn,vit] [--strategies int8,int4] [--samples 64]

Needs numpy, onnxruntime and openvino from PyPI. Each folder below ARRAYS holds model.onnx, calib.npy and test.npy. A row is one network and one
strategy: --samples of calib.npy calibrate, --samples of test.npy run through the float network, the quantized one (as narrow test computes it)
and the exported files. A figure is the SQNR in dB of the first output; "same" is no difference at all. OpenVINO computes in float32 on the CPU.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime as ort
import openvino as ov

import narrow

INT8 = {"datatype": "int", "bit_width": 8, "method": "maxmin", "round_mode": "half_even", "symmetry": True, "per_channel": False, "signed": True,
        "narrow_range": False, "scale_type": "float", "calib_statistic_method": "max"}  # fmt: skip


def integers(activations: dict[str, object], weights: dict[str, object]) -> dict[str, object]:
    """A strategy with int8 but for these settings, weights per channel and biases of 32 bits."""
    kinds = {"weights": {"per_channel": True, **weights}, "bias": {"bit_width": 32}, "input": activations, "activation": activations}
    return {"target_device": "CPU", "include_cle": False, "overall_quantize_config": INT8, "tensor_quantize_config": kinds}


STRATEGIES = {
    "int8": integers({}, {}),
    "asymmetric": integers({"symmetry": False}, {}),
    "dpu": {},
    "int16": integers({"bit_width": 16}, {}),
    "int16-int16": integers({"bit_width": 16}, {"bit_width": 16}),
    "int4": integers({}, {"bit_width": 4}),
    "int8-int16": integers({}, {"bit_width": 16}),
    "int8-int24": integers({}, {"bit_width": 24}),
    "bfloat16": {"target_device": "CPU", "overall_quantize_config": {"datatype": "bfloat16"}},
    "float16": {"target_device": "CPU", "overall_quantize_config": {"datatype": "float16"}},
}


def in_ort(file: Path, x: np.ndarray, optimized: bool) -> np.ndarray:
    """The first output of a file in ONNX Runtime."""
    options = ort.SessionOptions()
    options.log_severity_level = 4
    if not optimized:
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    s = ort.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    name = s.get_inputs()[0].name
    return np.concatenate([s.run(None, {name: x[i : i + 8]})[0] for i in range(0, len(x), 8)])


def in_openvino(file: Path, x: np.ndarray) -> np.ndarray:
    """The first output of a file in OpenVINO."""
    compiled = ov.Core().compile_model(str(file), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    return np.concatenate([compiled([x[i : i + 8]])[0] for i in range(0, len(x), 8)])


def sqnr(reference: np.ndarray, y: np.ndarray) -> str:
    """The SQNR of y in dB."""
    reference, y = reference.astype(np.float64), y.astype(np.float64)
    noise = float(((y - reference) ** 2).sum())
    return "same" if noise == 0 else f"{10 * np.log10(float((reference**2).sum()) / noise):.1f}"


def row(network: Path, strategy: str, samples: int) -> str:
    """One line of the table."""
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        model, config, out = network / "model.onnx", scratch / "strategy.json", scratch / "out"
        config.write_text(json.dumps(STRATEGIES[strategy]))
        np.save(scratch / "calib.npy", np.load(network / "calib.npy")[:samples])
        x = np.load(network / "test.npy")[:samples]
        done = narrow.calibrate(model, str(scratch / "calib.npy"), config, output_dir=out, preprocess="none")
        with done.session() as quantized, narrow.Session(model) as float_:
            test = np.concatenate([quantized.run(x[i : i + 8])[0] for i in range(0, len(x), 8)])
            reference = np.concatenate([float_.run(x[i : i + 8])[0] for i in range(0, len(x), 8)])
        cells = [network.name, strategy, sqnr(reference, test)]
        files = {}
        for target, end in (("ort", "qdq"), ("openvino", "openvino"), ("tensorrt", "tensorrt")):
            # A form that does not take the strategy leaves no file.
            subprocess.run([os.environ["NARROW_BIN"], "export", "--model", model, "-o", out, "--for", target], capture_output=True, check=False)
            files[target] = out / f"model.{end}.onnx"
        for runs in (
            lambda: in_ort(files["ort"], x, True),
            lambda: in_ort(files["ort"], x, False),
            lambda: in_openvino(files["ort"], x),
            lambda: in_openvino(files["openvino"], x),
            lambda: in_ort(files["openvino"], x, False),
            lambda: in_ort(files["tensorrt"], x, False),
        ):
            try:
                cells.append(sqnr(test, runs()))
            except Exception as e:  # a runtime's own errors: the reason is what the table is for
                print(f"{network.name} {strategy}: {str(e).splitlines()[0][:300]}", file=sys.stderr)
                cells.append("fails")
        return "| " + " | ".join(cells) + " |"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arrays", type=Path)
    parser.add_argument("--networks", default="dscnn,resnet20,mobilenet")
    parser.add_argument("--strategies", default="int8,asymmetric,dpu")
    parser.add_argument("--samples", type=int, default=64)
    o = parser.parse_args()
    print(f"narrow {narrow.__version__}, ONNX Runtime {ort.__version__}, OpenVINO {ov.__version__}")
    print("| network | strategy | test to float | ort file in ONNX Runtime | the same, unoptimized | in OpenVINO | openvino file in OpenVINO | in ONNX Runtime, unoptimized | tensorrt file in the same |")
    print("|---|---|---|---|---|---|---|---|---|")
    for network in o.networks.split(","):
        for strategy in o.strategies.split(","):
            print(row(o.arrays / network, strategy, o.samples), flush=True)


if __name__ == "__main__":
    main()
