"""A detector with an evaluation of its own, which drives the search for a strategy.

The network puts out, for each cell of a grid, a box and an objectness, as anchor-free detectors do. Its pictures are drawn:
bright squares on noise; its weights are set by hand so that it finds them. Boxes are decoded in numpy, thinned out by
non-maximum suppression, and scored by the average precision of each picture at an overlap of one half.

    python detector.py
"""

import argparse
import os

import narrow
import numpy as np

GRID, CELL = 8, 8


def picture(rng):
    """Return a picture with one to three bright squares, and their boxes (x0, y0, x1, y1 in pixels)."""
    x = rng.normal(0, 0.05, (1, GRID * CELL, GRID * CELL)).astype(np.float32)
    boxes = []
    for cell in rng.choice(GRID * GRID, rng.integers(1, 4), replace=False):
        cy, cx = (cell // GRID) * CELL, (cell % GRID) * CELL
        w, h = rng.integers(4, CELL + 1, 2)
        x[0, cy : cy + h, cx : cx + w] += 1
        boxes.append((cx, cy, cx + w, cy + h))
    return x, np.array(boxes, np.float32)


def detector(path):
    """Write the network: a convolution per cell that measures brightness, width and height, then 1x1 layers."""
    import torch

    class Detector(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.backbone = torch.nn.Conv2d(1, 16, CELL, CELL)
            self.act = torch.nn.ReLU()
            self.head = torch.nn.Conv2d(16, 3, 1)
            with torch.no_grad():
                w = torch.zeros(16, 1, CELL, CELL)
                for i in range(CELL):  # the first row and the first column, pixel by pixel
                    w[i, 0, :4, i] = 0.25
                    w[8 + i, 0, i, :4] = 0.25
                self.backbone.weight.copy_(w)
                self.backbone.bias.zero_()
                h = torch.zeros(3, 16, 1, 1)
                h[0, :8], h[1, 8:] = 1, 1  # width and height in pixels
                h[2, :4] = 1
                self.head.weight.copy_(h)
                self.head.bias.copy_(torch.tensor([0.0, 0.0, -2.0]))

        def forward(self, x):
            y = self.head(self.act(self.backbone(x)))
            return {"size": y[:, :2], "objectness": torch.sigmoid(4 * y[:, 2:])}

    from narrow.torch import export_onnx

    export_onnx(Detector().eval(), (torch.zeros(1, 1, GRID * CELL, GRID * CELL),), path)


def decode(size, objectness):
    """Return the boxes of one picture and their scores, thinned out."""
    ys, xs = np.mgrid[:GRID, :GRID] * CELL
    boxes = np.stack([xs, ys, xs + size[0], ys + size[1]], -1).reshape(-1, 4)
    scores = objectness.reshape(-1)
    keep = []
    for i in np.argsort(-scores, kind="stable"):
        if scores[i] > 0.3 and all(overlap(boxes[i], boxes[j]) < 0.5 for j in keep):
            keep.append(i)
    return boxes[keep], scores[keep]


def overlap(a, b):
    """Return the intersection of two boxes over their union."""
    w = min(a[2], b[2]) - max(a[0], b[0])
    h = min(a[3], b[3]) - max(a[1], b[1])
    if w <= 0 or h <= 0:
        return 0.0
    return w * h / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - w * h)


def average_precision(found, scores, truth):
    """Return the average precision of one picture at an overlap of one half."""
    matched, hits = set(), []
    for box in found[np.argsort(-scores, kind="stable")]:
        best = max(range(len(truth)), key=lambda j: overlap(box, truth[j]))
        hit = overlap(box, truth[best]) >= 0.5 and best not in matched
        if hit:
            matched.add(best)
        hits.append(hit)
    precision = np.cumsum(hits) / np.arange(1, len(hits) + 1) if hits else np.zeros(0)
    return float(sum(p for p, h in zip(precision, hits) if h) / len(truth))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--output_dir", default="quantize_result")
    parser.add_argument("--seconds", default=60, type=float)
    args = parser.parse_args()
    os.makedirs(args.output_dir, exist_ok=True)
    model = os.path.join(args.output_dir, "Detector.onnx")
    detector(model)
    rng = np.random.default_rng(0)
    pictures, truths = zip(*(picture(rng) for _ in range(96)))
    x = np.stack(pictures)
    calibration, test, truths = x[:32], x[32:], truths[32:]

    def metric(outputs, first):
        """Return the average precision of each picture of a batch."""
        sizes, objectness = outputs
        return [average_precision(*decode(s, o), truths[first + i]) for i, (s, o) in enumerate(zip(sizes, objectness))]

    print(f"float: mAP {narrow.evaluate(narrow.Session(model), test, metric):.3f}")
    found = narrow.search(model, calibration, test, metric=metric, target="CPU", max_drop=0.02, seconds=args.seconds, output=os.path.join(args.output_dir, "strategy.json"))
    print(f"found: {found.words}")
    print(f"mAP {found.score:.3f}, at {100 * found.cost:.2f} % of the float network's cost")
    done = narrow.calibrate(model, calibration, os.path.join(args.output_dir, "strategy.json"), output_dir=args.output_dir)
    print(f"quantized: mAP {narrow.evaluate(done.session(), test, metric):.3f}")
    for layer in narrow.sensitivity(done, test, metric=metric)[:3]:
        print(f"{layer.name}: mAP {layer.score:.3f} where it alone is quantized")


if __name__ == "__main__":
    main()
