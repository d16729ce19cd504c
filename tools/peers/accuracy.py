"""Accuracy of other quantizers on the arrays that narrow's tables are measured on.

    go run ./tools/accuracy -models MODELS -data DATA -arrays ARRAYS
    python accuracy.py ARRAYS [--networks vit,dscnn] [--peers ort-minmax,nncf]

Needs numpy, onnx and onnxruntime from PyPI, and nncf, amd-quark, aimet-onnx or esp-ppq for their rows; what is not installed is
skipped, and named (their requirements do not go together: an environment for each). Each folder below ARRAYS holds model.onnx,
calib.npy, test.npy and labels.npy. Each peer is set up as its own documents say for this kind of network:

- ort-minmax, ort-percentile: quant_pre_process, then quantize_static with QDQ, uint8 activations, int8 weights per channel, and
  ranges of the extremes, or the percentile 99.999 that is its default for that method;
- nncf: nncf.quantize with its defaults for ONNX (with TRANSFORMER for networks with attention);
- quark-a8w8, quark-xint8: the configurations of those names of AMD Quark; XINT8 is the one for DPUs, with powers of two as scales;
- aimet: AIMET's QuantizationSimModel with its defaults (int8 weights per channel, asymmetric int8 activations, minimum and maximum)
  behind its folding of batch normalizations (its equalize_model changes nothing in these five: its log calls their layers unsupported);
- esp-ppq: espdl_quantize_onnx with its defaults for the esp32p4, which has powers of two as scales.

The table has top-1, the share of samples whose class is the float network's, and the SQNR of the first output over all test samples
together, as narrow computes them.
"""

from __future__ import annotations

import argparse
import copy
import importlib.metadata
import resource
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import onnx.version_converter
import onnxruntime as ort
from onnxruntime.quantization import CalibrationDataReader, CalibrationMethod, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process


# A quantizer writes a network into its second argument, or returns what computes the first output of a batch where only a simulation of
# its own does.
Run = Callable[[np.ndarray], np.ndarray]
Quantize = Callable[[Path, Path, str, np.ndarray, Path], Run | None]


class Samples(CalibrationDataReader):
    """Samples one by one, as the calibration reads them."""

    def __init__(self, name: str, x: np.ndarray) -> None:
        self.name, self.x, self.at = name, x, 0

    def get_next(self) -> dict[str, np.ndarray] | None:
        if self.at == len(self.x):
            return None
        self.at += 1
        return {self.name: self.x[self.at - 1 : self.at]}

    def rewind(self) -> None:
        self.at = 0


def at_least_13(model: Path, scratch: Path) -> Path:
    """The model in an operator set that has scales per channel."""
    m = onnx.load(model)
    if next(o.version for o in m.opset_import if o.domain in ("", "ai.onnx")) >= 13:
        return model
    raised = scratch / "raised.onnx"
    onnx.save(onnx.version_converter.convert_version(m, 13), raised)
    return raised


def static(method: CalibrationMethod) -> Quantize:
    """ONNX Runtime's quantize_static with ranges of that method."""

    def quantize(model: Path, out: Path, name: str, calib: np.ndarray, scratch: Path) -> None:
        prepared = scratch / "prepared.onnx"
        source = str(at_least_13(model, scratch))
        try:
            quant_pre_process(source, str(prepared))
        except Exception:  # its symbolic shape inference does not know every network
            quant_pre_process(source, str(prepared), skip_symbolic_shape=True)
        quantize_static(
            prepared, out, Samples(name, calib), quant_format=QuantFormat.QDQ, activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8, per_channel=True, calibrate_method=method,
        )

    return quantize


def nncf_quantize(model: Path, out: Path, name: str, calib: np.ndarray, scratch: Path) -> None:
    """NNCF's post-training quantization."""
    import nncf

    m = onnx.load(at_least_13(model, scratch))
    attention = any(n.op_type == "Softmax" and n.output[0] in {i for u in m.graph.node if u.op_type == "MatMul" for i in u.input} for n in m.graph.node)
    data = nncf.Dataset([calib[i : i + 1] for i in range(len(calib))], lambda x: {name: x})
    kind = nncf.ModelType.TRANSFORMER if attention else None
    onnx.save(nncf.quantize(m, data, subset_size=len(calib), model_type=kind), out)


def quark(config: str) -> Quantize:
    """AMD Quark's configuration of that name."""

    def quantize(model: Path, out: Path, name: str, calib: np.ndarray, scratch: Path) -> None:
        from quark.onnx import ModelQuantizer
        from quark.onnx.quantization.config import custom_config

        c = copy.deepcopy(getattr(custom_config, config + "_QCONFIG"))
        ModelQuantizer(c).quantize_model(str(at_least_13(model, scratch)), str(out), Samples(name, calib))

    return quantize


def aimet(model: Path, out: Path, name: str, calib: np.ndarray, scratch: Path) -> None:
    """AIMET's simulation, written as QuantizeLinear and DequantizeLinear."""
    from aimet_onnx import QuantizationSimModel
    from aimet_onnx.batch_norm_fold import fold_all_batch_norms_to_weight

    m = onnx.load(at_least_13(model, scratch))
    fold_all_batch_norms_to_weight(m)
    sim = QuantizationSimModel(m)
    sim.compute_encodings([{name: calib[i : i + 1]} for i in range(len(calib))])
    onnx.save(sim.to_onnx_qdq(), out)


def esp_ppq(model: Path, out: Path, name: str, calib: np.ndarray, scratch: Path) -> Run:
    """ESP-PPQ for the esp32p4; it simplifies the file that it is given in its place."""
    import torch
    from esp_ppq.api import espdl_quantize_onnx
    from esp_ppq.executor import TorchExecutor

    own = scratch / "own.onnx"
    onnx.save(onnx.load(at_least_13(model, scratch)), own)
    shape = [1, *calib.shape[1:]]
    data = torch.utils.data.DataLoader(torch.from_numpy(calib), batch_size=1, shuffle=False)
    graph = espdl_quantize_onnx(
        str(own), str(scratch / "own.espdl"), data, len(calib), shape, collate_fn=lambda x: x, error_report=False, skip_export=True,
    )
    executor = TorchExecutor(graph, device="cpu")
    return lambda x: np.concatenate([executor.forward(torch.from_numpy(x[i : i + 1]))[0].numpy() for i in range(len(x))])


PEERS: dict[str, tuple[str, Quantize]] = {
    "ort-minmax": ("onnxruntime", static(CalibrationMethod.MinMax)),
    "ort-percentile": ("onnxruntime", static(CalibrationMethod.Percentile)),
    "nncf": ("nncf", nncf_quantize),
    "quark-a8w8": ("amd-quark", quark("A8W8")),
    "quark-xint8": ("amd-quark", quark("XINT8")),
    "aimet": ("aimet-onnx", aimet),
    "esp-ppq": ("esp-ppq", esp_ppq),
}


def run(model: Path, x: np.ndarray) -> np.ndarray:
    """The first output over all samples."""
    options = ort.SessionOptions()
    options.log_severity_level = 3
    if importable("amd-quark"):
        from quark.onnx import get_library_path

        options.register_custom_ops_library(get_library_path())
    s = ort.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    name, fixed = s.get_inputs()[0].name, s.get_inputs()[0].shape[0]
    step = fixed if isinstance(fixed, int) else 50
    return np.concatenate([s.run(None, {name: x[i : i + step]})[0] for i in range(0, len(x), step)])


def importable(package: str) -> bool:
    try:
        importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return False
    return True


def measure(folder: Path, peers: list[str]) -> None:
    """Prints the rows of one network."""
    calib, test, labels = (np.load(folder / f"{n}.npy") for n in ("calib", "test", "labels"))
    model = folder / "model.onnx"
    name = onnx.load(model).graph.input[0].name
    want = run(model, test)
    top = want.argmax(1)
    print(f"\n{folder.name}: {len(calib)} samples calibrate, {len(test)} others test; float top-1 {100 * (top == labels).mean():.1f} %\n")
    print("| quantizer | top-1 | agreement | SQNR | processor |\n|---|---|---|---|---|")
    for peer in peers:
        package, quantize = PEERS[peer]
        if not importable(package):
            print(f"{peer}: {package} is not installed", file=sys.stderr)
            continue
        with tempfile.TemporaryDirectory() as tmp:
            out = Path(tmp) / "quantized.onnx"
            before = resource.getrusage(resource.RUSAGE_SELF)
            try:
                own = quantize(model, out, name, calib, Path(tmp))
                after = resource.getrusage(resource.RUSAGE_SELF)
                got = own(test) if own else run(out, test)
            except Exception as e:  # a peer that fails is a row
                print(f"| {peer}, {package} {importlib.metadata.version(package)} | fails: {type(e).__name__} | | | |", flush=True)
                print(f"{peer}: {e}", file=sys.stderr)
                continue
        noise = ((want.astype(np.float64) - got) ** 2).sum()
        decibel = 10 * np.log10((want.astype(np.float64) ** 2).sum() / noise)
        seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        print(
            f"| {peer}, {package} {importlib.metadata.version(package)} | {100 * (got.argmax(1) == labels).mean():.1f} % "
            f"| {100 * (got.argmax(1) == top).mean():.1f} % | {decibel:.1f} dB | {seconds:.1f} s |",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("arrays", type=Path)
    parser.add_argument("--networks", help="names of folders, with commas between (default: all)")
    parser.add_argument("--peers", default=",".join(PEERS), help="likewise")
    args = parser.parse_args()
    names = args.networks.split(",") if args.networks else sorted(p.name for p in args.arrays.iterdir())
    for n in names:
        measure(args.arrays / n, args.peers.split(","))


if __name__ == "__main__":
    main()
