"""Torch modules to ONNX, with the names of their modules, whatever their inputs and outputs look like."""

from __future__ import annotations

import contextlib
import copy
import inspect
import io
import os
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import torch

from .._errors import ExportError
from . import _tree

#: The name of the dimension that counts samples.
BATCH = "batch"


#: The operator set that modules are exported to by tracing, where nothing asks for an older one.
OPSET = 17


@dataclass
class Signature:
    """What goes into a module and what comes out, as far as ONNX does not hold it."""

    inputs: Any  # what puts forward's arguments together: see _tree
    input_names: list[str]
    outputs: Any
    output_names: list[str]
    examples: list[torch.Tensor]
    results: list[torch.Tensor]
    #: The open dimensions of each input, by its name: {axis: name}.
    open: dict[str, dict[int, str]] = field(default_factory=dict)
    #: The operator set to write; exporting by torch's newer exporter takes its own.
    opset: int = OPSET

    @property
    def count(self) -> int:
        """The number of samples in the examples."""
        for x in self.examples:
            if x.dim() > 0:
                return int(x.shape[0])
        return 1

    def shared(self) -> list[str]:
        """Names of the inputs that have no axis for samples: they are one value for a whole batch."""
        return [n for n, x in zip(self.input_names, self.examples) if 0 not in self.open.get(n, {}) and not self._batched(x)]

    def _batched(self, x: torch.Tensor) -> bool:
        return x.dim() > 0 and int(x.shape[0]) == self.count


def examine(module: torch.nn.Module, input_args: Any, input_kwargs: Any) -> Signature:
    """Run the module once over the example inputs, to learn the structure of its inputs and outputs."""
    bound = _tree.standard(module, input_args, input_kwargs)
    examples: list[torch.Tensor] = []
    spec = _tree.flatten(bound, examples)
    if not examples:
        raise TypeError("input_args holds no tensor: give an example of the module's inputs")
    parameter = next(iter(module.parameters()), None)
    where = parameter.device if parameter is not None else torch.device("cpu")
    examples = [x.detach().to(where) for x in examples]
    args, kwargs = _tree.call(module, _tree.unflatten(spec, list(examples)))
    results: list[torch.Tensor] = []
    with torch.no_grad(), evaluating(module), tracking(module) as at:
        try:
            out = module(*args, **kwargs)
        except Exception as e:
            raise ExportError(f"{type(module).__name__} cannot run on input_args: {e}{at.where()}") from e
    outputs = _tree.flatten(out, results)
    if not results:
        raise ExportError(f"{type(module).__name__} outputs no tensor, but {type(out).__name__}")
    names = _unique([_identifier(n) for n in _tree.paths(spec)], set())
    if len(results) == 1:
        output_names = _unique(["output"], set(names))
    else:
        output_names = _unique([_identifier(n) if not n.isdigit() else f"output_{n}" for n in _tree.paths(outputs)], set(names))
    s = Signature(spec, names, outputs, output_names, examples, results)
    for n, x in zip(names, examples):
        if s._batched(x):
            s.open[n] = {0: BATCH}
    return s


def _identifier(name: str) -> str:
    return re.sub(r"\W", "_", name) or "input"


def _unique(names: list[str], taken: set[str]) -> list[str]:
    out = []
    for n in names:
        own, i = n, 1
        while own in taken:
            own, i = f"{n}_{i}", i + 1
        taken.add(own)
        out.append(own)
    return out


@contextlib.contextmanager
def evaluating(module: torch.nn.Module) -> Iterator[None]:
    """Put the module, and those inside, into evaluation mode for a while."""
    training = [m for m in module.modules() if m.training]
    for m in training:
        m.training = False
    try:
        yield
    finally:
        for m in training:
            m.training = True


class _Tracker:
    """Knows which module is running."""

    def __init__(self) -> None:
        self.stack: list[str] = []
        self.deepest: list[str] = []

    def where(self) -> str:
        path = self.deepest[-1] if self.deepest else ""
        return f" (in the layer {path})" if path else ""


@contextlib.contextmanager
def tracking(module: torch.nn.Module) -> Iterator[_Tracker]:
    """Watch which of the module's parts is running, to name it when something fails."""
    t = _Tracker()
    handles = []

    def enter(path: str) -> Any:
        def hook(_m: Any, _in: Any) -> None:
            t.stack.append(path)
            t.deepest = list(t.stack)

        return hook

    def leave(_m: Any, _in: Any, _out: Any) -> None:
        if t.stack:
            t.stack.pop()
            t.deepest = list(t.stack)

    for path, m in module.named_modules():
        if path and not isinstance(m, torch.jit.ScriptModule):
            handles += [m.register_forward_pre_hook(enter(path)), m.register_forward_hook(leave)]
    try:
        yield t
    finally:
        for h in handles:
            h.remove()


def flat(module: torch.nn.Module, s: Signature) -> torch.nn.Module:
    """Return the module with a forward that takes and returns tensors one by one.

    It is the same module, with the same parts, under the same name, so that what is exported of it has the same names.
    """
    own: Any = copy.copy(module)
    forward = module.forward

    def call(tensors: tuple[torch.Tensor, ...]) -> Any:
        args, kwargs = _tree.call(module, _tree.unflatten(s.inputs, list(tensors)))
        out: list[torch.Tensor] = []
        spec = _tree.flatten(forward_of(own, forward)(*args, **kwargs), out)
        if not _tree.same(s.outputs, spec):
            raise RuntimeError("the module's outputs have another structure from one call to the next")
        return tuple(out) if len(out) > 1 else out[0]

    # The exporters want a signature with the arguments' names.
    names = s.input_names
    scope: dict[str, Any] = {"call": call}
    exec(f"def forward(self, {', '.join(names)}):\n    return call(({', '.join(names)},))", scope)  # noqa: S102
    own.__class__ = type(type(module).__name__, (type(module),), {"forward": scope["forward"], "__module__": type(module).__module__})
    own.__dict__.pop("forward", None)
    return own  # type: ignore[no-any-return]


def forward_of(own: torch.nn.Module, forward: Any) -> Any:
    """Bind the module's own forward to the copy that is being exported."""
    f = getattr(forward, "__func__", None)
    return f.__get__(own) if f is not None else forward


def plain(module: torch.nn.Module, s: Signature) -> bool:
    """Tell whether the module takes tensors by position and returns one, or a tuple of them."""
    if not all(isinstance(p, _tree.Leaf) for p in s.inputs.parts):
        return False
    parameters = list(inspect.signature(module.forward).parameters.values())[: len(s.inputs.keys)]
    if [p.name for p in parameters] != list(s.inputs.keys) or any(
        p.kind not in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) for p in parameters
    ):
        return False
    return isinstance(s.outputs, _tree.Leaf) or (
        isinstance(s.outputs, _tree.Node) and s.outputs.kind == "tuple" and all(isinstance(p, _tree.Leaf) for p in s.outputs.parts)
    )


def has_dynamo() -> bool:
    """Tell whether this torch has the newer exporter."""
    return "dynamo" in inspect.signature(torch.onnx.export).parameters


def export(module: torch.nn.Module, s: Signature, path: str, dynamo: bool = False) -> None:
    """Export the module to an ONNX file.

    With ``dynamo`` torch's newer exporter does it (torch 2.5 or newer, with the packages onnx and onnxscript), else the
    one by tracing. The error says torch's reason, and the layer where it is known.
    """
    if dynamo and not has_dynamo():
        raise NotImplementedError(f"dynamo=True: torch {torch.__version__} has no exporter of that kind; leave dynamo out")
    if any(x.dtype.is_complex for x in s.examples):
        raise ExportError("the module takes complex numbers, which narrow cannot quantize")
    name = type(module).__name__
    target = module if plain(module, s) else flat(module, s)
    with torch.no_grad(), evaluating(module), tracking(target) as at, quiet():
        try:
            if dynamo:
                _by_dynamo(target, s, path)
            else:
                _by_trace(target, s, path)
        except Exception as e:
            layer = at.where() or _layer_of_operator(target, s, str(e))
            reason = _reason(e)
            raise ExportError(f"{name} cannot be exported to ONNX by torch {torch.__version__}{layer}: {reason}") from e


def _by_trace(module: torch.nn.Module, s: Signature, path: str) -> None:
    axes = {n: dict(d) for n, d in s.open.items() if d}
    for n, x in zip(s.output_names, s.results):
        if axes and x.dim() > 0 and int(x.shape[0]) == s.count:
            axes[n] = {0: BATCH}
    options: dict[str, Any] = {"opset_version": s.opset}
    if has_dynamo():
        options["dynamo"] = False
    torch.onnx.export(
        module,
        tuple(s.examples),
        path,
        input_names=s.input_names,
        output_names=s.output_names,
        dynamic_axes=axes,
        **options,
    )


def _by_dynamo(module: torch.nn.Module, s: Signature, path: str) -> None:
    dims: dict[str, Any] = {}
    examples = list(s.examples)

    def dim(name: str) -> Any:
        return dims.setdefault(name, torch.export.Dim(name) if name == BATCH else torch.export.Dim.DYNAMIC)  # type: ignore[attr-defined]

    shapes = [{axis: dim(n) for axis, n in s.open.get(name, {}).items()} for name in s.input_names]
    if s.count == 1 and dims:
        # A dimension of 1 is taken for a constant: export with two samples.
        examples = [torch.cat([x, x]) if s.open.get(n, {}).get(0) == BATCH else x for n, x in zip(s.input_names, examples)]
    torch.onnx.export(
        module,
        tuple(examples),
        path,
        input_names=s.input_names,
        output_names=s.output_names,
        dynamic_shapes=tuple(d or None for d in shapes),
        dynamo=True,
        external_data=True,
    )


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what exporters print, and what they warn of, from the user's screen."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        if os.environ.get("NARROW_VERBOSE_EXPORT"):
            warnings.simplefilter("default")
        yield


def _reason(e: BaseException) -> str:
    """Return torch's reason in few lines: the last cause that says something."""
    chain = [e]
    while chain[-1].__cause__ is not None:
        chain.append(chain[-1].__cause__)
    text = next((str(x).strip() for x in reversed(chain) if str(x).strip()), type(e).__name__)
    lines = [line for line in text.splitlines() if line.strip()]
    return "\n".join(lines[:6])


def _layer_of_operator(module: torch.nn.Module, s: Signature, text: str) -> str:
    """Return the layer that uses the operator that an exporter cannot express."""
    m = re.search(r"'?(\w+::\w+)'?", text)
    if m is None:
        return ""
    try:
        traced = torch.jit.trace(module, tuple(s.examples), check_trace=False, strict=False)
        for node in traced.inlined_graph.nodes():
            if node.kind() == m.group(1):
                path = [p.split(".", 1)[-1] for p in node.scopeName().split("/") if "." in p]
                if path:
                    return f" (in the layer {path[-1]})"
    except Exception:  # the first reason counts, not this one
        return ""
    return ""


def classes(module: torch.nn.Module) -> dict[str, str]:
    """Return the class of every part of a module, with its package, by path; the module itself is ""."""
    out = {}
    for path, m in module.named_modules(remove_duplicate=False):
        c = type(m)
        out[path] = f"{c.__module__}.{c.__qualname__}"
    return out


def export_onnx(module: torch.nn.Module, input_args: Any, path: str, input_kwargs: Any = None, dynamo: bool = False) -> None:
    """Export a module to an ONNX file as torch_quantizer does: any number of samples, with the modules' names.

    The names (in the nodes' metadata) are those that rules and <Class>.py use; narrow.calibrate and the command take the
    file. Arguments are those of torch_quantizer; the error is ExportError.
    """
    import tempfile

    from .._client import Client

    s = examine(module, input_args, input_kwargs)
    with tempfile.TemporaryDirectory(prefix="narrow-") as folder:
        exported = os.path.join(folder, "exported.onnx")
        export(module, s, exported, dynamo)
        client = Client()
        try:
            client.request("open", {"path": exported, "save": os.fspath(path), "modules": classes(module)})
        finally:
            client.close()


def device_of(device: Any) -> torch.device | None:
    """Read the device argument of torch_quantizer."""
    return None if device is None else torch.device(device)
