"""Calibrates, evaluates and searches on a Ray cluster; where there is none, Ray begins one on this machine.

    python ray_cluster.py net.onnx images.npy labels.npy
"""

import sys

import narrow.ray
import numpy as np

model, images, labels = sys.argv[1], np.load(sys.argv[2]), np.load(sys.argv[3])
half = len(images) // 2


def right(outputs, first):
    """Score each sample of a batch: 1 where the class is right. It runs on the workers."""
    return outputs[0].argmax(axis=1) == labels[half + first : half + first + len(outputs[0])]


done = narrow.ray.calibrate(model, images[:half])
print(f"{done.tensors} tensors, calibrated on {done.samples} samples")
print(f"score {narrow.ray.evaluate(done, images[half:], right):.4f}, in float {narrow.ray.evaluate(model, images[half:], right):.4f}")
found = narrow.ray.search(model, images[:half], images[half:], metric=right, max_drop=0.05, output="strategy.json")
print(f"found {found.words}: {found.cost:.2%} of float32's cost, score {found.score:.4f}, {len(found.trials)} trials")
