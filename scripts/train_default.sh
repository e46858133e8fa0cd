#!/usr/bin/env bash
# Makes the adapter of the model in the box, start to finish: corpus, training, scores, card.
#
# usage: scripts/train_default.sh [DIRECTORY]        (default: build/training)
#
# Start it again after any interruption: every stage goes on where it was. Needs the extra "train". Settings by
# environment: STEPS (2000), THREADS (all cores), HOLES (200), PYTHON (python3).
set -euo pipefail

cd "$(dirname "$0")/.."
directory=${1:-build/training}
python=${PYTHON:-python3}
threads=()
if [[ -n "${THREADS:-}" ]]; then
  threads=(--threads "$THREADS")
fi
command=("$python" -m completion_server)
base=smollm2-135m-base
run="$directory/default"

mkdir -p "$directory"
"${command[@]}" models pull "$base"
if [[ ! -f "$directory/corpus-default/manifest.json" ]]; then
  "${command[@]}" train corpus default "$directory/corpus-default"
fi
"${command[@]}" train adapt --corpus "$directory/corpus-default" --run "$run" --model "$base" \
  --steps "${STEPS:-2000}" "${threads[@]}"
"${command[@]}" train export --run "$run" --model "$base" --out "$run/model"
"${command[@]}" evaluate --corpus "$directory/corpus-default" --model "$base" --model "$run/model" \
  --holes "${HOLES:-200}" --out "$run/scores.json"
"${command[@]}" train export --run "$run" --out completion_server/adapters/smollm2-135m-fim --adapter-only
