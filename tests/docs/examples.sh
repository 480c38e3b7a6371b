#!/bin/sh
# How far every example comes: usage: examples.sh SVIC EXAMPLES.  A regression, or an example not in the list, fails; so does one that
# comes further than the list says, until the list is changed.
svic=$1
examples=$2
dir=$(mktemp -d) || exit 1
trap 'rm -rf "$dir"' EXIT

# stage that passes, the next that does not pass (- for the last), model
list='
loops -     broken_elbo/broken_elbo
loops -     corex/corex
loops -     darn/darn
loops -     darn/nade
loops -     deep_gp/deep_gp
loops -     def/def
loops -     dlgm/dlgm
loops -     double_def/double_def
loops -     elbo_surgery/elbo_surgery
loops -     hvm/hvm
loops -     infovae/infovae
loops -     iwae/iwae
loops -     iwae/iwae2
loops -     lvae/lvae
loops -     mae/mae
loops -     vae/vae
loops -     vcca/vcca
loops -     vcca/vcca_private
loops -     vib/vib
loops -     vlae/vlae
'
failed=0
echo "$list" | while read -r good bad model; do
  [ -n "$model" ] || continue
  file=$examples/$model.svm
  "$svic" "$file" --emit "$good" > /dev/null 2> "$dir/said" || { echo "$model: no longer passes --emit $good"; head -n 12 "$dir/said"; touch "$dir/failed"; }
  [ "$bad" = - ] || ! "$svic" "$file" --emit "$bad" > /dev/null 2>&1 || { echo "$model: now passes --emit $bad: change the list"; touch "$dir/failed"; }
done
for file in "$examples"/*/*.svm; do
  model=${file#"$examples"/}
  echo "$list" | grep -q " ${model%.svm}\$" || { echo "$model is not in the list"; touch "$dir/failed"; }
done
[ ! -e "$dir/failed" ] || failed=1
"$svic" doc --check || failed=1
exit "$failed"
