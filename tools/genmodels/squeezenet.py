#!/usr/bin/env python3
"""Writes SqueezeNet 1.1 with random weights as ONNX, for benchmarks.

    python3 tools/genmodels/squeezenet.py OUT_DIR

leaves squeezenet1.1.onnx, opset 13, dynamic batch, input "input" float32
[N,3,224,224], output "output" [N,1000]. Needs torch only (Debian:
python3-torch). The weights are the same on every run.
"""
import os
import sys

import torch
from torch import nn


class Fire(nn.Module):
    """A squeeze of 1x1 and an expansion of 1x1 and 3x3 (Iandola et al. 2016)."""

    def __init__(self, cin, squeeze, expand):
        super().__init__()
        self.squeeze = nn.Conv2d(cin, squeeze, 1)
        self.expand1x1 = nn.Conv2d(squeeze, expand, 1)
        self.expand3x3 = nn.Conv2d(squeeze, expand, 3, padding=1)
        self.relu = nn.ReLU()

    def forward(self, x):
        x = self.relu(self.squeeze(x))
        return torch.cat([self.relu(self.expand1x1(x)), self.relu(self.expand3x3(x))], 1)


def network():
    torch.manual_seed(0)
    def pool():
        return nn.MaxPool2d(3, 2)
    net = nn.Sequential(
        nn.Conv2d(3, 64, 3, 2), nn.ReLU(), pool(),
        Fire(64, 16, 64), Fire(128, 16, 64), pool(),
        Fire(128, 32, 128), Fire(256, 32, 128), pool(),
        Fire(256, 48, 192), Fire(384, 48, 192), Fire(384, 64, 256), Fire(512, 64, 256),
        nn.Conv2d(512, 1000, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten())
    for m in net.modules():
        if isinstance(m, nn.Conv2d):
            nn.init.kaiming_normal_(m.weight, nonlinearity="relu")
            nn.init.normal_(m.bias, 0, 0.05)
    return net.eval()


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    out = sys.argv[1]
    os.makedirs(out, exist_ok=True)
    path = os.path.join(out, "squeezenet1.1.onnx")
    torch.onnx.export(
        network(), torch.zeros(1, 3, 224, 224), path, opset_version=13,
        input_names=["input"], output_names=["output"],
        dynamic_axes={"input": {0: "N"}, "output": {0: "N"}})
    print(path, os.path.getsize(path), "bytes")


if __name__ == "__main__":
    main()
