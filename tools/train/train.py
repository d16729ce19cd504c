#!/usr/bin/env python3
"""Trains and exports the bundled network, models/fashion_dscnn.onnx.

A depthwise-separable CNN with batch norm and ReLU6 on Fashion-MNIST: a stem,
seven depthwise-separable blocks (four of them with a residual Add), global
average pooling, one linear layer; about 80,000 parameters.

Needs Debian's python3-torch (1.13) and python3-numpy, and the four IDX files
of Fashion-MNIST, which `make setup` puts into the user's cache:

    nice -n 5 python3 tools/train/train.py --data DIR --out models/fashion_dscnn.onnx

Input: float32 N,1,28,28 with values in 0..1 (pixel/255; narrow's
--preprocess unit). Output: ten logits. Batch norms are exported unfolded, and
node names carry module paths (/features/features.1/depthwise/conv/Conv).
Seeds are fixed; another number of threads may still change the last digits.
"""
import argparse
import gzip
import os
import time

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F


class ConvBN(nn.Module):
    """Convolution without bias, batch norm, ReLU6."""

    def __init__(self, cin, cout, kernel, stride=1, groups=1):
        super().__init__()
        self.conv = nn.Conv2d(cin, cout, kernel, stride, kernel // 2, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(cout)
        self.act = nn.ReLU6()

    def forward(self, x):
        return self.act(self.bn(self.conv(x)))


class Separable(nn.Module):
    """Depthwise 3x3, pointwise 1x1; adds its input where the shapes allow."""

    def __init__(self, cin, cout, stride):
        super().__init__()
        self.depthwise = ConvBN(cin, cin, 3, stride, groups=cin)
        self.pointwise = ConvBN(cin, cout, 1)
        self.residual = stride == 1 and cin == cout

    def forward(self, x):
        y = self.pointwise(self.depthwise(x))
        return x + y if self.residual else y


class FashionDSCNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            ConvBN(1, 32, 3),
            Separable(32, 64, 2),
            Separable(64, 64, 1),
            Separable(64, 64, 1),
            Separable(64, 128, 2),
            Separable(128, 128, 1),
            Separable(128, 128, 1),
            Separable(128, 128, 2),
        )
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(128, 10)

    def forward(self, x):
        return self.classifier(torch.flatten(self.pool(self.features(x)), 1))


def read_idx(path):
    with gzip.open(path, "rb") as f:
        raw = f.read()
    rank = raw[3]
    dims = [int.from_bytes(raw[4 + 4 * i:8 + 4 * i], "big") for i in range(rank)]
    return np.frombuffer(raw, np.uint8, offset=4 + 4 * rank).reshape(dims)


def load(folder, split):
    x = read_idx(os.path.join(folder, split + "-images-idx3-ubyte.gz"))
    y = read_idx(os.path.join(folder, split + "-labels-idx1-ubyte.gz"))
    return torch.from_numpy(x.astype(np.float32) / 255).unsqueeze(1), torch.from_numpy(y.astype(np.int64))


def augment(x):
    """Mirrors half of the images, shifts each by up to two pixels, and blanks a square in half of them."""
    n = len(x)
    flip = torch.rand(n) < 0.5
    x = torch.where(flip[:, None, None, None], x.flip(3), x)
    padded = F.pad(x, (2, 2, 2, 2))
    dy, dx = torch.randint(0, 5, (n, 1, 1)), torch.randint(0, 5, (n, 1, 1))
    rows = torch.arange(28)[None, :, None] + dy
    cols = torch.arange(28)[None, None, :] + dx
    x = padded[:, 0][torch.arange(n)[:, None, None], rows, cols].unsqueeze(1)
    y0, x0 = torch.randint(-4, 28, (n, 1, 1)), torch.randint(-4, 28, (n, 1, 1))
    r, c = torch.arange(28)[None, :, None], torch.arange(28)[None, None, :]
    hole = (r >= y0) & (r < y0 + 8) & (c >= x0) & (c < x0 + 8) & (torch.rand(n, 1, 1) < 0.5)
    return x.masked_fill(hole.unsqueeze(1), 0)


@torch.no_grad()
def accuracy(net, x, y):
    net.eval()
    hits = 0
    for i in range(0, len(x), 500):
        hits += (net(x[i:i + 500]).argmax(1) == y[i:i + 500]).sum().item()
    return hits / len(x)


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", required=True, help="folder of the four .gz files")
    p.add_argument("--out", required=True, help="the .onnx file to write")
    p.add_argument("--epochs", type=int, default=12)
    p.add_argument("--batch", type=int, default=128)
    p.add_argument("--lr", type=float, default=0.01)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--threads", type=int, default=2)
    args = p.parse_args()

    torch.manual_seed(args.seed)
    torch.set_num_threads(args.threads)
    x, y = load(args.data, "train")
    tx, ty = load(args.data, "t10k")
    net = FashionDSCNN().to(memory_format=torch.channels_last)  # a quarter faster on CPUs
    print("parameters", sum(q.numel() for q in net.parameters()), flush=True)

    steps = (len(x) + args.batch - 1) // args.batch
    opt = torch.optim.AdamW(net.parameters(), lr=args.lr, weight_decay=0.02)
    sched = torch.optim.lr_scheduler.OneCycleLR(opt, args.lr, total_steps=steps * args.epochs, pct_start=0.2)
    for epoch in range(args.epochs):
        start, total = time.time(), 0.0
        net.train()
        order = torch.randperm(len(x))
        for i in range(0, len(x), args.batch):
            pick = order[i:i + args.batch]
            loss = F.cross_entropy(net(augment(x[pick]).to(memory_format=torch.channels_last)), y[pick], label_smoothing=0.05)
            opt.zero_grad()
            loss.backward()
            opt.step()
            sched.step()
            total += loss.item()
            if i == 100 * args.batch and epoch == 0:
                print("seconds per 100 steps", time.time() - start, flush=True)
        print("epoch %d loss %.4f test %.4f seconds %.0f" % (
            epoch + 1, total / steps, accuracy(net, tx, ty), time.time() - start), flush=True)

    net = net.to(memory_format=torch.contiguous_format).eval()
    partial = args.out + ".tmp"
    torch.onnx.export(
        net, torch.zeros(1, 1, 28, 28), partial, opset_version=13,
        input_names=["image"], output_names=["logits"],
        dynamic_axes={"image": {0: "N"}, "logits": {0: "N"}},
        # PRESERVE and no folding: batch norms stay nodes of their own.
        training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False,
        keep_initializers_as_inputs=False)
    os.replace(partial, args.out)
    print("wrote", args.out, os.path.getsize(args.out), "bytes")


if __name__ == "__main__":
    main()
