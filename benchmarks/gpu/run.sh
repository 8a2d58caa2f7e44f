#!/usr/bin/env bash
# Runs whatever GPU measurements are still missing and writes their JSON to benchmarks/results/gpu, in pieces that can be
# stopped at any moment: what is there is not measured again. Give a folder as argument to have the JSON copied there too.
#
#   IMAGENETTE=path/to/imagenette224 CLIPART=path/to/clipart benchmarks/gpu/run.sh [FOLDER]
#
# Needs Python with thumbnet, thumbnet[samples,pruning] and the dev group installed, and a CUDA device. The study's runs
# are kept in runs/gpu and go on where they were stopped; it is left out on Imagenette and on drawings, which
# benchmarks/clipart_pictures.py makes, where these are not there.
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

# All recipes of the study over the defaults of `thumbnet train`: fresh views in every step, the teacher asked about each, and
# the learning rate, crop share and weights of losses that a user gets. Transfer, formats and naturalness have scripts of
# their own in benchmarks.
study() { # NAME, then flags of thumbnet compare
    name=$1
    shift
    [ ! -e "$results/study_$name.json" ] || return 0
    "$python" -m thumbnet compare recipes/study/*.yaml --base "recipes/$name/defaults.yaml" --seeds 0,1,2 \
        --ours 'thumbnet*' --bounds 'all_information*' --output "runs/gpu/$name" "$@"
    "$python" benchmarks/keep_study.py "runs/gpu/$name" "$name" --results "$results"
}
study elpv --teacher-recipe recipes/elpv/teacher.yaml
imagenette=${IMAGENETTE:-imagenette224}
if [ -d "$imagenette" ]; then study imagenette --data "$imagenette"; fi
clipart=${CLIPART:-clipart}
if [ -d "$clipart" ]; then study clipart --data "$clipart" --teacher-recipe recipes/clipart/teacher.yaml; fi

bundle=runs/gpu/elpv/thumbnet-seed0
if [ -d "$bundle" ] && [ ! -e "$results/downscaler_floor_gpu.json" ]; then
    "$python" benchmarks/downscaler_floor.py --bundle "$bundle" --device cuda --results "$results"
fi

[ -z "${1:-}" ] || cp "$results"/*.json "$1"/
