#!/usr/bin/env bash
# Makes the adapter of the model in the box, start to finish: corpus, training, scores, card.
#
# usage: scripts/train_default.sh [DIRECTORY]        (default: build/training)
#
# Start it again after any interruption: every stage goes on where it was. Needs the extra "train". Settings by
# environment: STEPS of the four stages (400 345 400 290, about six hours on two cores; a GPU has time for ten times
# as many), THREADS (all cores), HOLES (240), PYTHON (python3).
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
run="$directory/default-4"
read -r -a steps <<< "${STEPS:-400 345 400 290}"
if [[ ${#steps[@]} -ne 4 ]]; then  # not hours later, when the second stage asks for its own
  echo "STEPS: four numbers, one for each stage" >&2
  exit 2
fi
balanced=python=0.27,javascript=0.09,typescript=0.12,tsx=0.03,c=0.07,cpp=0.07,rust=0.08,go=0.08,java=0.08
balanced+=,bash=0.02,markdown=0.04,json=0.02,yaml=0.025,toml=0.005
small_ones_more=python=0.27,javascript=0.07,typescript=0.08,tsx=0.04,c=0.06,cpp=0.07,rust=0.07,go=0.07,java=0.07
small_ones_more+=,bash=0.05,markdown=0.04,json=0.04,yaml=0.05,toml=0.02

mkdir -p "$directory"
"${command[@]}" models pull "$base"
if [[ ! -f "$directory/corpus-default/manifest.json" ]]; then
  "${command[@]}" train corpus default "$directory/corpus-default"
fi
adapt() {  # stage, options
  "${command[@]}" train adapt --corpus "$directory/corpus-default" --run "$directory/default-$1" --model "$base" \
    --steps "${steps[$(($1 - 1))]}" "${threads[@]}" "${@:2}"
}
adapt 1
adapt 2 --from "$directory/default-1" --languages "$balanced" --schedule linear --rate 2e-3 --seed 11 \
  --kinds rest-of-line=0.4,whole-line=0.4,block=0.15,random=0.05
adapt 3 --from "$directory/default-2" --languages "$balanced" --schedule linear --rate 1.2e-3 --seed 12 \
  --kinds rest-of-line=0.4,whole-line=0.3,block=0.2,random=0.1
mean="$directory/default-mean"
if [[ ! -f "$mean/README.md" ]]; then  # the last stage insists on the very adapter that it began with
  "${command[@]}" train export --run "$directory/default-3" --average-with "$directory/default-1" --out "$mean" --adapter-only
fi
adapt 4 --from "$mean" --languages "$small_ones_more" --schedule linear --rate 8e-4 --seed 13 \
  --kinds rest-of-line=0.4,whole-line=0.35,block=0.2,random=0.05
"${command[@]}" train export --run "$run" --model "$base" --out "$run/model"
"${command[@]}" evaluate --corpus "$directory/corpus-default" --model "$base" --model "$run/model" \
  --holes "${HOLES:-240}" --out "$run/scores.json"
"${command[@]}" train export --run "$run" --out completion_server/adapters/smollm2-135m-fim --adapter-only
