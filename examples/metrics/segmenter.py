#!/usr/bin/env python3
"""A segmentation's mean intersection over union, for narrow's --metric.

    narrow test ... --labels masks.npy --metric "python3 examples/metrics/segmenter.py"

The output is [N, classes, ...]; labels are a class for each position, of the shape [N, ...], and labels that are no class (such
as 255) do not count. Without labels the float network's classes take their place. Needs numpy alone. `--metric iou` tells the
same without a program; this is the one to change.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np


def main() -> None:
    """Read the command line and print the figures."""
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder", type=Path, help="what narrow gives: one .npy an output, samples.csv, outputs.json")
    p.add_argument("--output", help="name of the output (default: the first one)")
    p.add_argument("--axis", type=int, default=1, help="axis of the classes")
    a = p.parse_args()

    scores = load(a.folder, a.output)
    if (a.folder / "labels.npy").exists():
        labels = np.load(a.folder / "labels.npy", mmap_mode="r")
        truth = iter(labels)
    elif (a.folder / "float").exists():
        truth = (x.argmax(a.axis - 1) for x in load(a.folder / "float", a.output))
    else:  # the float network compared with itself
        json.dump({"miou": 1.0}, sys.stdout)
        return
    classes = scores.shape[a.axis]
    confusion = np.zeros((classes, classes), np.int64)
    for x, t in zip(scores, truth):
        got, t = x.argmax(a.axis - 1).ravel(), np.asarray(t).ravel()
        valid = (t >= 0) & (t < classes)
        confusion += np.bincount(t[valid] * classes + got[valid], minlength=classes * classes).reshape(classes, classes)
    both = np.diag(confusion)
    either = confusion.sum(0) + confusion.sum(1) - both
    seen = either > 0
    json.dump({"miou": float((both[seen] / either[seen]).mean()), "accuracy": float(both.sum() / confusion.sum())}, sys.stdout)


def load(folder: Path, name: str | None) -> np.ndarray:
    """Return an output for all samples."""
    outputs = json.loads((folder / "outputs.json").read_text())
    output = next((o for o in outputs if name in (None, o["name"])), None)
    if output is None:
        sys.exit(f"there is no output {name!r}: there are {[o['name'] for o in outputs]}")
    return np.load(folder / output["file"], mmap_mode="r")


if __name__ == "__main__":
    main()
