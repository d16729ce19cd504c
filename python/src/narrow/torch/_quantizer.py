"""torch_quantizer: vai_q_pytorch's calls, with narrow behind them."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import tempfile
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from .. import _api
from .._client import Array, Client, array
from .._errors import NarrowError, UsageError
from .._progress import Bar
from . import _custom, _export, _script, _tree

_last: weakref.ref[torch_quantizer] | None = None


def _mode(quant_mode: Any) -> str:
    """Return "off", "calib" or "test". Older scripts write 0, 1 and 2."""
    if quant_mode in ("calib", "test"):
        return str(quant_mode)
    if isinstance(quant_mode, int) and not isinstance(quant_mode, bool) and quant_mode in (0, 1, 2):
        return ("off", "calib", "test")[quant_mode]
    raise UsageError(f"quant_mode is {quant_mode!r}: it must be 'calib' or 'test'")


class torch_quantizer:  # noqa: N801 (the name is the guide's)
    """Quantize a torch module by a strategy file, through forward calls of the user's own script.

    Args:
        quant_mode: "calib" to calibrate on what forward sees, "test" to compute what the quantized network does
            (1 and 2 in older scripts; 0 leaves the module in float).
        module: the trained network. It is exported to ONNX once, in evaluation mode.
        input_args: an example of its inputs: a tensor, a tuple with an entry for each argument, or a dict. The first
            axis of tensors counts samples. Values do not matter, shapes and types do.
        input_kwargs: an example of its keyword arguments.
        state_dict_file: weights to load into the module first.
        output_dir: folder of the results. In test mode the calibration is read from there.
        bitwidth: without a strategy file, the bit width of all tensors (default: 8).
        device: where outputs are put; default: where the inputs are. narrow itself computes on the CPU.
        quant_config_file: the strategy file; default: vai_q_pytorch's defaults for the DPU.
        dynamo: export with torch's newer exporter instead of by tracing.
        accuracy, propagate, skip_invalid, keep_integers: as for ``narrow.calibrate``, keyword only.
        app_deploy, target, custom_quant_ops: accepted for vai_q_pytorch's sake.

    Raises:
        StrategyError: every mistake of the strategy file at once, before any sample runs.
        ExportError: a module that torch cannot export, with torch's reason and the layer.
        NotImplementedError: for lstm, qat_proc and mix_bit, which narrow does not do.

    """

    def __init__(
        self,
        quant_mode: str,
        module: torch.nn.Module,
        input_args: Any = None,
        input_kwargs: Mapping[str, Any] | None = None,
        state_dict_file: str | None = None,
        output_dir: str = "quantize_result",
        bitwidth: int | None = None,
        mix_bit: bool = False,
        device: Any = None,
        lstm: bool = False,
        app_deploy: str = "CV",
        qat_proc: bool = False,
        custom_quant_ops: Sequence[str] | None = None,
        quant_config_file: str | None = None,
        target: str | None = None,
        dynamo: bool = False,
        *,
        accuracy: str | None = None,
        propagate: str | None = None,
        skip_invalid: bool = False,
        keep_integers: bool = False,
    ) -> None:
        global _last
        if lstm:
            raise NotImplementedError(
                "lstm=True: narrow has no quantizer of its own for LSTMs; leave it out, and their operators stay in float"
            )
        if qat_proc:
            raise NotImplementedError("qat_proc=True: narrow quantizes after training and does not train; see accuracy='high', the default")
        if mix_bit:
            raise NotImplementedError("mix_bit=True: narrow takes bit widths from the strategy file; narrow.search finds mixed ones")
        if isinstance(module, (list, tuple)):
            raise NotImplementedError("module is a list: make one quantizer for each module")
        if not isinstance(module, torch.nn.Module):
            raise TypeError(f"module is a {type(module).__name__}: it must be a torch.nn.Module")
        if accuracy not in (None, "guide", "high"):
            raise UsageError(f"accuracy is {accuracy!r}: it must be 'guide' or 'high'")
        if propagate not in (None, "progressive", "float"):
            raise UsageError(f"propagate is {propagate!r}: it must be 'progressive' or 'float'")
        self._mode = _mode(quant_mode)
        if isinstance(module, (torch.nn.DataParallel, torch.nn.parallel.DistributedDataParallel)):
            module = module.module
        if state_dict_file is not None:
            module.load_state_dict(torch.load(state_dict_file, map_location="cpu"))
        self._module = module
        self._name = type(module).__name__
        self._dir = os.fspath(output_dir)
        self._device = _export.device_of(device)
        self._accuracy = _api._accuracy(accuracy, propagate)
        self._how = {"propagate": propagate or "", "skip_invalid": skip_invalid, "keep_integers": keep_integers}
        self._strategy = _strategy(quant_config_file, bitwidth)
        self._dynamo = dynamo
        self._bar = Bar()
        self._temp = _Temporary()
        self._client: Client | None = None
        self._model: dict[str, Any] = {}
        self._calibration: dict[str, Any] | None = None
        self._session: int | None = None
        self._samples: int | None = None
        self._seen = 0
        self._last_seen: list[torch.Tensor] = []  # the first sample of the last forward call
        self._stale = False  # samples came after the last calibration
        if self._mode != "off":
            self._signature = _export.examine(module, input_args, input_kwargs)
            self._signature.opset = _opset(self._strategy)
            if self._mode == "test":
                self._open_as_calibrated()
            self._begin()
        self._quant_model: torch.nn.Module = QuantModel(self) if self._mode != "off" else module
        _last = weakref.ref(self)

    # ---- what scripts call

    @property
    def quant_model(self) -> torch.nn.Module:
        """The module to run samples through: see the class."""
        return self._quant_model

    @property
    def deploy_model(self) -> torch.nn.Module:
        """vai_q_pytorch has this for training only."""
        raise NotImplementedError("deploy_model is of training with quantization, which narrow does not do: see export_onnx_model")

    def export_quant_config(self) -> None:
        """Calibrate on what forward saw, and write quant_info.json, bias_corr.json and <Class>.py into output_dir.

        The float network goes there too, as <Class>.onnx, so that the command can go on with the result.
        """
        if self._mode == "off":
            return
        if self._mode == "test":
            raise UsageError("export_quant_config: the quantizer was made with quant_mode='test', which calibrates nothing")
        self._calibrate()
        os.makedirs(self._dir, exist_ok=True)
        _install(self._model["path"], os.path.join(self._dir, self._name + ".onnx"))
        assert self._calibration is not None
        self._ask("save", {"calibration": self._calibration["handle"], "dir": self._dir})

    def fast_finetune(self, run_fn: Callable[..., Any], run_args: Sequence[Any]) -> None:
        """Call run_fn(*run_args) to see samples; calibration is then that of accuracy="high", over them."""
        if self._mode == "test":
            raise UsageError(
                "fast_finetune: the quantizer was made with quant_mode='test'; call it when calibrating, and load_ft_param here"
            )
        if self._mode == "off":
            return
        self._accuracy = "high"
        self._resolve()
        run_fn(*run_args)

    def load_ft_param(self) -> None:
        """Do nothing: what fast_finetune chose is part of quant_info.json."""

    def quantize(self, run_fn: Callable[..., Any], run_args: Sequence[Any], ft_run_args: Sequence[Any] | None = None) -> None:
        """Calibrate on what run_fn(*run_args) runs through quant_model, and write the result into output_dir."""
        if ft_run_args is not None:
            self.fast_finetune(run_fn, ft_run_args)
        self._to("calib")
        run_fn(*run_args)
        self.export_quant_config()

    def test(self, run_fn: Callable[..., Any], run_args: Sequence[Any]) -> Any:
        """Run run_fn(*run_args) with the quantized network as quant_model, and return what it does."""
        self._to("test")
        return run_fn(*run_args)

    def deploy(self, run_fn: Callable[..., Any], run_args: Sequence[Any], fmt: str = "xmodel") -> None:
        """Export the quantized network: fmt is "xmodel", "onnx" or "torch_script". run_fn need not be called."""
        forms = {"xmodel": self.export_xmodel, "onnx": self.export_onnx_model, "torch_script": self.export_torch_script}
        if fmt not in forms:
            raise UsageError(f"fmt is {fmt!r}: it must be one of {', '.join(forms)}")
        self._to("test")
        forms[fmt](self._dir)  # type: ignore[operator]

    def export_onnx_model(
        self,
        output_dir: str = "quantize_result",
        verbose: bool = False,
        dynamic_batch: bool = False,
        opset_version: int | None = None,
        native_onnx: bool = True,
        dump_layers: bool = False,
        check_model: bool = False,
        opt_graph: bool = False,
    ) -> str:
        """Write <Class>_int.onnx, with QuantizeLinear and DequantizeLinear, into output_dir and return its path.

        The batch is that of input_args unless dynamic_batch is set. check_model needs the package onnx.
        """
        if not native_onnx:
            raise NotImplementedError("native_onnx=False: narrow writes standard ONNX operators only")
        if dump_layers:
            raise NotImplementedError("dump_layers=True: narrow.report shows every layer's values instead")
        file = os.path.join(output_dir, self._name + "_int.onnx")
        request = {
            "calibration": self._calibrated()["handle"],
            "format": "qdq",
            "file": file,
            "opset": opset_version or 0,
            "batch": 0 if dynamic_batch else self._signature.count,
        }
        try:
            done, _ = self._ask("export", request)
        except NarrowError as e:
            # The strategy's onnx_opset_version may be older than the types of its own tensors: vai_q_pytorch then writes
            # operators of its own. Standard ones need a newer version, which is said.
            if opset_version is not None or [f.code for f in e.findings if f.severity == "error"] != ["opset"]:
                raise
            sys.stderr.write(f"{e}\n")
            done = self._newer_opset(request)
            sys.stderr.write(f"warning: {file} is written for the operator set {done['opset']} instead\n")
        self._tell(done)
        if check_model:
            import onnx

            onnx.checker.check_model(file)
        if verbose:
            print(f"wrote {file} ({done['bytes'] / 1e6:.1f} MB, opset {done['opset']})")
        return file

    def _newer_opset(self, request: dict[str, Any]) -> dict[str, Any]:
        """Export for the oldest of the newer operator sets that hold the result."""
        for opset in (19, 21, 23):
            try:
                return self._ask("export", {**request, "opset": opset})[0]
            except NarrowError as e:
                if [f.code for f in e.findings if f.severity == "error"] != ["opset"] or opset == 23:
                    raise
        raise AssertionError("unreachable")

    def export_xmodel(self, output_dir: str = "quantize_result", deploy_check: bool = False, dynamic_batch: bool = False) -> str | None:
        """Write <Class>_int.xmodel for AMD's compiler into output_dir and return its path.

        deploy_check also writes what every layer gives for one sample, the first of the last forward call, into the folder
        deploy_check_data_int there, to compare a board's results with. The batch is 1.

        A strategy for another target_device than the DPU has no .xmodel: that is a warning, as in vai_q_pytorch, and None is
        returned. A network that an .xmodel cannot hold is an error that lists every reason.
        """
        if dynamic_batch:
            raise NotImplementedError("dynamic_batch=True: an .xmodel has one batch size, which is 1 here")
        calibration = self._calibrated()
        if calibration["target"] != "DPU":
            sys.stderr.write(
                f"warning: no .xmodel is written: the strategy is for the {calibration['target']}, and an .xmodel is for the DPU\n"
            )
            return None
        file = os.path.join(output_dir, self._name + "_int.xmodel")
        request = {"calibration": calibration["handle"], "format": "xmodel", "file": file, "class": self._name}
        sample: list[Array] = []
        if deploy_check:
            request["deploy_check"] = os.path.join(output_dir, "deploy_check_data_int", self._name)
            tensors = self._last_seen or self._signature.examples
            shared = self._signature.shared()
            sample = [_to_array(n, x if n in shared else x[:1]) for n, x in zip(self._signature.input_names, tensors)]
        done, _ = self._ask("export", request, sample)
        self._tell(done)
        return file

    def export_torch_script(self, output_dir: str = "quantize_result", verbose: bool = False) -> torch.jit.ScriptModule:
        """Write <Class>_int.pt, a traced module that computes what quant_model does with torch's operators alone.

        It takes and returns tensors in the order of the module's arguments and outputs. What torch's operators cannot
        express is an error that names the layer and the setting.
        """
        result, constants = self._ask("network", {"calibration": self._calibrated()["handle"]})
        traced = _script.trace(result, constants, self._signature)
        file = os.path.join(output_dir, self._name + "_int.pt")
        os.makedirs(output_dir, exist_ok=True)
        temporary = file + ".tmp"
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # newer torch would rather have another form
                torch.jit.save(traced, temporary)
            os.replace(temporary, file)
        finally:
            if os.path.exists(temporary):
                os.remove(temporary)
        if verbose:
            print(f"wrote {file}")
        return traced

    def export_traced_torch_script(self, output_dir: str = "quantize_result", verbose: bool = False) -> torch.jit.ScriptModule:
        """Do what export_torch_script does; older scripts call it so."""
        return self.export_torch_script(output_dir, verbose)

    # ---- the conversation with narrow

    def _connect(self) -> Client:
        """Return the conversation, begun anew where this process has none (after a fork)."""
        if self._client is None or not self._client.usable:
            if self._client is not None and self._mode == "calib" and self._seen:
                self._client.request("hello")  # raises: says what ended it
            forked = self._client is not None
            self._client = Client()
            if forked:
                self._reopen()
        return self._client

    def _ask(self, method: str, params: dict[str, Any], arrays: Sequence[Array] = ()) -> tuple[dict[str, Any], list[Array]]:
        try:
            with self._bar:
                return self._connect().request(method, params, arrays, progress=self._bar)
        except NarrowError as e:
            raise e from None

    def _begin(self) -> None:
        """Export, open the model, lay the strategy over it or read the calibration."""
        path = self._temp.file("exported.onnx")
        _export.export(self._module, self._signature, path, self._dynamo)
        self._model = {"path": self._temp.file(self._name + ".onnx"), "exported": path}
        self._open()
        if self._mode == "test":
            self._load()

    def _open(self) -> None:
        result, _ = self._ask(
            "open",
            {
                "path": self._model["exported"],
                "save": self._model["path"],
                "name": os.path.join(self._dir, self._name + ".onnx"),
                "modules": _export.classes(self._module),
            },
        )
        self._model.update(result)
        if self._mode == "calib":
            self._resolve()

    def _reopen(self) -> None:
        """Open again, in a new narrow process, what a former one held."""
        client = self._client
        assert client is not None
        result, _ = client.request("open", {"path": self._model["path"], "name": os.path.join(self._dir, self._name + ".onnx")})
        self._model.update(result)
        self._session = self._samples = None
        if self._mode == "test":
            self._calibration = None
            self._load()
        else:
            self._resolve()

    def _resolve(self) -> None:
        params: dict[str, Any] = {"model": self._model["handle"], **self._strategy, **_float()}
        if self._accuracy:
            params["accuracy"] = self._accuracy
        result, _ = self._ask("resolve", params)
        self._plan = int(result["handle"])
        self._tell(result)

    def _load(self) -> None:
        result, _ = self._ask("load", {"model": self._model["handle"], "dir": self._dir, **self._strategy, **_float()})
        self._calibration = result

    def _tell(self, result: Mapping[str, Any]) -> None:
        """Print warnings and notes as the command does: on standard error."""
        text = result.get("text") or ""
        if text:
            sys.stderr.write(text.rstrip() + "\n")

    def _open_as_calibrated(self) -> None:
        """Take over which dimensions are open from the model that was calibrated, so that it is exported alike."""
        path = os.path.join(self._dir, self._name + ".onnx")
        if not os.path.exists(path):
            return
        try:
            result, _ = self._connect().request("open", {"path": path})
        except NarrowError:
            return  # it is somebody else's file; what is wrong is said when the calibration is read
        self._signature.opset = min(int(result["opset"]), _export.OPSET)
        for port in result["inputs"]:
            if port["name"] in self._signature.input_names and port["shape"] is not None:
                opened = self._signature.open.setdefault(port["name"], {})
                for axis, size in enumerate(port["shape"]):
                    if size is None and axis not in opened:
                        opened[axis] = f"{port['name']}_{axis}"

    def _calibrate(self) -> None:
        if self._calibration is not None and not self._stale:
            return
        if not self._seen:
            raise UsageError(
                "there are no samples to calibrate on: run some through quant_model first, which is the module to call, not the float one"
            )
        self._calibration, _ = self._ask("calibrate", {"plan": self._plan, "samples": self._samples, **self._how})
        self._stale = False
        self._session = None
        self._tell(self._calibration)

    def _calibrated(self) -> dict[str, Any]:
        if self._mode == "off":
            raise UsageError("there is nothing to export: the quantizer was made with quant_mode=0")
        self._connect()
        if self._mode == "calib":
            self._calibrate()
        assert self._calibration is not None
        return self._calibration

    def _to(self, mode: str) -> None:
        """Go over to another mode in the same process."""
        if self._mode == mode:
            return
        if self._mode == "off":
            raise UsageError("the quantizer was made with quant_mode=0")
        if mode == "test":
            self._calibrate()
        elif self._calibration is not None:
            self._mode = mode
            self._resolve()
        self._mode = mode

    # ---- forward calls

    def _forward(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        bound = _tree.bind(self._module, args, kwargs)
        tensors: list[torch.Tensor] = []
        spec = _tree.flatten(bound, tensors)
        s = self._signature
        if not _tree.same(s.inputs, spec):
            raise UsageError(
                f"{self._name} was exported for other arguments than these: give them as in input_args and input_kwargs "
                f"({', '.join(s.input_names)}), with the same values where they are no tensors"
            )
        tensors = []
        _tree.in_order(s.inputs, bound, tensors)
        self._fit(tensors)
        shared = s.shared()
        self._last_seen = [x.detach() if n in shared else x.detach()[:1].clone() for n, x in zip(s.input_names, tensors)]
        if self._mode == "calib":
            with torch.no_grad(), _export.evaluating(self._module):
                out = self._module(*args, **kwargs)
            self._spool(tensors)
            return _moved(out, self._device)
        return self._run(tensors)

    def _fit(self, tensors: Sequence[torch.Tensor]) -> None:
        """Export again where a call has other sizes than the example, in dimensions that were fixed."""
        s = self._signature
        grown = False
        for name, example, x in zip(s.input_names, s.examples, tensors):
            if x.dtype != example.dtype:
                raise UsageError(
                    f"the input {name} is {_type_name(x.dtype)}, but {_type_name(example.dtype)} in input_args: convert one of them"
                )
            if x.dim() != example.dim():
                raise UsageError(f"the input {name} has the shape {list(x.shape)}, but {list(example.shape)} in input_args")
            opened = s.open.setdefault(name, {})
            for axis, (a, b) in enumerate(zip(x.shape, example.shape)):
                if a != b and axis not in opened:
                    opened[axis] = f"{name}_{axis}"
                    grown = True
        if grown:
            if self._mode == "test":
                raise UsageError(
                    f"these inputs have other sizes than those that {self._name} was calibrated with: "
                    f"calibrate with samples of all sizes that occur, so that the exported model leaves them open"
                )
            former = self._samples
            self._session = None
            self._begin()
            if former is not None:
                result, _ = self._ask("samples", {"model": self._model["handle"], "from": former})
                self._samples = int(result["handle"])

    def _arrays(self, tensors: Sequence[torch.Tensor]) -> list[Array]:
        return [_to_array(n, x) for n, x in zip(self._signature.input_names, tensors)]

    def _params(self, tensors: Sequence[torch.Tensor]) -> dict[str, Any]:
        shared = self._signature.shared()
        return {"shared": shared} if shared else {}

    def _spool(self, tensors: Sequence[torch.Tensor]) -> None:
        self._connect()
        if self._samples is None:
            result, _ = self._ask("samples", {"model": self._model["handle"]})
            self._samples = int(result["handle"])
        result, _ = self._connect().request("add", {"samples": self._samples, **self._params(tensors)}, self._arrays(tensors))
        self._seen = int(result["samples"])
        self._stale = True

    def _run(self, tensors: Sequence[torch.Tensor]) -> Any:
        client = self._connect()
        if self._session is None:
            result, _ = client.request("session", {"calibration": self._calibrated()["handle"]})
            self._session = int(result["handle"])
        _, arrays = client.request("run", {"session": self._session, **self._params(tensors)}, self._arrays(tensors))
        where = self._device if self._device is not None else tensors[0].device
        out: list[Any] = [_from_array(a, where, r.dtype) for a, r in zip(arrays, self._signature.results)]
        return _tree.unflatten(self._signature.outputs, out)


class QuantModel(torch.nn.Module):
    """What stands for the module in the user's script: see torch_quantizer.quant_model.

    It takes batches of any size, in the arguments that the module takes, and returns what the module returns. Its
    attributes are those of the module.
    """

    def __init__(self, quantizer: torch_quantizer) -> None:
        super().__init__()
        self.module = quantizer._module
        self.__dict__["_quantizer"] = quantizer

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Run one batch."""
        return self.__dict__["_quantizer"]._forward(args, kwargs)

    def to(self, *args: Any, **kwargs: Any) -> QuantModel:
        """Say where outputs are put. narrow itself computes on the CPU."""
        device = torch._C._nn._parse_to(*args, **kwargs)[0]
        if device is not None:
            self.__dict__["_quantizer"]._device = device
        if self.__dict__["_quantizer"]._mode == "calib":
            super().to(*args, **kwargs)
        return self

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("module"), name)

    def __reduce__(self) -> Any:
        raise TypeError(
            "quant_model cannot be pickled or copied: it talks to a process; export_torch_script gives a module that can be saved"
        )

    def __deepcopy__(self, _memo: Any) -> Any:
        return self.__reduce__()


class _Temporary:
    """A folder that is deleted with its owner, by the process that made it."""

    def __init__(self) -> None:
        self._path: str | None = None

    def file(self, name: str) -> str:
        if self._path is None:
            self._path = tempfile.mkdtemp(prefix="narrow-")
            weakref.finalize(self, _remove, self._path, os.getpid())
        return os.path.join(self._path, name)


def _remove(path: str, pid: int) -> None:
    if os.getpid() == pid:
        shutil.rmtree(path, ignore_errors=True)


def _install(source: str, target: str) -> None:
    """Copy a file to its place, whole or not at all."""
    temporary = f"{target}.{os.getpid()}.tmp"
    try:
        shutil.copyfile(source, temporary)
        os.replace(temporary, target)
    finally:
        if os.path.exists(temporary):
            os.remove(temporary)
    folder, name = os.path.split(source)
    for other in os.listdir(folder):  # external data, for models of 2 GB and more
        if other.startswith(name + ".") and other.endswith(".data"):
            shutil.copyfile(os.path.join(folder, other), os.path.join(os.path.dirname(target), other))


def _strategy(file: str | None, bitwidth: int | None) -> dict[str, Any]:
    if file is not None:
        if bitwidth is not None:
            warnings.warn("bitwidth is given beside quant_config_file: the file counts", stacklevel=3)
        return {"file": os.fspath(file)}
    if bitwidth is None:
        return {}
    return {"text": json.dumps({"overall_quantize_config": {"bit_width": bitwidth}}), "file": f"bitwidth={bitwidth}"}


def _float() -> dict[str, Any]:
    """Return the parameters that leave registered operators in float."""
    names = _custom.registered()
    return {"float": names} if names else {}


def _opset(strategy: Mapping[str, Any]) -> int:
    """Return the operator set to export to: the strategy's onnx_opset_version where that is older than ours."""
    text = strategy.get("text")
    if text is None and "file" in strategy:
        try:
            with open(strategy["file"], encoding="utf-8") as f:
                text = f.read()
        except (OSError, UnicodeDecodeError):
            return _export.OPSET  # what is wrong with the file is said when it is read
    m = re.search(r'"onnx_opset_version"\s*:\s*(\d+)', text or "")
    return min(max(int(m.group(1)), 9), _export.OPSET) if m else _export.OPSET


def _type_name(t: torch.dtype) -> str:
    return str(t).replace("torch.", "")


def _to_array(name: str, x: torch.Tensor) -> Array:
    x = x.detach().cpu().contiguous()
    if x.dtype == torch.bfloat16:
        return array(name, x.view(torch.int16).numpy().view(np.uint16), "bfloat16")
    return array(name, x.numpy())


def _from_array(a: Array, where: torch.device, dtype: torch.dtype) -> torch.Tensor:
    if a.type == "bfloat16":
        x = torch.from_numpy(a.data.view(np.int16)).view(torch.bfloat16)
    elif a.type in ("uint16", "uint32", "uint64"):
        x = torch.from_numpy(a.data.astype(np.int64))
    else:
        x = torch.from_numpy(a.data)
    return x.to(where, dtype) if x.dtype != dtype else x.to(where)


def _moved(out: Any, device: torch.device | None) -> Any:
    if device is None:
        return out
    tensors: list[torch.Tensor] = []
    spec = _tree.flatten(out, tensors)
    return _tree.unflatten(spec, [x.to(device) for x in tensors])


def last_quantizer() -> torch_quantizer:
    """Return the quantizer that was made last."""
    q = _last() if _last is not None else None
    if q is None:
        raise UsageError("there is no quantizer: make a torch_quantizer first")
    return q


def dump_xmodel(output_dir: str = "quantize_result", deploy_check: bool = False, app_deploy: str = "CV") -> str | None:
    """Call export_xmodel of the quantizer that was made last, as scripts of older versions do."""
    return last_quantizer().export_xmodel(output_dir, deploy_check)


class QatProcessor:
    """vai_q_pytorch's training with quantization, which narrow does not do."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError(
            "QatProcessor: narrow quantizes after training and does not train; see torch_quantizer(..., accuracy='high')"
        )


__all__ = ["QatProcessor", "QuantModel", "dump_xmodel", "last_quantizer", "torch_quantizer"]
