"""Samples in the forms that people have them: arrays, iterables of batches, DataLoaders."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Union

import numpy as np

from ._client import Array, array
from ._errors import UsageError

#: A file or folder of samples, an array whose first axis is the sample, a dict of such arrays by input, or an iterable of
#: batches (a DataLoader is one), each an array, a tuple with the inputs first, or a dict.
Data = Union[str, "os.PathLike[str]", np.ndarray, Mapping[str, Any], Iterable[Any]]


def is_path(data: Any) -> bool:
    """Tell whether samples are given by the name of a file or folder."""
    return isinstance(data, (str, os.PathLike))


def _numpy(x: Any) -> np.ndarray | None:
    """Return an array or a tensor as numpy's array, None for anything else."""
    if isinstance(x, np.ndarray):
        return x
    if hasattr(x, "detach") and hasattr(x, "cpu"):  # a torch tensor, without importing torch
        return np.asarray(x.detach().cpu().numpy())
    if hasattr(x, "__array__") and not isinstance(x, (list, tuple)):
        return np.asarray(x)
    return None


class Ports:
    """The inputs of a network: it reads what people give for a batch."""

    def __init__(self, inputs: Sequence[Mapping[str, Any]]) -> None:
        self.names = [str(p["name"]) for p in inputs]
        self.types = {str(p["name"]): str(p["type"]) for p in inputs}
        self.shapes = {str(p["name"]): p["shape"] for p in inputs}
        self._raw: set[str] = set()

    def arrays(self, batch: Any) -> list[Array]:
        """Return the arrays of a batch: one array for each input.

        A tuple or list holds the inputs first, in the network's order; what follows (labels) is left out. So does a dict,
        by the inputs' names.
        """
        values: dict[str, Any] = {}
        whole = _numpy(batch)
        if whole is not None:
            if len(self.names) > 1:
                raise UsageError(
                    f"the network has {len(self.names)} inputs ({', '.join(self.names)}): give a tuple or a dict with an array for each"
                )
            values[self.names[0]] = whole
        elif isinstance(batch, Mapping):
            missing = [n for n in self.names if n not in batch]
            if missing and len(self.names) == 1 and len(batch) == 1:
                values[self.names[0]] = next(iter(batch.values()))
            elif missing:
                raise UsageError(f"the batch has no array for {', '.join(missing)}: it has {', '.join(map(str, batch))}")
            else:
                values = {n: batch[n] for n in self.names}
        elif isinstance(batch, (tuple, list)):
            if len(batch) < len(self.names):
                raise UsageError(f"the batch has {len(batch)} parts; the network takes {len(self.names)} inputs ({', '.join(self.names)})")
            values = dict(zip(self.names, batch))
        else:
            raise UsageError(f"a batch is a {type(batch).__name__}: give an array, a tuple or a dict of arrays")
        out = []
        for name in self.names:
            x = _numpy(values[name])
            if x is None:
                raise UsageError(f"the input {name} is a {type(values[name]).__name__}: give an array")
            out.append(self._typed(name, x))
        return out

    def _typed(self, name: str, x: np.ndarray) -> Array:
        want = self.types[name]
        if want == "bfloat16":
            if x.dtype.name != "bfloat16" and x.dtype != np.uint16:
                raise UsageError(f"the input {name} takes bfloat16: give its bits as uint16, or an array of the type that ml_dtypes has")
            return array(name, x.view(np.uint16), "bfloat16")
        if x.dtype.name != want:
            kind = np.dtype(want).kind
            if x.dtype.kind == "f" and kind in "iu":
                raise UsageError(f"the input {name} takes {want}, not {x.dtype}: convert it, such as by astype({want!r})")
            if x.dtype == np.uint8 and kind == "f" and name not in self._raw:
                self._raw.add(name)
                sys.stderr.write(
                    f"note: uint8 values enter input {name} as they are, 0 to 255: preprocess them as the network was trained\n"
                )
            x = x.astype(want)
        return array(name, x)

    def count(self, arrays: Sequence[Array]) -> int:
        """Return how many samples a batch has."""
        return int(arrays[0].data.shape[0]) if arrays and arrays[0].data.ndim else 0


def batches(data: Any, ports: Ports, batch_size: int) -> Iterator[list[Array]]:
    """Yield the batches of samples, each as an array for each input.

    Arrays are cut into batches of batch_size; what yields batches keeps its own.
    """
    if batch_size < 1:
        raise UsageError(f"batch_size is {batch_size}: give 1 or more")
    whole = _numpy(data)
    if whole is not None:
        arrays = ports.arrays(whole)
    elif isinstance(data, Mapping):
        arrays = ports.arrays(data)
    else:
        try:
            found = iter(data)
        except TypeError:
            raise UsageError(
                f"the samples are a {type(data).__name__}: give an array, a dict of arrays or an iterable of batches"
            ) from None
        for batch in found:
            yield ports.arrays(batch)
        return
    n = ports.count(arrays)
    if any(a.data.ndim == 0 or a.data.shape[0] != n for a in arrays):
        raise UsageError(
            "the arrays have different numbers of samples (the first axis): " + ", ".join(f"{a.name} {list(a.data.shape)}" for a in arrays)
        )
    for at in range(0, n, batch_size):
        yield [Array(a.name, a.type, np.ascontiguousarray(a.data[at : at + batch_size])) for a in arrays]
