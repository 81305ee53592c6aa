// RUN: swkpu-opt %s --verify-diagnostics --split-input-file | filecheck %s

// CHECK: kpu.gather moves dram or l2 to l2, got !kpu.buffer<50x3x8xf32, dram> by !kpu.buffer<3x8xi32, dram> to !kpu.buffer<3x8xf32, dram>
kpu.program "main" target "kpu-t64" info {} {
  %x = kpu.alloc : !kpu.buffer<50x3x8xf32, dram>
  %i = kpu.alloc : !kpu.buffer<3x8xi32, dram>
  %y = kpu.alloc : !kpu.buffer<3x8xf32, dram>
  kpu.gather %x[0, 0, 0] dim 0 by %i[0, 0] to %y[0, 0] box [3, 8] : !kpu.buffer<50x3x8xf32, dram>, !kpu.buffer<3x8xi32, dram> to !kpu.buffer<3x8xf32, dram>
}

// -----

// CHECK: kpu.gather takes indices of i32, got !kpu.buffer<3x8xi64, dram>
kpu.program "main" target "kpu-t64" info {} {
  %x = kpu.alloc : !kpu.buffer<50x3x8xf32, dram>
  %i = kpu.alloc : !kpu.buffer<3x8xi64, dram>
  %y = kpu.alloc : !kpu.buffer<3x8xf32, l2>
  kpu.gather %x[0, 0, 0] dim 0 by %i[0, 0] to %y[0, 0] box [3, 8] : !kpu.buffer<50x3x8xf32, dram>, !kpu.buffer<3x8xi64, dram> to !kpu.buffer<3x8xf32, l2>
}

// -----

// CHECK: a box of 2 dims does not fit the source !kpu.buffer<50x8xf32, dram>
kpu.program "main" target "kpu-t64" info {} {
  %x = kpu.alloc : !kpu.buffer<50x8xf32, dram>
  %i = kpu.alloc : !kpu.buffer<3x8xi32, dram>
  %y = kpu.alloc : !kpu.buffer<3x8xf32, l2>
  kpu.gather %x[0, 0] dim 0 by %i[0, 0] to %y[0, 0] box [3, 8] : !kpu.buffer<50x8xf32, dram>, !kpu.buffer<3x8xi32, dram> to !kpu.buffer<3x8xf32, l2>
}

// -----

// CHECK: dim 3 is none of the source !kpu.buffer<50x3x8xf32, dram>
kpu.program "main" target "kpu-t64" info {} {
  %x = kpu.alloc : !kpu.buffer<50x3x8xf32, dram>
  %i = kpu.alloc : !kpu.buffer<3x8xi32, dram>
  %y = kpu.alloc : !kpu.buffer<3x8xf32, l2>
  kpu.gather %x[0, 0, 0] dim 3 by %i[0, 0] to %y[0, 0] box [3, 8] : !kpu.buffer<50x3x8xf32, dram>, !kpu.buffer<3x8xi32, dram> to !kpu.buffer<3x8xf32, l2>
}
