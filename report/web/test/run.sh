#!/usr/bin/env bash
# Checks that the page in report/assets is what its source builds, makes pages,
# and has a browser click through them: see make test-report. Arguments go to
# browser.mjs.
set -euo pipefail
cd "$(dirname "$0")/../../.."
root=$PWD pages=$PWD/bin/report
mkdir -p "$pages"

cd "$root/report/web"
npm ci --silent --ignore-scripts
npm run --silent check
node build.mjs --check

cd "$root"
data=$(${GO:-go} run ./tools/setup data)
NARROW_ORT_LIB=${NARROW_ORT_LIB:-$(${GO:-go} run ./tools/setup ort)}
export NARROW_ORT_LIB
${GO:-go} test ./report -count=1 -run '^TestPages$' -pages "$pages"
cd report/web/test # so that the page names the strategy file without a path of this machine
${GO:-go} run ../../../cmd/narrow run --model ../../../models/fashion_dscnn.onnx --preprocess unit \
  --data "$data/train-images-idx3-ubyte.gz" --subset-len 200 \
  --test-data "$data/t10k-images-idx3-ubyte.gz" --test-labels "$data/t10k-labels-idx1-ubyte.gz" \
  --config-file strategy.json -o "$pages/run"
cp "$pages/run/report.html" "$pages/real.html"
demo=../../../tools/demo/strategies
${GO:-go} run ../../../cmd/narrow compare ../../../examples/configs/int_config.json $demo/int8_per_channel.json $demo/int4_weights.json \
  ../../../examples/configs/dpu_config.json ../../../examples/configs/mix_precision_config.json --model ../../../models/fashion_dscnn.onnx \
  --preprocess unit --data "$data/train-images-idx3-ubyte.gz" --subset-len 200 --test-data "$data/t10k-images-idx3-ubyte.gz" \
  --test-labels "$data/t10k-labels-idx1-ubyte.gz" --html "$pages/real-comparison.html" >/dev/null
${GO:-go} run ../../../cmd/narrow search --model ../../../models/fashion_dscnn.onnx --preprocess unit --data "$data/t10k-images-idx3-ubyte.gz" \
  --labels "$data/t10k-labels-idx1-ubyte.gz" --test-skip 8000 --search-samples 600 --target CPU --accuracy guide -o "$pages/searched.json" --restart --force \
  --html "$pages/real-search.html" >/dev/null 2>&1
node browser.mjs "$pages" "$@"
