import os
import signal
from pathlib import Path

import numpy as np
import pytest
from conftest import MODEL

import narrow

if os.environ.get("NARROW_TEST_RAY") != "required":
    pytest.importorskip("ray", reason="Ray is not installed: pip install ray")
import ray  # noqa: E402

import narrow.ray  # noqa: E402


@pytest.fixture(scope="module", autouse=True)
def _cluster():
    """Begin a cluster of three workers on this machine."""
    ray.init(num_cpus=3, object_store_memory=80 << 20, include_dashboard=False, logging_level="ERROR", log_to_driver=False)
    yield
    ray.shutdown()


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

    with done.session() as session:
        want = narrow.evaluate(session, pictures, metric, batch_size=7)
    assert narrow.ray.evaluate(done, pictures, metric, batch_size=7) == want
    with narrow.Session(MODEL) as session:
        want = narrow.evaluate(session, pictures, deadly(dead), batch_size=4)
    batches = (pictures[i : i + 4] for i in range(0, 40, 4))
    assert narrow.ray.evaluate(MODEL, batches, deadly(dead), workers=2) == want
    assert len(os.listdir(dead)) == 1


def test_failures_are_narrows_own(tmp_path, pictures):
    done = narrow.calibrate(MODEL, pictures)

    def broken(outputs, first):
        raise ZeroDivisionError(f"at {first}")

    def few(outputs, first):
        return [1, 2]

    with pytest.raises(ZeroDivisionError, match=r"at \d+"):
        narrow.ray.evaluate(done, pictures, broken)
    with pytest.raises(narrow.UsageError, match=r"fashion_dscnn.onnx: samples from \d+ on, on .*2 scores for 16 samples"):
        narrow.ray.evaluate(done, pictures, few)
    with pytest.raises(narrow.UsageError, match="there are no samples"):
        narrow.ray.evaluate(done, [], few)
    dead = tmp_path / "dead"
    dead.mkdir()
    with pytest.raises(narrow.ChildError, match="as often as Ray began it again"):
        narrow.ray.evaluate(done, pictures, deadly(dead, 100), max_retries=1, workers=1)
    with pytest.raises(TypeError, match="call test"):
        narrow.ray.evaluate(done, "samples.npy", few)
