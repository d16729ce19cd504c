"""Modules that scripts for vai_q_pytorch use in the place of functions: they compute what torch's functions do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

__all__ = [
    "Add", "Cat", "Clamp", "DeQuantStub", "Exp", "Expand", "Interpolate", "Matmul", "Max", "Mean", "Min", "Mul", "Permute", "QuantStub",
    "Sub", "Sum", "Transpose",
]  # fmt: skip


class _Function(nn.Module):
    """A function as a module, so that it has a name in the module tree."""

    function: Callable[..., Any]

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Call the function."""
        return type(self).function(*args, **kwargs)


def _as_module(name: str, function: Callable[..., Any]) -> type[_Function]:
    return type(name, (_Function,), {"function": staticmethod(function), "__doc__": f"{name} as a module.", "__module__": __name__})


Add = _as_module("Add", torch.add)
Cat = _as_module("Cat", torch.cat)
Clamp = _as_module("Clamp", torch.clamp)
Exp = _as_module("Exp", torch.exp)
Expand = _as_module("Expand", lambda x, size: x.expand(size))
Interpolate = _as_module("Interpolate", nn.functional.interpolate)
Matmul = _as_module("Matmul", torch.matmul)
Max = _as_module("Max", torch.max)
Mean = _as_module("Mean", torch.mean)
Min = _as_module("Min", torch.min)
Mul = _as_module("Mul", torch.mul)
Permute = _as_module("Permute", lambda x, dims: x.permute(dims))
Sub = _as_module("Sub", torch.sub)
Sum = _as_module("Sum", torch.sum)
Transpose = _as_module("Transpose", torch.transpose)


class QuantStub(nn.Module):
    """Where quantization begins, in scripts for training: here it changes nothing."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x."""
        return x


class DeQuantStub(nn.Module):
    """Where quantization ends, in scripts for training: here it changes nothing."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return x."""
        return x
