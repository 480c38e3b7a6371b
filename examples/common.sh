# What the scripts `run` and `check` of the examples share.  They begin with  . "$(dirname "$0")/../common.sh"
#
#     SVIC=FILE    the compiler                [build/svic]
#     OUT=DIR      where `run` puts everything [build/examples/NAME]; a `check` takes a folder of its own and removes it
#
# A training that is done is not repeated, and one that was cut off goes on: a script can be stopped and started again.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
name=$(basename "$here")
svic=${SVIC:-$root/build/svic}
if [ "$(basename "$0")" = check ]; then out=$(mktemp -d); trap 'rm -rf "$out"' EXIT; else out=${OUT:-$root/build/examples/$name}; fi
[ -x "$svic" ] || { echo "there is no compiler $svic: build it (./demo.sh does), or say SVIC=FILE" >&2; exit 2; }
mkdir -p "$out"
out=$(cd "$out" && pwd)

say() { printf '== %s\n' "$*" >&2; }

# mnist: fetches the digits; $train and $test are their files
mnist() {
  "$root/tools/mnist.sh" "$root/build/examples/mnist" >&2
  train=$root/build/examples/mnist/mnist-train.npz test=$root/build/examples/mnist/mnist-test.npz
}

# pictures COUNT SEED FILE: made-up pictures with columns `grey` and `label` (examples/pictures.svm), for checks
pictures() {
  [ -x "$out/pictures" ] || "$svic" "$root/examples/pictures.svm" -o "$out/pictures"
  "$out/pictures" sample --quiet --untrained --count "$1" --seed "$2" --to "$3"
}

# compile MODEL TRAINER [OPTIONS OF SVIC]: examples/NAME/MODEL.svm to $out/TRAINER
compile() { "$svic" "$here/$1.svm" -o "$out/$2" "${@:3}"; }

# fit TRAINER RUN [OPTIONS OF train]: trains in $out/RUN; what goes on does so from where it was, not from --params
fit() {
  local at=$out/$2 how=("${@:3}") i
  if [ -s "$at/last.safetensors" ]; then
    for i in "${!how[@]}"; do [ "${how[i]-}" != --params ] || unset "how[$i]" "how[$((i + 1))]"; done
    how+=(--resume)
  fi
  [ -e "$at/done" ] || { say "$1: training $2"; "$out/$1" train --out "$at" "${how[@]}" >&2; touch "$at/done"; }
}

# seconds RUN: how long its training took
seconds() { sed -n 's/.*"time": \([0-9.]*\).*/\1/p' "$out/$1/metrics.jsonl" | awk '$1 < last { sum += last } { last = $1 } END { printf "%.0f", sum + last }'; }

# report TRAINER RUN NAME [OPTIONS OF eval]: the report's value and standard error, "90.34 0.78"; with --against, those of the difference
report() {
  "$out/$1" eval --quiet --json --params "$out/$2/last.safetensors" --only "$3" "${@:4}" |
    sed 's/.*"minus"//; s/[{}:,"]/ /g' | awk '{ for (i = 1; i < NF; i++) { if ($i == "value") v = $(i + 1); if ($i == "se") s = $(i + 1) } print v, s }'
}

# shown DIGITS VALUE [SE]: "90.34 ± 0.78", with DIGITS digits after the point
shown() { awk -v d="$1" -v v="$2" -v s="${3:-null}" 'BEGIN { printf "%.*f", d, v; if (s != "null") printf " ± %.2g", s }'; }

# apart A B: how far one is from the other
apart() { awk -v a="$1" -v b="$2" 'BEGIN { d = a - b; print d < 0 ? -d : d }'; }

# expect CLAIM LEFT OPERATOR RIGHT: for checks.  To awk a word is 0 and an empty first term leaves a sign: neither is a figure
no_figure='nan|inf|null|(^|[(])[ ]*-[ ]'
expect() {
  if ! [[ "$2" =~ $no_figure || "$4" =~ $no_figure ]] && awk "BEGIN { exit !(($2) $3 ($4)) }" </dev/null; then echo "ok      $1: $2 $3 $4"; else echo "FAILED  $1: not $2 $3 $4"; failed=1; fi
}
failed=0
finish() { exit "$failed"; }

# plot FILE.png <<END ... END: gnuplot's commands for a picture, 640 by 480
plot() {
  command -v gnuplot >/dev/null || { say "no $1: gnuplot is not installed (tools/packages.sh gnuplot-nox)"; cat >/dev/null; return; }
  { echo "set terminal pngcairo size ${size:-640,480} font 'Sans,10'; set output '$1'"; cat; } | gnuplot
}
