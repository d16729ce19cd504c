"""Scripts that were written for vai_q_pytorch, run with narrow behind their calls.

    python -m narrow.vai SCRIPT ARGS

The script stays as it is: ``pytorch_nndct``, with what scripts import of it, stands for narrow.torch.
"""

from __future__ import annotations

import sys
import types
from typing import Any

_NAME = "pytorch_nndct"

#: What stands where in pytorch_nndct: names of narrow.torch by module.
_APIS = ("torch_quantizer", "dump_xmodel", "Inspector")


def install() -> types.ModuleType:
    """Make ``import pytorch_nndct`` find narrow's calls, in this process, and return that module.

    A pytorch_nndct that is installed is left alone only where it has been imported already, which is an error.
    """
    former = sys.modules.get(_NAME)
    if former is not None:
        if getattr(former, "__narrow__", False):
            return former
        raise ImportError(f"{_NAME} was imported before narrow.vai.install(): call it first")
    from .. import torch as ours
    from . import _nn

    root = _module(_NAME)
    root.__narrow__ = True  # type: ignore[attr-defined]
    root.QatProcessor = ours.QatProcessor  # type: ignore[attr-defined]
    apis = _module(f"{_NAME}.apis", root)
    for name in _APIS:
        setattr(apis, name, getattr(ours, name))
    utils = _module(f"{_NAME}.utils", root)
    utils.register_custom_op = ours.register_custom_op  # type: ignore[attr-defined]
    nn = _module(f"{_NAME}.nn", root)
    modules = _module(f"{_NAME}.nn.modules", nn)
    functional = _module(f"{_NAME}.nn.modules.functional", modules)
    for name in _nn.__all__:
        setattr(functional, name, getattr(_nn, name))
        setattr(nn, name, getattr(_nn, name))
    quantization = _module(f"{_NAME}.quantization", root)
    quantization.QatProcessor = ours.QatProcessor  # type: ignore[attr-defined]
    return root


def _module(name: str, parent: types.ModuleType | None = None) -> types.ModuleType:
    m = _Stand(name, f"{name}, as narrow.vai has it.")
    m.__path__ = []
    sys.modules[name] = m
    if parent is not None:
        setattr(parent, name.rsplit(".", 1)[1], m)
    return m


class _Stand(types.ModuleType):
    """A module that says what is missing in it."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        raise AttributeError(
            f"{self.__name__} has no {name} under narrow.vai: narrow has vai_q_pytorch's calls for quantization after training "
            "(docs/python.md lists them), not those for training, pruning or its own internals"
        )
