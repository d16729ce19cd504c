"""What calibrating and testing through forward calls costs next to the command and the engine.

    python3 python/tools/bench.py [N]

ResNet-18 with weights by chance, batches of 32. Times are processor seconds of all processes, in N alternations: a ratio
in one run says more than a time.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np
import torch
import torchvision

from narrow._client import array
from narrow._find import binary
from narrow.torch import torch_quantizer


def seconds() -> float:
    """Return the processor time of this process and of its children that have ended."""
    own, others = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime


def main() -> None:
    """Print the ratios."""
    n = int(sys.argv[1]) if len(sys.argv) > 1 else 3
    os.environ["NARROW_ACCURACY"] = "guide"  # the way that takes least
    os.chdir(tempfile.mkdtemp(prefix="narrow-bench-"))
    torch.manual_seed(0)
    model = torchvision.models.resnet18().eval()
    batches = [torch.rand(32, 3, 224, 224) for _ in range(2)]
    np.save("x.npy", torch.cat(batches).numpy())
    ratios = []
    for i in range(n):
        q = torch_quantizer("calib", model, (batches[0][:1],))
        if i == 0:
            q.quant_model(batches[0][:1])
        q._client.close()
        start = seconds()
        with torch.no_grad():
            for x in batches:
                model(x)
        forward = seconds() - start
        q = torch_quantizer("calib", model, (batches[0][:1],))
        start = seconds()
        for x in batches:
            q.quant_model(x)
        q.export_quant_config()
        q._client.close()
        through = seconds() - start - forward
        start = seconds()
        subprocess.run(
            [binary(), "calib", "--model", "quantize_result/ResNet.onnx", "--data", "x.npy", "--batch-size", "32", "-o", "theirs"],
            check=True,
            capture_output=True,
        )
        command = seconds() - start
        ratios.append(through / command)
        print(
            f"calib: {through:.2f} s besides the module's own forward ({forward:.2f} s), the command {command:.2f} s: {ratios[-1]:.3f}",
            flush=True,
        )
    print(f"calib, median: {np.median(ratios):.3f}")
    t = torch_quantizer("test", model, (batches[0][:1],))
    t.quant_model(batches[0])
    client, tensors = t._client, [array("x", batches[0].numpy())]
    rows = []
    for _ in range(4 * n):
        # The engine's time and the call's are of one run: the request is made by hand, once more through the module.
        start = time.perf_counter()
        result, _ = client.request("run", {"session": t._session}, tensors)
        whole, engine = time.perf_counter() - start, result["seconds"]
        rows.append((engine, whole - engine))
    engine, more = np.median([r[0] for r in rows]), np.median([r[1] for r in rows])
    print(f"test: the engine {1000 * engine:.0f} ms for a batch, the call {1000 * more:.1f} ms more: {1 + more / engine:.3f}")


if __name__ == "__main__":
    main()
