#!/bin/bash
# Makes the result of the shards that slurm-shards.sh computed.
#
#SBATCH --job-name=narrow-merge
#SBATCH --cpus-per-task=4
#SBATCH --mem=8G
set -euo pipefail
exec narrow calib --model net.onnx --config-file strategy.json --from-shards "shards/*.shard" --output-dir quantize_result
