#!/usr/bin/env bash
# What can only be checked on a machine with an NVIDIA GPU, in one go: parity of the recorded passes, their gain,
# quality against float32, latency, a typing replay. Each bench ends in one JSON line.
#
# usage: scripts/check_gpu.sh [MODEL]        (default: smollm2-135m; PYTHON: python3). Needs the extras dev and bench.
set -euo pipefail

cd "$(dirname "$0")/.."
python=${PYTHON:-python3}
model=${1:-smollm2-135m}
"$python" -c 'import sys, torch; sys.exit(None if torch.cuda.is_available() else "no CUDA device here")'
"$python" -m pytest -q -rs tests/backends
for bench in forward quality latency; do
  "$python" -m completion_server bench "$bench" --model "$model"
done
"$python" -m completion_server bench replay --model "$model"
