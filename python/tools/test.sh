#!/usr/bin/env bash
# Runs the Python package's checks and tests. TORCH=pypi takes the newest torch from PyPI (several GB) instead of the
# system's; PYTHON is the interpreter to build the environment from. The tests of narrow.ray are skipped where there is no
# Ray for this Python and platform, unless RAY=required.
set -euo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-/usr/bin/python3}
if [ "${TORCH:-}" = pypi ]; then
  env=../bin/venv-torch
  [ -d "$env" ] || "$python" -m venv "$env"
  "$env/bin/pip" install --quiet torch torchvision onnx onnxscript transformers pytest tqdm pyyaml 'ruff==0.17.6' 'mypy==2.4.1' setuptools
else
  "$python" -c 'import torch, torchvision' 2>/dev/null || {
    echo "torch and torchvision are missing: apt-get install python3-torch python3-torchvision, or make test-python TORCH=pypi" >&2
    exit 1
  }
  env=../bin/venv-python
  [ -d "$env" ] || "$python" -m venv --system-site-packages "$env"
  # The newest transformers that takes torch 1.13; tqdm for its bars.
  "$env/bin/pip" install --quiet 'transformers==4.30.2' 'pytest>=7' tqdm pyyaml 'ruff==0.17.6' 'mypy==2.4.1' setuptools
fi
"$env/bin/pip" install --quiet 'ray==2.60.0' || {
  echo "Ray could not be installed" >&2
  [ "${RAY:-}" != required ] || exit 1
}
export NARROW_TEST_RAY=${RAY:-}
"$env/bin/python" -m ruff check .
"$env/bin/python" -m ruff format --check .
"$env/bin/python" -m mypy src/narrow
"$env/bin/python" -c 'import sys, torch; print("Python", sys.version.split()[0], "torch", torch.__version__)'
NARROW_BIN="${NARROW_BIN:-$(cd .. && pwd)/bin/narrow}" PYTHONPATH="$PWD/src" "$env/bin/python" -m pytest -q "$@"
