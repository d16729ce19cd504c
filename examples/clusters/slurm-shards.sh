#!/bin/bash
# Calibrates on 8 shards of the samples, in the folder where it is submitted:
#
#   mkdir -p shards
#   job=$(sbatch --parsable slurm-shards.sh)
#   sbatch --dependency="afterok:$job" slurm-merge.sh
#
#SBATCH --job-name=narrow-shards
#SBATCH --array=1-8
#SBATCH --cpus-per-task=4
#SBATCH --mem=4G
#SBATCH --requeue
set -euo pipefail
exec narrow calib --model net.onnx --config-file strategy.json --data samples.npy --propagate float \
  --shard "$SLURM_ARRAY_TASK_ID/$SLURM_ARRAY_TASK_COUNT" --save-shard "shards/$SLURM_ARRAY_TASK_ID.shard" \
  --threads "$SLURM_CPUS_PER_TASK"
