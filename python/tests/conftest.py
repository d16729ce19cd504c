import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "models" / "fashion_dscnn.onnx"


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("NARROW_ACCURACY", raising=False)


@pytest.fixture
def pictures():
    return np.random.default_rng(0).random((40, 1, 28, 28), dtype=np.float32)


def narrow_command(*args):
    from narrow._find import binary

    done = subprocess.run([binary(), *map(str, args)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def python(script, *args, check=True, **env):
    """Run a script in a Python of its own."""
    path = os.pathsep.join(p for p in (str(ROOT / "python" / "src"), os.environ.get("PYTHONPATH")) if p)
    done = subprocess.run(
        [sys.executable, *map(str, script if isinstance(script, list) else [script]), *map(str, args)],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "PYTHONPATH": path, **env},
    )
    assert not check or done.returncode == 0, done.stdout + done.stderr
    return done
