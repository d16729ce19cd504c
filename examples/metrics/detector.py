#!/usr/bin/env python3
"""A detector's accuracy, for narrow's --metric: mean average precision, or the share of the float network's boxes kept.

    narrow test ... --metric "python3 examples/metrics/detector.py"                         # boxes kept of the float network's
    narrow test ... --metric "python3 examples/metrics/detector.py --truth boxes.csv"       # mAP at IoU 0.5

The truth is a CSV with the columns name,class,x1,y1,x2,y2: the sample's name as in samples.csv (or its index), the class from
0 on, and the box in pixels of the network's input. Needs numpy alone.

Heads (--head):
  yolov8   [N, 4 + classes, anchors]: centre, size in pixels and class scores, decoded in the network (YOLOv8 and newer)
  yolov5   [N, anchors, 5 + classes]: centre, size in pixels, objectness, class scores, decoded in the network (YOLOv5, v7)
  yolox    [N, anchors, 5 + classes]: offsets in cells and logarithms of sizes, to be decoded here; scores are sigmoids already
  nanodet  [N, anchors, classes + 4 * bins]: class scores, and a distribution over distances to each side (anchor-free)
"""

from __future__ import annotations

import argparse
import csv
import json
import sys
from pathlib import Path

import numpy as np


def main() -> None:
    """Read the command line and print the figures."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", type=Path, help="what narrow gives: one .npy an output, samples.csv, outputs.json")
    p.add_argument("--head", choices=["yolov8", "yolov5", "yolox", "nanodet"], default="yolov8")
    p.add_argument("--output", help="name of the output (default: the first one)")
    p.add_argument("--size", type=int, default=0, help="height and width of the network's input, for yolox and nanodet")
    p.add_argument("--strides", default="8,16,32", help="cells of the head in pixels, for yolox and nanodet")
    p.add_argument("--classes", type=int, default=80, help="number of classes, for nanodet")
    p.add_argument("--truth", type=Path, help="CSV of true boxes")
    p.add_argument("--score", type=float, default=0.1, help="a box of the float network counts from this score on")
    p.add_argument("--nms", type=float, default=0.45, help="IoU from which the lower of two boxes of a class is dropped")
    a = p.parse_args()

    boxes = detections(a.folder, a)
    result = {}
    if a.truth:
        result["map50"] = map50(boxes, read_truth(a.truth, a.folder))
    else:
        # In the float network's own folder there is no other to compare with: it keeps all of its boxes.
        float_folder = a.folder / "float"
        result["kept"] = kept(detections(float_folder, a), boxes, a.score) if float_folder.exists() else 1.0
    result["boxes"] = sum(int((b[:, 4] >= a.score).sum()) for b in boxes)
    json.dump(result, sys.stdout)


def detections(folder: Path, a: argparse.Namespace) -> list[np.ndarray]:
    """Return for each sample an array of boxes [k, 6]: x1, y1, x2, y2, score, class, the highest score first."""
    outputs = json.loads((folder / "outputs.json").read_text())
    output = next((o for o in outputs if a.output in (None, o["name"])), None)
    if output is None:
        sys.exit(f"there is no output {a.output!r}: there are {[o['name'] for o in outputs]}")
    raw = np.load(folder / output["file"], mmap_mode="r")
    # Lower than what counts: mAP looks at all of them, and a kept box may have half the score.
    least = 0.001 if a.truth else a.score / 2
    return [suppress(*decode(np.asarray(x, np.float32), a), least, a.nms) for x in raw]


def decode(x: np.ndarray, a: argparse.Namespace) -> tuple[np.ndarray, np.ndarray]:
    """Return one sample's boxes [anchors, 4] as corners in pixels, and its scores [anchors, classes]."""
    if a.head == "yolov8":
        x = x.T
        return corners(x[:, :2], x[:, 2:4]), x[:, 4:]
    if a.head == "yolov5":
        return corners(x[:, :2], x[:, 2:4]), x[:, 4:5] * x[:, 5:]
    if a.size == 0:
        sys.exit(f"--head {a.head} needs --size, the height and width of the network's input")
    cells, stride = grid(a.size, [int(s) for s in a.strides.split(",")], len(x), centre=a.head == "nanodet")
    if a.head == "yolox":
        with np.errstate(over="ignore"):
            return corners((x[:, :2] + cells) * stride, np.exp(x[:, 2:4]) * stride), x[:, 4:5] * x[:, 5:]
    scores, sides = x[:, : a.classes], x[:, a.classes :].reshape(len(x), 4, -1)
    sides = np.exp(sides - sides.max(axis=2, keepdims=True))
    # The mean of the distribution over 0, 1, ... cells (Li et al. 2020, arXiv:2006.04388).
    distance = (sides / sides.sum(axis=2, keepdims=True)) @ np.arange(sides.shape[2], dtype=np.float32) * stride
    centre = cells * stride
    return np.concatenate([centre - distance[:, :2], centre + distance[:, 2:]], axis=1), scores


def corners(centre: np.ndarray, size: np.ndarray) -> np.ndarray:
    """Return boxes as their upper left and lower right corners."""
    return np.concatenate([centre - size / 2, centre + size / 2], axis=1)


def grid(size: int, strides: list[int], anchors: int, centre: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the cells of all scales, row by row, and their strides."""
    cells, steps = [], []
    for s in strides:
        n = -(-size // s)
        y, x = np.meshgrid(np.arange(n), np.arange(n), indexing="ij")
        cells.append(np.stack([x.ravel(), y.ravel()], axis=1).astype(np.float32) + (0.5 if centre else 0.0))
        steps.append(np.full((n * n, 1), s, np.float32))
    if sum(map(len, cells)) != anchors:
        sys.exit(f"a network of {size} pixels with strides {strides} has {sum(map(len, cells))} cells, but there are {anchors}")
    return np.concatenate(cells), np.concatenate(steps)


def suppress(boxes: np.ndarray, scores: np.ndarray, least: float, most_overlap: float) -> np.ndarray:
    """Keep of overlapping boxes of a class the one with the highest score (non-maximum suppression)."""
    out = []
    for c in range(scores.shape[1]):
        own = np.flatnonzero(scores[:, c] >= least)
        own = own[np.argsort(-scores[own, c], kind="stable")][:1000]
        while len(own):
            best, own = own[0], own[1:]
            out.append([*boxes[best], scores[best, c], c])
            own = own[iou(boxes[best], boxes[own]) <= most_overlap]
    found = np.array(out, np.float32).reshape(-1, 6)
    return found[np.argsort(-found[:, 4], kind="stable")][:300]


def iou(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Return the intersection over union of a box with each of others."""
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:4], others[:, 2:4])
    both = np.prod(np.clip(high - low, 0, None), axis=1)
    area = np.prod(box[2:4] - box[:2]) + np.prod(others[:, 2:4] - others[:, :2], axis=1) - both
    return both / np.maximum(area, 1e-9)


def kept(float_boxes: list[np.ndarray], boxes: list[np.ndarray], score: float) -> float:
    """Return the share of the float network's boxes that overlap one of their class by more than half."""
    total = found = 0
    for f, q in zip(float_boxes, boxes):
        for b in f[f[:, 4] >= score]:
            total += 1
            found += bool((iou(b, q[q[:, 5] == b[5]]) > 0.5).any())
    return found / total if total else 1.0


def read_truth(file: Path, folder: Path) -> list[np.ndarray]:
    """Return for each sample of the folder its true boxes [k, 5]: corners and class."""
    boxes: dict[str, list[list[float]]] = {}
    with file.open(newline="") as f:
        for r in csv.DictReader(f):
            boxes.setdefault(r["name"], []).append([float(r[k]) for k in ("x1", "y1", "x2", "y2", "class")])
    out = []
    with (folder / "samples.csv").open(newline="") as f:
        for s in csv.DictReader(f):
            own = boxes.get(s["name"]) or boxes.get(Path(s["name"]).name) or boxes.get(s["index"]) or []
            out.append(np.array(own, np.float32).reshape(-1, 5))
    if not any(map(len, out)):
        sys.exit(f"{file} has no box of any sample: its names are {list(boxes)[:3]}")
    return out


def map50(boxes: list[np.ndarray], truth: list[np.ndarray]) -> float:
    """Return the mean over classes of average precision at IoU 0.5, the area under the curve of precision (VOC 2010)."""
    precisions = []
    for c in sorted({int(t[4]) for own in truth for t in own}):
        true = [own[own[:, 4] == c] for own in truth]
        free = [np.ones(len(t), bool) for t in true]
        found = sorted(((b[4], i, k) for i, own in enumerate(boxes) for k, b in enumerate(own) if b[5] == c), key=lambda x: -x[0])
        hits = np.zeros(len(found))
        for n, (_, i, k) in enumerate(found):
            if len(true[i]) == 0:
                continue
            overlap = iou(boxes[i][k], true[i])
            best = int(np.argmax(overlap))
            if overlap[best] >= 0.5 and free[i][best]:
                free[i][best] = False
                hits[n] = 1
        precisions.append(average_precision(hits, sum(map(len, true))))
    return float(np.mean(precisions))


def average_precision(hits: np.ndarray, total: int) -> float:
    """Return the area under the curve of precision; hits are in the order of scores, total is how many boxes are true."""
    right = np.cumsum(hits)
    recall = np.concatenate([[0], right / total])
    precision = np.concatenate([[0], right / np.arange(1, len(hits) + 1)])
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(np.diff(recall) * precision[1:]))


if __name__ == "__main__":
    main()
