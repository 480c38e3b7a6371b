#!/bin/sh
# Every model of the examples compiles, and the manual's tables are those of the compiler: usage: examples.sh SVIC EXAMPLES.
svic=$1
examples=$2
failed=0
for file in "$examples"/*.svm "$examples"/*/*.svm; do
  said=$("$svic" "$file" --emit loops 2>&1 > /dev/null) || { echo "$file no longer compiles"; echo "$said" | head -n 12; failed=1; }
done
"$svic" doc --check || failed=1
exit "$failed"
