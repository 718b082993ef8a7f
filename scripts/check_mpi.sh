#!/usr/bin/env bash
# Training by several processes: the same bytes with one, two and three, from the library and from the program. Needs an MPI library
# with its headers (libopenmpi-dev), mpirun and libclang; says so and does nothing where they are missing.
set -euo pipefail
cd "$(dirname "$0")/.."
command -v mpirun mpicc >/dev/null || { echo "no MPI here: training by several processes is not checked"; exit 0; }
export CANDLE_NUM_THREADS=1 RAYON_NUM_THREADS=1
cargo test -p spiccato-training --features mpi --test mpi --locked
cargo check -p spiccato-training --features mpi --example processes --locked
cargo build -p spiccato-cli --features mpi --locked
spiccato=${CARGO_TARGET_DIR:-target}/debug/spiccato
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/data"
for format in 192khz 8khz f32 11025hz-stereo; do cp "testdata/formats/$format.wav" "$work/data/"; done
run="train --data $work/data --config docs/training-small.toml --set steps=3 --quiet"
"$spiccato" $run --out "$work/one"
mpirun --allow-run-as-root --oversubscribe -n 2 "$spiccato" $run --out "$work/two"
cmp "$work/one/model.safetensors" "$work/two/model.safetensors"
echo "two processes trained the model of one"
