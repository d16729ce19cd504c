#!/usr/bin/env bash
# Builds the wheel of the Python package for this platform into ./dist, and checks it: what it holds, and that it
# calibrates and runs a network in an empty environment.
set -euo pipefail
cd "$(dirname "$0")/../.."
python=${PYTHON:-/usr/bin/python3}
go=${GO:-go}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$go" run ./tools/setup
library=$("$go" run ./tools/setup ort)

mkdir -p dist "$work/python"
cp -r python/pyproject.toml python/setup.py python/README.md python/src "$work/python/"
find "$work/python" -name __pycache__ -prune -exec rm -rf {} +
bin=$work/python/src/narrow/_bin
mkdir -p "$bin"
install -m 755 bin/narrow "$bin/narrow"
install -m 644 "$library" "$bin/libonnxruntime.so.1"
cp LICENSE "$bin/LICENSE"
for notice in "$(dirname "$library")"/{LICENSE,ThirdPartyNotices.txt}; do
  [ ! -f "$notice" ] || cp "$notice" "$bin/onnxruntime-$(basename "$notice")"
done
# The version is narrow's, in Python's spelling; a working tree is a development version.
version=$(bin/narrow version --json | "$python" -c '
import json, re, sys
v = json.load(sys.stdin)["version"].lstrip("v")
m = re.match(r"(\d+\.\d+\.\d+)(?:-(.*))?$", v)
print((m[1] + (".dev0" if m[2] else "")) if m else "0.1.0.dev0")')
printf '"""The version of the package: that of the narrow binary that it holds."""\n\n__version__ = "%s"\n' "$version" > "$work/python/src/narrow/_version.py"

"$python" -m venv "$work/build"
"$work/build/bin/pip" install --quiet build 'setuptools>=70.1'
(cd "$work/python" && "$work/build/bin/python" -m build --wheel --no-isolation --outdir "$work/dist" . > "$work/build.log" 2>&1) || { cat "$work/build.log"; exit 1; }
wheel=$(ls "$work"/dist/*.whl)
case "$wheel" in
  *-py3-none-*linux*.whl | *-py3-none-macosx*.whl) ;;
  *) echo "the wheel has the name $(basename "$wheel"): no platform's" >&2; exit 1 ;;
esac
"$work/build/bin/python" - "$wheel" <<'PY'
import sys, zipfile
z = zipfile.ZipFile(sys.argv[1])
names = set(z.namelist())
for n in ("narrow/__init__.py", "narrow/py.typed", "narrow/torch/__init__.py", "narrow/vai/__main__.py", "narrow/_bin/narrow", "narrow/_bin/libonnxruntime.so.1", "narrow/_bin/LICENSE"):
    if n not in names:
        sys.exit(f"the wheel has no {n}")
if not (z.getinfo("narrow/_bin/narrow").external_attr >> 16) & 0o111:
    sys.exit("the program in the wheel cannot be run")
extra = [n for n in names if not n.startswith(("narrow/", "narrow_quantizer-"))]
if extra:
    sys.exit(f"the wheel has files that do not belong there: {extra}")
PY
"$python" -m venv "$work/empty"
env -i HOME="$work" PATH=/usr/bin:/bin "$work/empty/bin/pip" install --quiet "$wheel"
cp models/fashion_dscnn.onnx "$work/net.onnx"
(cd "$work" && env -i HOME="$work" PATH=/usr/bin:/bin "$work/empty/bin/python" - <<'PY'
import numpy as np
import narrow

samples = np.random.default_rng(0).random((32, 1, 28, 28), dtype=np.float32)
done = narrow.calibrate("net.onnx", samples)
with done.session() as session, narrow.Session("net.onnx") as network:
    quantized, expected = session.run(samples[:8])[0], network.run(samples[:8])[0]
assert quantized.shape == expected.shape == (8, 10), quantized.shape
assert 0 < np.abs(quantized - expected).max() < np.abs(expected).max()
print(f"narrow {narrow.__version__}: {done.tensors} tensors calibrated on {done.samples} samples")
PY
)
cp "$wheel" dist/
ls -l "dist/$(basename "$wheel")"
