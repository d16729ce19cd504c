"""Nested inputs and outputs of modules: taken apart into tensors, and put together again."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch


@dataclass(frozen=True)
class Leaf:
    """The place of the next tensor."""


@dataclass(frozen=True)
class Constant:
    """A value that is no tensor, such as a flag: the same in every call."""

    value: Any


@dataclass(frozen=True)
class Node:
    """A container: how it is made again, the keys of its parts, and the parts."""

    kind: str  # "tuple", "list", "named", "dict", "dataclass"
    type: type
    keys: tuple[Any, ...]
    parts: tuple[Any, ...]


def flatten(x: Any, tensors: list[torch.Tensor]) -> Any:
    """Append the tensors inside x to tensors, in a fixed order, and return what it takes to put x together."""
    if isinstance(x, torch.Tensor):
        tensors.append(x)
        return Leaf()
    if dataclasses.is_dataclass(x) and not isinstance(x, type):  # Hugging Face's outputs are these and dicts
        keys = tuple(f.name for f in dataclasses.fields(x))
        return Node("dataclass", type(x), keys, tuple(flatten(getattr(x, k), tensors) for k in keys))
    if isinstance(x, Mapping):
        return Node("dict", type(x), tuple(x), tuple(flatten(v, tensors) for v in x.values()))
    if isinstance(x, tuple):
        kind = "named" if hasattr(x, "_fields") else "tuple"
        return Node(kind, type(x), tuple(range(len(x))), tuple(flatten(v, tensors) for v in x))
    if isinstance(x, list):
        return Node("list", type(x), tuple(range(len(x))), tuple(flatten(v, tensors) for v in x))
    return Constant(x)


def unflatten(spec: Any, tensors: list[Any]) -> Any:
    """Put together what flatten took apart; tensors are taken from the front of the list."""
    if isinstance(spec, Leaf):
        return tensors.pop(0)
    if isinstance(spec, Constant):
        return spec.value
    parts = [unflatten(p, tensors) for p in spec.parts]
    if spec.kind == "dataclass":
        return spec.type(**dict(zip(spec.keys, parts)))
    if spec.kind == "dict":
        pairs = list(zip(spec.keys, parts))
        try:
            return spec.type(pairs)
        except TypeError:
            return dict(pairs)
    if spec.kind == "named":
        return spec.type(*parts)
    if spec.kind == "list":
        return parts
    return tuple(parts)


def same(a: Any, b: Any) -> bool:
    """Tell whether two values take the same parts: lists and tuples count as alike, and so do dicts of any kind."""
    if isinstance(a, Node) and isinstance(b, Node):
        alike = {"tuple": "list", "named": "list", "dataclass": "dict"}
        if alike.get(a.kind, a.kind) != alike.get(b.kind, b.kind):
            return False
        if alike.get(a.kind, a.kind) == "dict" and set(a.keys) != set(b.keys):
            return False
        return len(a.parts) == len(b.parts) and all(same(p, q) for p, q in zip(a.parts, reorder(a, b)))
    if isinstance(a, Constant) and isinstance(b, Constant):
        return a.value is b.value or bool(a.value == b.value)
    return type(a) is type(b)


def reorder(a: Node, b: Node) -> tuple[Any, ...]:
    """Return b's parts in the order of a's keys."""
    if a.kind not in ("dict", "dataclass"):
        return b.parts
    of = dict(zip(b.keys, b.parts))
    return tuple(of[k] for k in a.keys)


def in_order(spec: Any, x: Any, tensors: list[torch.Tensor]) -> None:
    """Append the tensors inside x in the order of spec, which x has the parts of."""
    if isinstance(spec, Leaf):
        tensors.append(x)
    elif isinstance(spec, Node):
        for key, part in zip(spec.keys, spec.parts):
            if dataclasses.is_dataclass(x):
                in_order(part, getattr(x, key), tensors)
            else:
                in_order(part, x[key], tensors)


def paths(spec: Any, prefix: str = "") -> list[str]:
    """Return a name for each tensor: the argument's name, and the keys behind it."""
    if isinstance(spec, Leaf):
        return [prefix or "input"]
    if isinstance(spec, Node):
        out = []
        for key, part in zip(spec.keys, spec.parts):
            out += paths(part, f"{prefix}_{key}" if prefix else str(key))
        return out
    return []


def bind(module: torch.nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call by the names that the module's forward has for them.

    So it does not matter which of them a script gives by name. Arguments that equal their defaults are left out.
    """
    signature = inspect.signature(module.forward)
    bound = signature.bind(*args, **kwargs)
    out = {}
    for name, value in bound.arguments.items():
        default = signature.parameters[name].default
        if default is not inspect.Parameter.empty and not isinstance(value, torch.Tensor) and value is default:
            continue
        out[name] = value
    return out


def call(module: torch.nn.Module, bound: Mapping[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments that bind was given in the form of a call."""
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    by_name = False
    for name, p in inspect.signature(module.forward).parameters.items():
        if p.kind is p.VAR_POSITIONAL:
            if not by_name:
                args += list(bound.get(name, ()))
        elif p.kind is p.VAR_KEYWORD:
            kwargs.update(bound.get(name, {}))
        elif name not in bound:
            by_name = True
        elif by_name or p.kind is p.KEYWORD_ONLY:
            kwargs[name] = bound[name]
        else:
            args.append(bound[name])
    return args, kwargs


def standard(module: torch.nn.Module, input_args: Any, input_kwargs: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the example inputs of torch_quantizer by the names of forward's parameters.

    ``input_args`` is one tensor, a tuple or list with an entry for each positional argument, or a dict: of keyword
    arguments where its keys are names of parameters, else the first argument itself.
    """
    kwargs = dict(input_kwargs or {})
    if input_args is None:
        args: tuple[Any, ...] = ()
    elif isinstance(input_args, torch.Tensor):
        args = (input_args,)
    elif isinstance(input_args, Mapping):
        names = set(inspect.signature(module.forward).parameters)
        if all(isinstance(k, str) and k in names for k in input_args):
            args, kwargs = (), {**input_args, **kwargs}
        else:
            args = (input_args,)
    elif isinstance(input_args, (tuple, list)):
        args = tuple(input_args)
    else:
        args = (input_args,)
    try:
        return bind(module, args, kwargs)
    except TypeError as e:
        raise TypeError(f"input_args and input_kwargs do not fit {type(module).__name__}.forward: {e}") from None
