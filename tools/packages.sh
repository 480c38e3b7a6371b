#!/usr/bin/env bash
# tools/packages.sh [EXTRA...]: installs the Debian packages that building svic needs (and EXTRA), if any is missing.
set -euo pipefail
wanted="gcc libc6-dev cmake ninja-build pkg-config re2c bison llvm-19-dev clang-19 libclang-rt-19-dev check
        libopenblas-pthread-dev zlib1g-dev libpng-dev libcjson-dev $*"
missing=""
for p in $wanted; do
  [ "$p" = npm ] && command -v npm >/dev/null && continue        # however it was installed
  dpkg-query -W -f='${Status}' "$p" 2>/dev/null | grep -q "ok installed" || missing="$missing $p"
done
[ -z "$missing" ] && exit 0
echo "== installing:$missing"
run=""
[ "$(id -u)" = 0 ] || run="sudo"
export DEBIAN_FRONTEND=noninteractive
$run apt-get update -qq
$run apt-get install -y -qq --no-install-recommends $missing >/dev/null
