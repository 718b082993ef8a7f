#!/usr/bin/env bash
# Fetches the Fashion-MNIST images (Xiao, Rasul & Vollgraf 2017, MIT licence) from Debian's package dataset-fashion-mnist.
# Usage: scripts/fetch_fashion_mnist.sh DIR. Writes DIR/fashion-mnist/; needs apt-get and dpkg.
set -euo pipefail
[ $# -eq 1 ] || { echo "usage: $0 DIR" >&2; exit 2; }
mkdir -p "$1/fashion-mnist"
target=$(cd "$1/fashion-mnist" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
cd "$work"
apt-get download --quiet=2 dataset-fashion-mnist
dpkg --extract dataset-fashion-mnist_*.deb .
cd usr/share/datasets/fashion-mnist
gunzip -- *.gz
sha256sum --check --quiet <<'SUMS'
c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888  train-images-idx3-ubyte
bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9  train-labels-idx1-ubyte
5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b  t10k-images-idx3-ubyte
0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34  t10k-labels-idx1-ubyte
SUMS
mv -- *-ubyte "$target/"
echo "$target"
