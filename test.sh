#!/usr/bin/env bash
# Everything that is tested, from a bare clone on Debian 12: installs what is needed, builds twice (plain in build/, with address
# and undefined-behaviour sanitizers in build-asan/), runs CTest in both.  About a quarter of an hour on two cores.
#
#     ./test.sh           all of it
#     ./test.sh quick     the plain build and its tests of a few seconds
#     JOBS=8 ./test.sh    so many at a time (default: the processors there are)
set -uo pipefail
cd "$(dirname "$0")" || exit 2
jobs=${JOBS:-$(nproc)}
log=$(mktemp) || exit 2
trap 'rm -f "$log"' EXIT
failed=0

step() { printf '== %s\n' "$*"; }
loudly() {                              # loudly COMMAND...: what it says is shown only when it fails
  "$@" >"$log" 2>&1 && return 0
  tail -n 60 "$log"
  echo "FAILED: $*"
  exit 1
}
build() {                               # build FOLDER OPTION...
  folder=$1; shift
  step "building $folder"
  loudly cmake -S . -B "$folder" -G Ninja "$@"
  loudly ninja -C "$folder" -j "$jobs"
}
run() {                                 # run FOLDER CTEST-OPTION...
  folder=$1; shift
  step "testing $folder"
  ctest --test-dir "$folder" -j "$jobs" --output-on-failure "$@" >"$log" 2>&1
  status=$?
  grep -E '^ *[0-9]+/[0-9]+ Test|tests passed' "$log"
  [ $status -eq 0 ] && return
  failed=1
  echo "---- what the failed tests said"
  sed -n '/\*\*\*/,$p' "$log" | head -n 400
}

tools/packages.sh || exit 2
start=$SECONDS
build build
if [ "${1:-}" = quick ]; then
  run build -L quick
else
  run build
  # -O1: sanitised code at -O2 takes longer to build than it saves here
  build build-asan -DSVIC_SANITIZE=ON -DSVIC_FUZZ=ON -DCMAKE_BUILD_TYPE=None "-DCMAKE_C_FLAGS=-O1 -g"
  run build-asan -L asan
fi
step "$((SECONDS - start)) seconds, $([ $failed -eq 0 ] && echo 'all passed' || echo 'some FAILED')"
exit $failed
