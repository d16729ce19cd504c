"""The files of examples/clusters, run shard by shard as the cluster would."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from conftest import MODEL, ROOT, narrow_command

yaml = pytest.importorskip("yaml", reason="PyYAML is not installed")
CLUSTERS = ROOT / "examples" / "clusters"
RESULTS = ("quant_info.json", "bias_corr.json", "ties.json")


@pytest.fixture
def work(tmp_path, pictures, monkeypatch):
    """Make the folder that the files work in, and the result of one run over all samples in it."""
    from narrow._find import binary

    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "narrow").symlink_to(binary())
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=os.pathsep)
    work = tmp_path / "work"
    (work / "shards").mkdir(parents=True)
    monkeypatch.chdir(work)
    shutil.copy(MODEL, "net.onnx")
    shutil.copy(ROOT / "examples" / "configs" / "int_config.json", "strategy.json")
    np.save("samples.npy", np.concatenate([pictures, pictures[::-1] / 2]))
    narrow_command(
        "calib", "--model", "net.onnx", "--config-file", "strategy.json", "--data", "samples.npy", "--propagate", "float", "-o", "whole"
    )
    return work


def same_as_whole():
    for name in RESULTS:
        assert Path("quantize_result", name).read_bytes() == Path("whole", name).read_bytes(), name


def job(name):
    """Return the one container of a Job, the Job's own settings, and its volumes."""
    (manifest,) = yaml.safe_load_all((CLUSTERS / name).read_text())
    assert (manifest["apiVersion"], manifest["kind"]) == ("batch/v1", "Job")
    pod = manifest["spec"]["template"]["spec"]
    assert pod["restartPolicy"] in ("Never", "OnFailure")
    (container,) = pod["containers"]
    assert {m["name"] for m in container["volumeMounts"]} == {v["name"] for v in pod["volumes"]}
    # Runs in the mounted folder, by nothing but relative paths.
    assert container["workingDir"] == container["volumeMounts"][0]["mountPath"]
    return manifest["spec"], container


def test_kubernetes(work):
    spec, container = job("kubernetes-shards.yaml")
    assert spec["completionMode"] == "Indexed"
    n = spec["completions"]
    assert f'))/{n}"' in container["args"][0]
    assert int(container["resources"]["limits"]["cpu"]) == int(re.search(r"--threads (\d+)", container["args"][0])[1])
    # In any order, and one of them twice, as where a pod was taken for dead.
    for index in [*range(n - 1, -1, -1), 2]:
        subprocess.run([*container["command"], *container["args"]], check=True, env={**os.environ, "JOB_COMPLETION_INDEX": str(index)})
    spec, container = job("kubernetes-merge.yaml")
    subprocess.run([*container["command"], *container["args"]], check=True)
    same_as_whole()


def test_slurm(work):
    script = CLUSTERS / "slurm-shards.sh"
    options = dict(re.findall(r"^#SBATCH --([a-z-]+)=(\S+)$", script.read_text(), re.M))
    first, last = map(int, options["array"].split("-"))
    assert first == 1
    for task in range(last, 0, -1):
        env = {
            "SLURM_ARRAY_TASK_ID": str(task),
            "SLURM_ARRAY_TASK_COUNT": str(last),
            "SLURM_CPUS_PER_TASK": options["cpus-per-task"],
        }
        subprocess.run(["bash", script], check=True, env={**os.environ, **env})
    subprocess.run(["bash", CLUSTERS / "slurm-merge.sh"], check=True)
    same_as_whole()
