import inspect
import json
import os
import runpy
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from conftest import MODEL, ROOT, narrow_command

import narrow

if os.environ.get("NARROW_TEST_RAY") != "required":
    pytest.importorskip("ray", reason="Ray is not installed: pip install ray")
import ray  # noqa: E402

import narrow.ray  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def _cluster():
    """Begin a cluster of three workers on this machine."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    ray.init(num_cpus=3, object_store_memory=80 << 20, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    yield
    ray.shutdown()


def test_takes_what_calibrate_takes():
    own = set(inspect.signature(narrow.calibrate).parameters) - {"propagate"}  # it is always float
    assert own <= set(inspect.signature(narrow.ray.calibrate).parameters)


class Killer(threading.Thread):
    """Kill the worker that runs a shard, once it does."""

    def __init__(self, shard):
        super().__init__(daemon=True)
        self.shard = shard.encode()
        self.killed = 0
        self.over = False

    def run(self):
        while not self.killed and not self.over:
            for name in filter(str.isdigit, os.listdir("/proc")):
                try:
                    process = Path("/proc", name)
                    if self.shard not in (process / "cmdline").read_bytes().split(b"\0"):
                        continue
                    parent = int((process / "stat").read_text().rsplit(")", 1)[1].split()[1])
                    if b"ray::" in Path(f"/proc/{parent}/cmdline").read_bytes():
                        os.kill(parent, signal.SIGKILL)
                        self.killed = parent
                        return
                except (OSError, ValueError):
                    continue  # it has ended
            time.sleep(0.002)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over = True
        self.join()


def same(one, other):
    for name in ("quant_info.json", "bias_corr.json", "ties.json"):
        assert Path(one, name).read_bytes() == Path(other, name).read_bytes(), name


def test_a_calibration_is_that_of_one_process_though_a_worker_dies(tmp_path):
    np.save("x.npy", np.random.default_rng(2).random((200, 1, 28, 28), dtype=np.float32))
    config = ROOT / "examples" / "configs" / "int_config.json"
    whole = ["--model", MODEL, "--data", "x.npy", "--config-file", config, "--propagate", "float", "--accuracy", "guide"]
    narrow_command("calib", *whole, "-o", "whole")
    with Killer("--shard=2/6") as killer:
        done = narrow.ray.calibrate(MODEL, "x.npy", config, shards=6, accuracy="guide", output_dir="parts")
    assert killer.killed
    same("parts", "whole")
    assert (done.samples, done.propagate) == (200, "float")
    with done.session() as session:
        assert session.run(np.load("x.npy")[:4])[0].shape == (4, 10)


def test_samples_need_not_lie_where_the_workers_are(pictures):
    strategy = (ROOT / "examples" / "configs" / "dpu_config.json").read_text()
    narrow.calibrate(MODEL, pictures, strategy, propagate="float", output_dir="whole")
    narrow.ray.calibrate(MODEL, [pictures[:25], pictures[25:]], strategy, output_dir="parts")
    same("parts", "whole")


def deadly(folder, times=1):
    """Return a metric that kills the worker which calls it, so often in all."""
    driver = os.getpid()

    def metric(outputs, first):
        if os.getpid() != driver and len(os.listdir(folder)) < times:
            Path(folder, str(os.getpid())).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return (outputs[0].argmax(axis=1) == np.arange(first, first + len(outputs[0])) % 10).astype(float)

    return metric


def test_a_search_is_that_of_one_process_though_a_worker_dies(tmp_path, pictures):
    calibration, test = pictures[:8], np.random.default_rng(1).random((24, 1, 28, 28), dtype=np.float32)
    dead = tmp_path / "dead"
    dead.mkdir()
    how = {"max_drop": 0.3, "seed": 3, "propagate": "float", "batch_size": 8}
    want = narrow.search(MODEL, calibration, test, metric=deadly(dead), **how)
    got = narrow.ray.search(MODEL, calibration, test, metric=deadly(dead), output="found.json", **how)
    assert len(os.listdir(dead)) == 1
    assert got == want
    assert len(got.trials) > 5
    assert Path("found.json").read_text() == want.strategy


def test_scores_are_those_of_one_process_though_a_worker_dies(tmp_path, pictures):
    done = narrow.calibrate(MODEL, pictures)
    dead = tmp_path / "dead"
    dead.mkdir()

    def metric(outputs, first):
        return outputs[0].max(axis=1) / 3

    def fatal(outputs, first):
        """Kill the narrow process of the worker, once."""
        if not os.path.exists(dead / "narrow"):
            (dead / "narrow").touch()
            for child in Path(f"/proc/{os.getpid()}/task/{os.getpid()}/children").read_text().split():
                os.kill(int(child), signal.SIGKILL)
        return metric(outputs, first)

    with done.session() as session:
        want = narrow.evaluate(session, pictures, metric, batch_size=7)
    assert narrow.ray.evaluate(done, pictures, fatal, batch_size=7, workers=1) == want
    (dead / "narrow").unlink()
    with narrow.Session(MODEL) as session:
        want = narrow.evaluate(session, pictures, deadly(dead), batch_size=4)
    batches = (pictures[i : i + 4] for i in range(0, 40, 4))
    assert narrow.ray.evaluate(MODEL, batches, deadly(dead), workers=2) == want
    assert len(os.listdir(dead)) == 1


def test_a_test_is_that_of_one_process_though_a_worker_dies(pictures):
    narrow.calibrate(MODEL, pictures, output_dir="result")
    np.save("x.npy", pictures)
    labels = np.arange(len(pictures)) % 10
    np.save("y.npy", labels)
    one = narrow_command("test", "--json", "--model", MODEL, "--data", "x.npy", "--labels", "y.npy", "-o", "result")
    want = {k: v for k, v in json.loads(one).items() if "seconds" not in k}
    with Killer("--shard=2/3") as killer:
        got = narrow.ray.test("result", "x.npy", labels="y.npy", shards=3)
    assert killer.killed
    assert {k: v for k, v in got.items() if "seconds" not in k} == want
    got = narrow.ray.test("result", pictures, labels=labels, model=MODEL)
    assert {k: v for k, v in got.items() if "seconds" not in k} == want


def test_the_example(monkeypatch, capsys, pictures):
    np.save("images.npy", pictures[:32])
    with narrow.Session(MODEL) as session:
        np.save("labels.npy", session.run(pictures[:32])[0].argmax(axis=1))
    monkeypatch.setattr(sys, "argv", ["ray_cluster.py", str(MODEL), "images.npy", "labels.npy"])
    runpy.run_path(str(ROOT / "examples" / "python" / "ray_cluster.py"), run_name="__main__")
    assert "in float 1.0000" in capsys.readouterr().out
    # The rules of a search may be for several layers each, which lint notes.
    assert [f for f in narrow.lint("strategy.json", MODEL) if f.severity != "note"] == []


def test_failures_are_narrows_own(tmp_path, pictures):
    with pytest.raises(narrow.StrategyError, match="bit_witdh"):
        narrow.ray.calibrate(MODEL, pictures, '{"overall_quantize_config": {"bit_witdh": 8}}', output_dir="none")
    with pytest.raises(narrow.NarrowError, match=r"calib: shard \d of 3, on .*missing"):
        narrow.ray.calibrate(MODEL, "missing", output_dir="none")
    assert not os.path.exists("none")
    done = narrow.calibrate(MODEL, pictures)

    def broken(outputs, first):
        raise ZeroDivisionError(f"at {first}")

    def few(outputs, first):
        return [1, 2]

    with pytest.raises(ZeroDivisionError, match=r"at \d+"):
        narrow.ray.evaluate(done, pictures, broken)
    with pytest.raises(narrow.UsageError, match=r"fashion_dscnn.onnx: samples from \d+ on, on .*2 scores for \d+ samples"):
        narrow.ray.evaluate(done, pictures, few)

    def elsewhere(outputs, first):
        """Make as if the worker computed other last bits, once it has scored."""
        for network in narrow.ray._held.values():
            network.canary = f"other {first}"
        return 1

    with pytest.raises(narrow.NarrowError, match=r"the first batch gives other values on .+ \(.+\) than on .+: processors of"):
        narrow.ray.evaluate(done, pictures, elsewhere)
    with pytest.raises(narrow.UsageError, match="there are no samples"):
        narrow.ray.evaluate(done, [], few)
    dead = tmp_path / "dead"
    dead.mkdir()
    with pytest.raises(narrow.ChildError, match="as often as Ray began it again"):
        narrow.ray.evaluate(done, pictures, deadly(dead, 100), max_retries=1, workers=1)
    with pytest.raises(TypeError, match="call test"):
        narrow.ray.evaluate(done, "samples.npy", few)


@pytest.mark.parametrize("name", ["calibrate", "evaluate", "search"])
def test_arguments_are_those_of_one_machine(name: str) -> None:
    """What a call takes here and in narrow has one meaning: the same default and type."""
    there, here = inspect.signature(getattr(narrow, name)).parameters, inspect.signature(getattr(narrow.ray, name)).parameters
    shared = [p for p in there if p in here]
    assert set(there) - set(here) <= {"session", "propagate"}  # a session does not travel; shards propagate float
    for p in shared:
        assert (here[p].default, here[p].annotation, here[p].kind) == (there[p].default, there[p].annotation, there[p].kind), p
