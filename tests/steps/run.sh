#!/bin/sh
# run.sh SVIC ALLOCATIONS.so SYSCALLS MODEL: a step of training allocates nothing and calls nothing of the system: as many allocations
# for 40 steps as for 140, and as many system calls but for a few.
set -eu
svic=$1 allocations=$2 syscalls=$3 model=$4
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
awk 'BEGIN { srand(1); for (j = 0; j < 20; j++) printf "x[%d]%s", j, j < 19 ? "," : "\n"
  for (i = 0; i < 130; i++) for (j = 0; j < 20; j++) printf "%d%s", rand() < 0.3, j < 19 ? "," : "\n" }' > d.csv
"$svic" "$model" -o m
allocated() { ALLOCATIONS=n LD_PRELOAD=$allocations ./m time --data d.csv --threads "$1" --steps "$2" --quiet >/dev/null; cat n; }
called() { "$syscalls" ./m time --data d.csv --threads 1 --steps "$1" --quiet | tail -n 1; }
failed=0
for threads in 1 2; do
  few=$(allocated $threads 40) many=$(allocated $threads 140)
  echo "allocations, $threads threads: $few in 40 steps, $many in 140"
  [ "$few" = "$many" ] || failed=1
done
if few=$(called 40); then
  many=$(called 140)
  echo "system calls: $few in 40 steps, $many in 140"
  [ $((many - few)) -lt 20 ] || failed=1                  # one in each step would be a hundred; the loader and libc have one more now and then
else
  echo "processes may not be traced here"
fi
exit $failed
