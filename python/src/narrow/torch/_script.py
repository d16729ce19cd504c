"""The quantized network in torch's own operators, to be traced and saved.

What narrow simulates is a network of ONNX operators with a tap wherever a value is quantized. Each of them becomes a call
of torch's; a tap becomes fake_quantize_per_tensor_affine where that rounds as the strategy asks, else the arithmetic that
does, in torch's operators. Sizes that depend on the input stay open: what computes them is scripted, not traced.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from .._client import Array
from .._errors import NarrowError
from ._export import Signature

Operator = Callable[["_Node", "list[Any]"], Any]


class _Node:
    """A node of the network: operator, names, attributes."""

    def __init__(self, data: dict[str, Any]) -> None:
        self.op: str = data["op"]
        self.domain: str = data.get("domain", "")
        self.name: str = data["name"]
        self.inputs: list[str] = data["inputs"]
        self.outputs: list[str] = data["outputs"]
        self.attrs: dict[str, Any] = data.get("attrs") or {}
        self.quantize: dict[str, Any] | None = data.get("quantize")
        self.opset = 17
        self.static: dict[str, np.ndarray] = {}

    def get(self, name: str, default: Any = None) -> Any:
        return self.attrs.get(name, default)

    def list_of(self, i: int, attr: str | None = None) -> list[Any] | None:
        """Return the elements of input i, which must be a constant, or the attribute that it was before."""
        if attr is not None and attr in self.attrs:
            value = self.attrs[attr]
            return list(value) if isinstance(value, list) else [value]
        if i >= len(self.inputs) or not self.inputs[i]:
            return None
        if self.inputs[i] not in self.static:
            raise _Unsupported(f"its input {self.inputs[i]!r} is computed, where torch needs a constant")
        return list(self.static[self.inputs[i]].reshape(-1).tolist())


class _Unsupported(Exception):
    pass


# What depends on the sizes of values is scripted, so that a trace does not make constants of it.


def _scripted(function: Callable[..., Any]) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # newer torch would rather have another compiler, which makes nothing to save
        return torch.jit.script(function)


@_scripted
def _reshape(x: torch.Tensor, shape: torch.Tensor, allow_zero: bool) -> torch.Tensor:
    sizes: list[int] = []
    for i in range(shape.numel()):
        n = int(shape[i].item())
        if n == 0 and not allow_zero:
            n = x.size(i)
        sizes.append(n)
    return x.reshape(sizes)


@_scripted
def _expand(x: torch.Tensor, shape: torch.Tensor) -> torch.Tensor:
    sizes: list[int] = []
    for i in range(shape.numel()):
        sizes.append(int(shape[i].item()))
    return x * torch.ones(sizes, dtype=x.dtype, device=x.device) if x.is_floating_point() else x + torch.zeros(sizes, dtype=x.dtype)


@_scripted
def _full(shape: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    sizes: list[int] = []
    for i in range(shape.numel()):
        sizes.append(int(shape[i].item()))
    return value.reshape([1]).expand(sizes) if len(sizes) > 0 else value.reshape(sizes)


@_scripted
def _tile(x: torch.Tensor, repeats: torch.Tensor) -> torch.Tensor:
    sizes: list[int] = []
    for i in range(repeats.numel()):
        sizes.append(int(repeats[i].item()))
    return x.repeat(sizes)


@_scripted
def _slice(x: torch.Tensor, starts: torch.Tensor, ends: torch.Tensor, axes: torch.Tensor, steps: torch.Tensor) -> torch.Tensor:
    for i in range(starts.numel()):
        axis = int(axes[i].item())
        if axis < 0:
            axis += x.dim()
        n = x.size(axis)
        start, end, step = int(starts[i].item()), int(ends[i].item()), int(steps[i].item())
        if start < 0:
            start += n
        if end < 0:
            end += n
        if step > 0:
            start, end = min(max(start, 0), n), min(max(end, 0), n)
        else:
            start, end = min(max(start, 0), n - 1), min(max(end, -1), n - 1)
        x = x.index_select(axis, torch.arange(start, end, step, device=x.device))
    return x


@_scripted
def _range(start: torch.Tensor, limit: torch.Tensor, delta: torch.Tensor) -> torch.Tensor:
    if start.is_floating_point():
        return torch.arange(float(start.item()), float(limit.item()), float(delta.item()), dtype=start.dtype)
    return torch.arange(int(start.item()), int(limit.item()), int(delta.item()), dtype=start.dtype)


@_scripted
def _gather(x: torch.Tensor, index: torch.Tensor, axis: int) -> torch.Tensor:
    if axis < 0:
        axis += x.dim()
    flat = index.reshape(-1).to(torch.int64)
    flat = torch.where(flat < 0, flat + x.size(axis), flat)
    sizes = list(x.shape[:axis]) + list(index.shape) + list(x.shape[axis + 1 :])
    return x.index_select(axis, flat).reshape(sizes)


@_scripted
def _flatten(x: torch.Tensor, axis: int) -> torch.Tensor:
    if axis < 0:
        axis += x.dim()
    rows = 1
    for i in range(axis):
        rows *= x.size(i)
    return x.reshape([rows, -1]) if x.numel() > 0 else x.reshape([rows, 0])


def _round(x: torch.Tensor, mode: str) -> torch.Tensor:
    """Round as the strategy says; in float64, where x + 0.5 is exact for every float32 whose fraction matters."""
    if mode == "half_even":
        return torch.round(x)
    v = x.double()
    if mode == "half_up":
        r = torch.floor(v + 0.5)
    elif mode == "half_down":
        r = torch.sign(v) * torch.ceil(torch.abs(v) - 0.5)
    else:
        r = torch.sign(v) * torch.floor(torch.abs(v) + 0.5)
    return r.float()


_WIDE = 1 << 24


def _fake_quantize(x: torch.Tensor, q: dict[str, Any]) -> torch.Tensor:
    kind = q["datatype"]
    if kind == "float32":
        return x
    if kind in ("bfloat16", "float16"):
        return x.to(getattr(torch, kind)).float()
    if kind != "int" or len(q["scale"]) != 1:
        raise _Unsupported(f"the datatype {kind} of {q['tensor']!r} has no operator of torch's")
    scale, zero, low, high = np.float32(q["scale"][0]), int(q["zero_point"][0]), int(q["quant_min"]), int(q["quant_max"])
    if high - low >= _WIDE:
        raise _Unsupported(f"bit_width of {q['tensor']!r} is more than the 24 bits that torch's operators hold in float32")
    if q["round_mode"] == "half_even":
        return torch.fake_quantize_per_tensor_affine(x, float(scale), zero, low, high)
    inverse = float(np.float32(1) / scale)
    return (torch.clamp(_round(x * inverse, q["round_mode"]) + zero, low, high) - zero) * float(scale)


def _pads(node: _Node, x: torch.Tensor, dims: int) -> tuple[list[int], bool]:
    """Return the padding of a window: at the beginnings and ends, and whether both are alike."""
    auto = node.get("auto_pad", "NOTSET")
    if auto == "VALID":
        return [0] * (2 * dims), True
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        kernel, strides = node.get("kernel_shape"), node.get("strides") or [1] * dims
        dilations = node.get("dilations") or [1] * dims
        begins, ends = [], []
        for i in range(dims):
            n = int(x.shape[2 + i])
            total = max((-(-n // strides[i]) - 1) * strides[i] + (kernel[i] - 1) * dilations[i] + 1 - n, 0)
            half = total // 2
            begins.append(half if auto == "SAME_UPPER" else total - half)
            ends.append(total - begins[-1])
        pads = begins + ends
    else:
        pads = list(node.get("pads") or [0] * (2 * dims))
    return pads, pads[:dims] == pads[dims:]


def _torch_pad(pads: Sequence[int]) -> list[int]:
    """Turn ONNX's order of paddings into torch's: the last axis first."""
    dims = len(pads) // 2
    out: list[int] = []
    for i in reversed(range(dims)):
        out += [int(pads[i]), int(pads[dims + i])]
    return out


def _conv(node: _Node, ins: list[Any]) -> Any:
    x, w, b = ins[0], ins[1], ins[2] if len(ins) > 2 else None
    dims = w.dim() - 2
    node.attrs.setdefault("kernel_shape", list(w.shape[2:]))
    pads, alike = _pads(node, x, dims)
    if not alike:
        x, pads = F.pad(x, _torch_pad(pads)), [0] * (2 * dims)
    f = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}.get(dims)
    if f is None:
        raise _Unsupported(f"a convolution over {dims} axes")
    return f(x, w, b, node.get("strides") or 1, pads[:dims], node.get("dilations") or 1, int(node.get("group", 1)))


def _conv_transpose(node: _Node, ins: list[Any]) -> Any:
    x, w, b = ins[0], ins[1], ins[2] if len(ins) > 2 else None
    dims = w.dim() - 2
    if node.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID") or node.get("output_shape"):
        raise _Unsupported("auto_pad or output_shape of a transposed convolution")
    pads = list(node.get("pads") or [0] * (2 * dims))
    if pads[:dims] != pads[dims:]:
        raise _Unsupported("padding of a transposed convolution that is not alike on both sides")
    f = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}[dims]
    return f(
        x,
        w,
        b,
        node.get("strides") or 1,
        pads[:dims],
        node.get("output_padding") or 0,
        int(node.get("group", 1)),
        node.get("dilations") or 1,
    )


def _gemm(node: _Node, ins: list[Any]) -> Any:
    a, b = ins[0], ins[1]
    if node.get("transA"):
        a = a.t()
    if node.get("transB"):
        b = b.t()
    y = torch.matmul(a, b)
    if node.get("alpha", 1.0) != 1.0:
        y = y * node.get("alpha")
    if len(ins) > 2 and ins[2] is not None:
        y = y + ins[2] * node.get("beta", 1.0)
    return y


def _max_pool(node: _Node, ins: list[Any]) -> Any:
    if len([o for o in node.outputs if o]) > 1:
        raise _Unsupported("the indices of a MaxPool")
    kernel = node.get("kernel_shape")
    dims = len(kernel)
    x = ins[0]
    pads, alike = _pads(node, x, dims)
    if not alike or any(2 * p > k for p, k in zip(pads[:dims], kernel)):
        x, pads = F.pad(x, _torch_pad(pads), value=float("-inf")), [0] * (2 * dims)
    f = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}[dims]
    return f(x, kernel, node.get("strides") or [1] * dims, pads[:dims], node.get("dilations") or 1, bool(node.get("ceil_mode", 0)))


def _average_pool(node: _Node, ins: list[Any]) -> Any:
    kernel = node.get("kernel_shape")
    dims = len(kernel)
    x = ins[0]
    pads, alike = _pads(node, x, dims)
    include = bool(node.get("count_include_pad", 0))
    if not alike:
        if not include:
            raise _Unsupported("an average pooling whose padding is not alike on both sides")
        x, pads = F.pad(x, _torch_pad(pads)), [0] * (2 * dims)
    f: Any = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}[dims]
    return f(x, kernel, node.get("strides") or [1] * dims, pads[:dims], bool(node.get("ceil_mode", 0)), include)


def _batch_norm(node: _Node, ins: list[Any]) -> Any:
    x, scale, bias, mean, var = ins[:5]
    return F.batch_norm(x, mean, var, scale, bias, False, 0.0, node.get("epsilon", 1e-5))


def _layer_norm(node: _Node, ins: list[Any]) -> Any:
    x, axis = ins[0], int(node.get("axis", -1))
    shape = list(ins[1].shape)
    if axis < 0:
        axis += x.dim()
    if len(shape) != x.dim() - axis:
        raise _Unsupported("a layer normalization whose scale is broadcast")
    return F.layer_norm(x, shape, ins[1], ins[2] if len(ins) > 2 else None, node.get("epsilon", 1e-5))


def _softmax(log: bool) -> Operator:
    def run(node: _Node, ins: list[Any]) -> Any:
        if node.opset < 13:
            axis = int(node.get("axis", 1))
            if axis not in (-1, ins[0].dim() - 1):
                raise _Unsupported("a softmax over several axes at once")
        else:
            axis = int(node.get("axis", -1))
        return F.log_softmax(ins[0], axis) if log else F.softmax(ins[0], axis)

    return run


def _clip(node: _Node, ins: list[Any]) -> Any:
    low = node.get("min", ins[1] if len(ins) > 1 else None)
    high = node.get("max", ins[2] if len(ins) > 2 else None)
    x = ins[0]
    if low is not None:
        x = torch.maximum(x, low.reshape([])) if isinstance(low, torch.Tensor) else torch.clamp(x, min=low)
    if high is not None:
        x = torch.minimum(x, high.reshape([])) if isinstance(high, torch.Tensor) else torch.clamp(x, max=high)
    return x


def _reduce(f: Callable[[torch.Tensor, list[int], bool], torch.Tensor]) -> Operator:
    def run(node: _Node, ins: list[Any]) -> Any:
        axes = node.list_of(1, "axes")
        if axes is None:
            if node.get("noop_with_empty_axes"):
                return ins[0]
            axes = list(range(ins[0].dim()))
        return f(ins[0], [int(a) for a in axes], bool(node.get("keepdims", 1)))

    return run


def _squeeze(node: _Node, ins: list[Any]) -> Any:
    axes = node.list_of(1, "axes")
    if axes is None:
        return ins[0].squeeze()
    x = ins[0]
    for a in sorted((int(a) + x.dim() if a < 0 else int(a) for a in axes), reverse=True):
        x = x.squeeze(a)
    return x


def _unsqueeze(node: _Node, ins: list[Any]) -> Any:
    x = ins[0]
    axes = node.list_of(1, "axes") or []
    rank = x.dim() + len(axes)
    for a in sorted(int(a) + rank if a < 0 else int(a) for a in axes):
        x = x.unsqueeze(a)
    return x


def _as_tensor(node: _Node, ins: list[Any], i: int, attr: str, default: list[int]) -> torch.Tensor:
    if attr in node.attrs:
        return torch.tensor(node.attrs[attr], dtype=torch.int64)
    if i < len(ins) and ins[i] is not None:
        return ins[i]  # type: ignore[no-any-return]
    return torch.tensor(default, dtype=torch.int64)


def _slice_node(node: _Node, ins: list[Any]) -> Any:
    starts = _as_tensor(node, ins, 1, "starts", [])
    ends = _as_tensor(node, ins, 2, "ends", [])
    n = int(starts.shape[0])
    axes = _as_tensor(node, ins, 3, "axes", list(range(n)))
    return _slice(ins[0], starts, ends, axes, _as_tensor(node, ins, 4, "steps", [1] * n))


def _split(node: _Node, ins: list[Any]) -> Any:
    axis = int(node.get("axis", 0))
    sizes = node.list_of(1, "split")
    if sizes is None:
        n = int(ins[0].shape[axis])
        each = -(-n // len(node.outputs))
        sizes = [each] * (n // each) + ([n % each] if n % each else [])
    return list(torch.split(ins[0], [int(s) for s in sizes], axis))


def _pad_node(node: _Node, ins: list[Any]) -> Any:
    pads = [int(p) for p in node.list_of(1, "pads") or []]
    axes = node.list_of(3)
    x = ins[0]
    if axes is not None:
        full = [0] * (2 * x.dim())
        for k, a in enumerate(axes):
            a = int(a) % x.dim()
            full[a], full[x.dim() + a] = pads[k], pads[len(axes) + k]
        pads = full
    mode = {"constant": "constant", "reflect": "reflect", "edge": "replicate", "wrap": "circular"}[node.get("mode", "constant")]
    order = _torch_pad(pads)
    if mode == "constant":
        value = node.list_of(2, "value")
        return F.pad(x, order, value=value[0] if value else 0.0)
    while len(order) > 2 and order[-2:] == [0, 0] and len(order) > 2 * (x.dim() - 2):
        order = order[:-2]
    return F.pad(x, order, mode=mode)


def _resize(node: _Node, ins: list[Any]) -> Any:
    x = ins[0]
    mode = node.get("mode", "nearest")
    transform = node.get("coordinate_transformation_mode", "half_pixel" if node.op == "Resize" else "asymmetric")
    sizes = node.list_of(3) if len(node.inputs) > 3 else None
    scales = node.list_of(1, "scales") if node.op == "Upsample" else (node.list_of(2) if sizes is None else None)
    kind = {"nearest": "nearest", "linear": {3: "linear", 4: "bilinear", 5: "trilinear"}.get(x.dim(), ""), "cubic": "bicubic"}.get(mode, "")
    if mode == "nearest":
        good = (
            transform == "asymmetric" and node.get("nearest_mode", "floor" if node.op == "Upsample" else "round_prefer_floor") == "floor"
        ) or (scales is not None and all(float(s).is_integer() for s in scales))
        align = None
    else:
        good = transform in ("half_pixel", "pytorch_half_pixel", "align_corners")
        align = transform == "align_corners"
    if not good or not kind or node.get("antialias"):
        raise _Unsupported(f"resizing by {mode} with {transform}")
    if mode == "cubic" and abs(float(node.get("cubic_coeff_a", -0.75)) + 0.75) > 1e-6:
        raise _Unsupported("cubic_coeff_a other than -0.75")
    if sizes is not None:
        return F.interpolate(x, size=[int(s) for s in sizes[2:]], mode=kind, align_corners=align)
    assert scales is not None
    return F.interpolate(x, scale_factor=[float(s) for s in scales[2:]], mode=kind, align_corners=align, recompute_scale_factor=False)


def _depth_to_space(node: _Node, ins: list[Any]) -> Any:
    b = int(node.get("blocksize"))
    if node.get("mode", "DCR") == "CRD":
        return F.pixel_shuffle(ins[0], b)
    n, c, h, w = (ins[0].shape[i] for i in range(4))
    x = ins[0].reshape(n, b, b, c // (b * b), h, w).permute(0, 3, 4, 1, 5, 2)
    return x.reshape(n, c // (b * b), h * b, w * b)


def _cast(node: _Node, ins: list[Any]) -> Any:
    types = {
        1: torch.float32, 2: torch.uint8, 3: torch.int8, 5: torch.int16, 6: torch.int32, 7: torch.int64, 9: torch.bool,
        10: torch.float16, 11: torch.float64, 16: torch.bfloat16,
    }  # fmt: skip
    to = types.get(int(node.get("to", 1)))
    if to is None:
        raise _Unsupported("a conversion to a type that torch does not have")
    return ins[0].to(to)


def _constant(node: _Node, ins: list[Any]) -> Any:
    for key, dtype in (
        ("value_float", torch.float32),
        ("value_int", torch.int64),
        ("value_floats", torch.float32),
        ("value_ints", torch.int64),
    ):
        if key in node.attrs:
            return torch.tensor(node.attrs[key], dtype=dtype)
    return ins[-1]  # the value, which the module holds


def _gelu(node: _Node, ins: list[Any]) -> Any:
    return F.gelu(ins[0], approximate=node.get("approximate", "none"))


def _hard_sigmoid(node: _Node, ins: list[Any]) -> Any:
    return torch.clamp(ins[0] * node.get("alpha", 0.2) + node.get("beta", 0.5), 0.0, 1.0)


def _hard_swish(_node: _Node, ins: list[Any]) -> Any:
    return ins[0] * torch.clamp(ins[0] * float(np.float32(1 / 6)) + 0.5, 0.0, 1.0)


def _chain(f: Callable[[Any, Any], Any]) -> Operator:
    def run(_node: _Node, ins: list[Any]) -> Any:
        y = ins[0]
        for x in ins[1:]:
            y = f(y, x)
        return y

    return run


def _div(_node: _Node, ins: list[Any]) -> Any:
    return torch.div(ins[0], ins[1], rounding_mode=None if ins[0].is_floating_point() else "trunc")


def _one(f: Callable[[Any], Any]) -> Operator:
    return lambda _node, ins: f(ins[0])


def _two(f: Callable[[Any, Any], Any]) -> Operator:
    return lambda _node, ins: f(ins[0], ins[1])


def _shape(node: _Node, ins: list[Any]) -> Any:
    s = torch._shape_as_tensor(ins[0])
    start, end = node.get("start", 0), node.get("end")
    return s if start == 0 and end is None else s[start:end]


def _instance_norm(node: _Node, ins: list[Any]) -> Any:
    return F.instance_norm(ins[0], weight=ins[1], bias=ins[2], eps=node.get("epsilon", 1e-5))


def _arg(f: Callable[..., torch.Tensor]) -> Operator:
    return lambda node, ins: f(ins[0], dim=int(node.get("axis", 0)), keepdim=bool(node.get("keepdims", 1)))


def _operators() -> dict[str, Operator]:
    ops: dict[str, Operator] = {
        "Conv": _conv, "ConvTranspose": _conv_transpose, "Gemm": _gemm, "MatMul": _two(torch.matmul),
        "MaxPool": _max_pool, "AveragePool": _average_pool,
        "GlobalAveragePool": _one(lambda x: x.mean(list(range(2, x.dim())), keepdim=True)),
        "GlobalMaxPool": _one(lambda x: x.amax(list(range(2, x.dim())), keepdim=True)),
        "BatchNormalization": _batch_norm, "InstanceNormalization": _instance_norm, "LayerNormalization": _layer_norm,
        "Softmax": _softmax(False), "LogSoftmax": _softmax(True),
        "Relu": _one(torch.relu), "Clip": _clip, "Sigmoid": _one(torch.sigmoid), "Tanh": _one(torch.tanh),
        "LeakyRelu": lambda n, i: F.leaky_relu(i[0], n.get("alpha", 0.01)), "PRelu": _two(lambda x, s: torch.where(x < 0, x * s, x)),
        "Elu": lambda n, i: F.elu(i[0], n.get("alpha", 1.0)), "Selu": _one(F.selu), "Softplus": _one(F.softplus), "Softsign": _one(F.softsign),
        "Mish": _one(F.mish), "Gelu": _gelu, "HardSigmoid": _hard_sigmoid, "HardSwish": _hard_swish, "Erf": _one(torch.erf),
        "Swish": lambda n, i: i[0] * torch.sigmoid(i[0] * n.get("alpha", 1.0)),
        "Exp": _one(torch.exp), "Log": _one(torch.log), "Sqrt": _one(torch.sqrt), "Reciprocal": _one(torch.reciprocal), "Neg": _one(torch.neg),
        "Abs": _one(torch.abs), "Floor": _one(torch.floor), "Ceil": _one(torch.ceil), "Round": _one(torch.round), "Sign": _one(torch.sign),
        "Sin": _one(torch.sin), "Cos": _one(torch.cos), "Not": _one(torch.logical_not), "Identity": _one(lambda x: x), "Dropout": _one(lambda x: x),
        "Add": _two(torch.add), "Sub": _two(torch.sub), "Mul": _two(torch.mul), "Div": _div, "Pow": _two(torch.pow),
        "Min": _chain(torch.minimum), "Max": _chain(torch.maximum), "Sum": _chain(torch.add),
        "Mean": lambda _n, i: torch.stack(torch.broadcast_tensors(*i)).mean(0),
        "Equal": _two(torch.eq), "Greater": _two(torch.gt), "Less": _two(torch.lt), "GreaterOrEqual": _two(torch.ge), "LessOrEqual": _two(torch.le),
        "And": _two(torch.logical_and), "Or": _two(torch.logical_or), "Where": lambda _n, i: torch.where(i[0], i[1], i[2]),
        "Concat": lambda n, i: torch.cat(i, int(n.get("axis", 0))),
        "Reshape": lambda n, i: _reshape(i[0], i[1], bool(n.get("allowzero", 0))), "Flatten": lambda n, i: _flatten(i[0], int(n.get("axis", 1))),
        "Transpose": lambda n, i: i[0].permute(n.get("perm") or list(reversed(range(i[0].dim())))),
        "Squeeze": _squeeze, "Unsqueeze": _unsqueeze, "Slice": _slice_node, "Split": _split, "Pad": _pad_node, "Expand": _two(_expand),
        "Tile": _two(_tile), "Gather": lambda n, i: _gather(i[0], i[1], int(n.get("axis", 0))), "Shape": _shape, "Cast": _cast,
        "Size": _one(lambda x: torch._shape_as_tensor(x).prod()), "Constant": _constant,
        "ConstantOfShape": lambda _n, i: _full(i[0], i[-1] if len(i) > 1 else torch.zeros(1)), "Range": lambda _n, i: _range(i[0], i[1], i[2]),
        "ReduceMean": _reduce(lambda x, a, k: x.mean(a, keepdim=k)), "ReduceSum": _reduce(lambda x, a, k: x.sum(a, keepdim=k)),
        "ReduceMax": _reduce(lambda x, a, k: x.amax(a, keepdim=k)), "ReduceMin": _reduce(lambda x, a, k: x.amin(a, keepdim=k)),
        "ReduceL2": _reduce(lambda x, a, k: x.norm(2, a, keepdim=k)),
        "Resize": _resize, "Upsample": _resize, "DepthToSpace": _depth_to_space,
        "SpaceToDepth": lambda n, i: _space_to_depth(i[0], int(n.get("blocksize"))),
        "Einsum": lambda n, i: torch.einsum(n.get("equation"), *i), "ArgMax": _arg(torch.argmax), "ArgMin": _arg(torch.argmin),
        "CumSum": lambda n, i: torch.cumsum(i[0], int((n.list_of(1) or [0])[0])),
    }  # fmt: skip
    return ops


def _space_to_depth(x: torch.Tensor, b: int) -> torch.Tensor:
    n, c, h, w = (x.shape[i] for i in range(4))
    return x.reshape(n, c, h // b, b, w // b, b).permute(0, 3, 5, 1, 2, 4).reshape(n, c * b * b, h // b, w // b)


class Quantized(torch.nn.Module):
    """The quantized network as a module that runs its nodes one by one."""

    def __init__(self, network: dict[str, Any], constants: Sequence[Array]) -> None:
        super().__init__()
        self._operators = _operators()
        self._buffer: dict[str, str] = {}
        static: dict[str, np.ndarray] = {}
        for i, a in enumerate(constants):
            key = f"constant_{i}"
            if a.type == "bfloat16":
                t = torch.from_numpy(a.data.view(np.int16).copy()).view(torch.bfloat16)
            else:
                t = torch.from_numpy(np.array(a.data))
                static[a.name] = np.asarray(a.data)
            self.register_buffer(key, t)
            self._buffer[a.name] = key
        self._nodes = [_Node(n) for n in network["nodes"]]
        self._inputs = [p["name"] for p in network["inputs"]]
        self._outputs = [p["name"] for p in network["outputs"]]
        for n in self._nodes:
            n.opset = int(network.get("opset") or 17)
            if n.op == "Constant" and n.outputs:
                for value in n.attrs.values():
                    if isinstance(value, dict) and value.get("array") in static:
                        static[n.outputs[0]] = static[value["array"]]
                    elif isinstance(value, (int, float, list)):
                        static[n.outputs[0]] = np.asarray(value)
            n.static = static
            if n.op not in self._operators and n.quantize is None or n.domain not in ("", "ai.onnx", "narrow", "com.microsoft"):
                raise NarrowError(
                    f"export_torch_script: the layer {n.name} ({n.op}) has no operator of torch's that narrow knows to put in its place; see export_onnx_model"
                )

    def forward(self, *inputs: torch.Tensor) -> Any:
        """Run the network."""
        values: dict[str, Any] = dict(zip(self._inputs, inputs))
        for name, key in self._buffer.items():
            values[name] = getattr(self, key)
        for n in self._nodes:
            ins = [values[i] if i else None for i in n.inputs]
            ins += [values[v["array"]] for v in n.attrs.values() if isinstance(v, dict)]
            try:
                if n.quantize is not None:
                    out = _fake_quantize(ins[0], n.quantize)
                else:
                    out = self._operators[n.op](n, ins)
            except _Unsupported as e:
                raise NarrowError(f"export_torch_script: the layer {n.name} ({n.op}) cannot be written in torch's operators: {e}") from None
            if isinstance(out, list):
                values.update(zip(n.outputs, out))
            else:
                values[n.outputs[0]] = out
        results = tuple(values[o] for o in self._outputs)
        return results if len(results) > 1 else results[0]


def trace(network: dict[str, Any], constants: Sequence[Array], s: Signature) -> torch.jit.ScriptModule:
    """Trace the quantized network over the example inputs."""
    module = Quantized(network, constants).eval()
    examples = dict(zip(s.input_names, s.examples))
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.jit.trace(module, tuple(examples[n].cpu() for n in module._inputs), check_trace=False)
