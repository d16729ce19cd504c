"""What calibrating on Ray costs next to one process: the table of docs/clusters.md.

    python3 python/tools/ray_bench.py MODEL SAMPLES [N]

Processor seconds of all narrow processes (calibration, shards, merge) and of Ray's own, the largest memory of one narrow
process and that of Ray, for 1, 2 and 4 workers of one thread each and 8 shards, in N alternations.
"""

import json
import os
import stat
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil
import ray

import narrow.ray
from narrow._find import binary

SHARDS = 8
RESULTS = ("quant_info.json", "bias_corr.json", "ties.json")

#: Stands for narrow: runs it, and notes what it took.
WRAPPER = """#!{python}
import json, os, sys, time
if sys.argv[1] == "serve":  # which ends when it is not its caller's child
    os.execv({binary!r}, [{binary!r}, *sys.argv[1:]])
start = time.monotonic()
pid = os.fork()
if pid == 0:
    os.execv({binary!r}, [{binary!r}, *sys.argv[1:]])
_, status, use = os.wait4(pid, 0)
took = {{"what": sys.argv[1], "cpu": use.ru_utime + use.ru_stime, "kb": use.ru_maxrss, "wall": time.monotonic() - start}}
with open({log!r}, "a") as f:
    f.write(json.dumps(took) + "\\n")
sys.exit(os.waitstatus_to_exitcode(status))
"""


def of_ray() -> tuple[float, float]:
    """Return the processor seconds and the memory, in MB, of Ray's processes: not of what they began, nor of this one."""
    cpu = memory = 0.0
    for p in psutil.Process().children(recursive=True):
        try:
            t = p.cpu_times()
            cpu += t.user + t.system
            memory += p.memory_full_info().pss / 1e6
        except psutil.Error:
            continue
    return cpu, memory


def main() -> None:
    """Print the table."""
    model, samples, n = sys.argv[1], os.path.abspath(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 3
    model = os.path.abspath(model)
    os.chdir(tempfile.mkdtemp(prefix="narrow-bench-"))
    log, wrapper = Path("log").absolute(), Path("narrow").absolute()
    wrapper.write_text(WRAPPER.format(python=sys.executable, binary=binary(), log=str(log)))
    wrapper.chmod(wrapper.stat().st_mode | stat.S_IXUSR)
    os.environ["NARROW_BIN"] = str(wrapper)

    def took() -> list[dict]:
        lines = [json.loads(line) for line in log.read_text().splitlines()]
        log.write_text("")
        return lines

    log.write_text("")
    rows: dict[str, list[dict]] = {}
    for _ in range(n):
        args = [
            "calib",
            "--model",
            model,
            "--data",
            samples,
            "--propagate",
            "float",
            "--accuracy",
            "guide",
            "--threads",
            "1",
            "-o",
            "whole",
        ]
        subprocess.run([str(wrapper), *args], check=True, capture_output=True)
        (one,) = took()
        rows.setdefault("one process", []).append(
            {"cpu": one["cpu"], "mb": one["kb"] / 1e3, "wall": one["wall"], "merge": 0, "ray": 0, "raymb": 0}
        )
        for workers in (1, 2, 4):
            ray.init(num_cpus=workers, object_store_memory=200 << 20, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
            before, _ = of_ray()
            start = time.monotonic()
            narrow.ray.calibrate(model, samples, shards=SHARDS, accuracy="guide", output_dir="parts", progress=False)
            wall = time.monotonic() - start
            after, memory = of_ray()
            ray.shutdown()
            for name in RESULTS:
                assert Path("parts", name).read_bytes() == Path("whole", name).read_bytes(), name
            parts = took()
            *shards, merge = parts
            assert len(shards) == SHARDS, parts
            rows.setdefault(f"{workers} workers", []).append(
                {
                    "cpu": sum(p["cpu"] for p in parts),
                    "mb": max(p["kb"] for p in parts) / 1e3,
                    "wall": wall,
                    "merge": merge["cpu"],
                    "ray": after - before,
                    "raymb": memory,
                }
            )
    base = rows["one process"]
    print("| | narrow's processor time | of it the merge | Ray's processor time | wall time | largest narrow process | Ray's processes |")
    print("|---|---|---|---|---|---|---|")
    for name, runs in rows.items():

        def mid(key: str, runs: list[dict] = runs) -> float:
            return statistics.median(r[key] for r in runs)

        ratio = statistics.median(r["cpu"] / b["cpu"] for r, b in zip(runs, base))
        wall = statistics.median(r["wall"] / b["wall"] for r, b in zip(runs, base))
        print(
            f"| {name} | {ratio:.2f} ({mid('cpu'):.1f} s) | {mid('merge'):.1f} s | {mid('ray'):.1f} s | {wall:.2f} | {mid('mb'):.0f} MB | {mid('raymb'):.0f} MB |"
        )


if __name__ == "__main__":
    main()
