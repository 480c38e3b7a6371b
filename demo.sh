#!/usr/bin/env bash
# From nothing to digits: installs what is needed, builds svic, fetches MNIST, compiles examples/vae, trains it for a few
# epochs, measures the test bound and draws samples.png.  A few minutes on two cores, most of them for the packages and the build.
set -euo pipefail
cd "$(dirname "$0")"
epochs=${EPOCHS:-20}
out=build/demo

tools/packages.sh npm

echo "== building svic"
cmake -S . -B build -G Ninja -DCMAKE_BUILD_TYPE=RelWithDebInfo >build.log 2>&1 || { cat build.log; exit 1; }
ninja -C build svic svirt >>build.log 2>&1 || { tail -n 40 build.log; exit 1; }
rm -f build.log
mkdir -p "$out"

tools/mnist.sh "$out"

echo "== compiling examples/vae/vae.svm"
build/svic --trace examples/vae/vae.svm -o "$out/vae"

echo "== training for $epochs epochs"
"$out/vae" train --data "$out/mnist-train.npz" --epochs "$epochs" --out "$out/run"

echo "== the bound and the likelihood on 1000 test images (nats; nll by 500 importance samples)"
"$out/vae" eval --data "$out/mnist-test.npz" --params "$out/run/last.safetensors" --rows 1000 --k 500

echo "== pictures"
"$out/vae" sample --params "$out/run/last.safetensors" --count 64 --png samples.png
"$out/vae" reconstruct --params "$out/run/last.safetensors" --data "$out/mnist-test.npz" --count 32 --png reconstructions.png
ls -l samples.png reconstructions.png
