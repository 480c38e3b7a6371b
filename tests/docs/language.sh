#!/bin/sh
# The manual holds what it says: usage: language.sh SVIC MANUAL.
#
# Every code block of the manual passes `svic --emit typed`.  A block that begins with `# fragment` is put behind the first
# complete model of the manual, one that begins with `# text` is notation and left out.  The table of built-in functions is
# what `svic doc` prints, and every distribution of the library is named.
svic=$1
manual=$2
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT

awk -v dir="$dir" '
  /^```/ { inside = !inside; if (inside) { n++; file = sprintf("%s/block-%02d.svm", dir, n); printf "" > file } else close(file); next }
  inside { print > file }
  ' "$manual"

base= failed=0 compiled=0
for block in "$dir"/block-*.svm; do
  first=$(head -n 1 "$block")
  case $first in
    "# text"*) continue ;;
    "# fragment"*)
      [ -n "$base" ] || { echo "$block: a fragment before the first model"; failed=1; continue; }
      cat "$base" "$block" > "$dir/whole.svm" ;;
    *) [ -n "$base" ] || base=$block
       cp "$block" "$dir/whole.svm" ;;
  esac
  compiled=$((compiled + 1))
  if ! "$svic" "$dir/whole.svm" --emit typed > /dev/null 2> "$dir/said"; then
    echo "$manual: this block does not compile:"; cat "$block"; cat "$dir/said"; failed=1
  fi
done
[ "$compiled" -ge 10 ] || { echo "only $compiled blocks were found"; failed=1; }

"$svic" doc > "$dir/doc"
awk '/^built-in functions/ { on = 1; next } /^$/ { on = 0 } on { sub(/^ +/, ""); print $1 }' "$dir/doc" | sort > "$dir/have"
awk '/^<!-- built-in/ { on = 1; next } /^<!-- end/ { on = 0 } on && /^\| `/ { gsub(/[|`]/, " "); print $1 }' "$manual" | sort > "$dir/told"
diff "$dir/have" "$dir/told" > "$dir/diff" || { echo "built-in functions: < compiler, > manual"; cat "$dir/diff"; failed=1; }
for dist in $(sed -n 's|^ *dist/||p' "$dir/doc"); do
  grep -q "\`$dist\`" "$manual" || { echo "the manual does not name the distribution $dist"; failed=1; }
done
[ "$failed" = 0 ] && echo "$compiled blocks compile"
exit "$failed"
