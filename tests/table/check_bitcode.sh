#!/bin/sh
# The f32 kernels as the compiler sees them: straight-line bitcode without calls, and a loop around any of
# them becomes 16-lane AVX-512 code without calls.  (standard_gamma has one call, of a function that has vectors of its own.)
#
#     check_bitcode.sh CLANG KERNELS_FOLDER WORK_FOLDER
#
# Leaves WORK_FOLDER/loops.s with one function loop_NAME for each kernel.
set -eu
clang=$1 kernels=$2 work=$3
mkdir -p "$work"
ll=$work/kernels_f32.ll

"$clang" -std=gnu11 -O2 -fno-vectorize -fno-slp-vectorize -ffp-contract=on -fno-math-errno \
  -fno-trapping-math -S -emit-llvm "$kernels/kernels_f32.c" -o "$ll"

bad=$(sed '/call float @svi_gamma_settle_f32/d; /^declare .*@svi_gamma_settle_f32/d' "$ll" | grep -nE -e '^@' -e '^ .*\b(br|switch|load|store|phi|invoke)\b' \
               -e 'call [^@]*@[^l]' -e '^declare [^@]*@[^l]' || true)
if [ -n "$bad" ]; then
  echo "kernels_f32.c is not straight-line code:"; echo "$bad"; exit 1
fi

names=$(sed -n 's/^KERNEL(\([a-z0-9_]*\), *\([12]\),.*/\1 \2/p' "$kernels/kernels.def")
[ "$(echo "$names" | wc -l)" = "$(grep -c '^KERNEL(' "$kernels/kernels.def")" ]
names="$names
gamma_grad 2"

wide='nounwind "prefer-vector-width"="512"'

# One loop each in LLVM's text form, and the kernels inlined as the compiler does it.
{
  sed -e 's/^define dso_local/define internal/' -e 's/local_unnamed_addr //' \
      -e '/call float @svi_gamma_settle_f32/s/) #[0-9]*/) nounwind willreturn memory(none) "vector-function-abi-variant"="_ZGV_LLVM_N16vvvvvv_svi_gamma_settle_f32(svi_gamma_settle_f32x16)"/' \
      -e '/^attributes #0/s/{/{ alwaysinline/' -e '/^attributes/s/"[a-z-]*"="[^"]*"//g' "$ll"
  echo '@llvm.compiler.used = appending global [1 x ptr] [ptr @svi_gamma_settle_f32x16], section "llvm.metadata"
declare <16 x float> @svi_gamma_settle_f32x16(<16 x float>, <16 x i32>, <16 x i32>, <16 x i32>, <16 x i32>, <16 x float>) nounwind willreturn memory(none)'
  head_of_loop='entry:
  br label %body
body:
  %i = phi i64 [ 0, %entry ], [ %next, %body ]
  %o = getelementptr float, ptr %y, i64 %i'
  end_of_loop='  store float %r, ptr %o
  %next = add nuw nsw i64 %i, 1
  %done = icmp eq i64 %next, %n
  br i1 %done, label %out, label %body
out:
  ret void
}'
  echo "$names" | while read -r name arity; do
    echo "define void @loop_$name(ptr noalias %y, ptr noalias %a, ptr noalias %b, i64 %n) $wide {"
    echo "$head_of_loop"
    echo '  %pa = getelementptr float, ptr %a, i64 %i
  %va = load float, ptr %pa'
    if [ "$arity" = 2 ]; then
      echo '  %pb = getelementptr float, ptr %b, i64 %i
  %vb = load float, ptr %pb'
      echo "  %r = call float @svi_${name}_f32(float %va, float %vb)"
    else
      echo "  %r = call float @svi_${name}_f32(float %va)"
    fi
    echo "$end_of_loop"
  done
  for name in uniform normal; do
    echo "define void @loop_$name(ptr noalias %y, ptr noalias %a, ptr noalias %b, i64 %n) $wide {"
    echo "$head_of_loop"
    echo '  %c = trunc i64 %i to i32'
    echo "  %r = call float @svi_${name}_f32(i32 1, i32 2, i32 3, i32 %c)"
    echo "$end_of_loop"
  done
  echo "define void @loop_standard_gamma(ptr noalias %y, ptr noalias %a, ptr noalias %b, i64 %n) $wide {"
  echo "$head_of_loop"
  echo '  %c = trunc i64 %i to i32
  %pa = getelementptr float, ptr %a, i64 %i
  %va = load float, ptr %pa
  %r = call float @svi_standard_gamma_f32(i32 1, i32 2, i32 3, i32 %c, float %va)'
  echo "$end_of_loop"
} > "$work/loops.ll"

"$clang" -O2 --target=x86_64-linux-gnu -march=x86-64-v4 \
  -fno-math-errno -Wno-override-module -S -x ir "$work/loops.ll" -o "$work/loops.s"

failed=0
for name in $(echo "$names" | cut -d' ' -f1) uniform normal standard_gamma; do
  body=$(sed -n "/^loop_$name:/,/^\.Lfunc_end/p" "$work/loops.s")
  if ! echo "$body" | grep -q zmm; then echo "$name: not vectorised at 512 bits"; failed=1; fi
  if [ $name = standard_gamma ] && ! echo "$body" | grep -q svi_gamma_settle_f32x16; then echo "$name: its vectors are not called"; failed=1; fi
  [ $name = standard_gamma ] && continue
  if echo "$body" | grep -qE '\bcall|jmp[q]?[[:space:]]+[a-z*]'; then echo "$name: calls remain"; failed=1; fi
done
[ $failed = 0 ] || exit 1
echo "kernels_f32.c: $(echo "$names" | wc -l) kernels and 3 generators, straight-line and vectorised"
