"""Operators that a script registers: they pass through in float."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any, TypeVar

import torch

from .._errors import UsageError

F = TypeVar("F", bound=Callable[..., Any])

_names: list[str] = []


def registered() -> list[str]:
    """Return the types of the operators that were registered."""
    return list(_names)


def register_custom_op(op_type: str, attrs_list: Sequence[str] | None = None) -> Callable[[F], F]:
    """Register a function as one operator of the network, which stays in float.

    The function's first parameter is ctx, as in torch.autograd.Function; attrs_list names the parameters that are no
    tensors. What the function computes is exported as it is, under a module of the name op_type, and nothing in there is
    quantized.
    """
    if not op_type.isidentifier():
        raise UsageError(f"op_type is {op_type!r}: it must be a name")

    def register(function: F) -> F:
        if op_type not in _names:
            _names.append(op_type)

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            state = torch._C._get_tracing_state()
            if state is None:
                return function(SimpleNamespace(), *args, **kwargs)
            # The scope becomes a part of the exported nodes' names, as a module's does.
            state.push_scope(f"narrow.custom.{op_type}::{op_type}")
            try:
                return function(SimpleNamespace(), *args, **kwargs)
            finally:
                state.pop_scope()

        return call  # type: ignore[return-value]

    return register
