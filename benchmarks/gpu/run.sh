#!/usr/bin/env bash
# Runs whatever GPU measurements are still missing and writes their JSON to benchmarks/results/gpu, in pieces that can be
# stopped at any moment: what is there is not measured again. Give a folder as argument to have the JSON copied there too.
#
#   benchmarks/gpu/run.sh [FOLDER]
#
# Needs Python with thumbnet, thumbnet[samples] and the dev group installed, and a CUDA device.
set -euo pipefail
cd "$(dirname -- "${BASH_SOURCE[0]}")/../.."

python=${PYTHON:-.venv/bin/python}
[ -x "$python" ] || python=python3
results=benchmarks/results/gpu
mkdir -p "$results"
export PYTHONPATH="src${PYTHONPATH:+:$PYTHONPATH}"

"$python" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' || { echo "no CUDA device here" >&2; exit 2; }

"$python" -m pytest -q -m gpu tests
for what in cache loop precision compile; do
    "$python" benchmarks/training_speed.py "$what" --device cuda --results "$results" --pictures 1024 --missing-only
done
[ -z "${1:-}" ] || cp "$results"/*.json "$1"/
