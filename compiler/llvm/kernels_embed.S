/* The kernels' bitcode, as clang wrote it (KERNELS_F32, KERNELS_F64: paths given by the build). */
  .section .rodata
  .balign 16
  .globl svic_kernels_f32, svic_kernels_f32_end, svic_kernels_f64, svic_kernels_f64_end
svic_kernels_f32:
  .incbin KERNELS_F32
svic_kernels_f32_end:
  .byte 0
  .balign 16
svic_kernels_f64:
  .incbin KERNELS_F64
svic_kernels_f64_end:
  .byte 0
  .section .note.GNU-stack, "", %progbits
