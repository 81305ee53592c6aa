// RUN: swkpu-opt %s --verify-diagnostics --split-input-file | filecheck %s

// CHECK: a loop runs at least once, got a trip count of 0
kpu.program "main" target "kpu-t64" info {} {
  %d = kpu.alloc : !kpu.buffer<64x32xbf16, dram>
  %l2 = kpu.alloc : !kpu.buffer<64x32xbf16, l2>
  %l1 = kpu.alloc {group = "bf16"} : !kpu.buffer<16x32xbf16, l1>
  kpu.for i0 = 0 {
  }
}

// -----

// CHECK: loops nest at most 6 deep
kpu.program "main" target "kpu-t64" info {} {
  %d = kpu.alloc : !kpu.buffer<64x32xbf16, dram>
  %l2 = kpu.alloc : !kpu.buffer<64x32xbf16, l2>
  %l1 = kpu.alloc {group = "bf16"} : !kpu.buffer<16x32xbf16, l1>
  kpu.for i0 = 2 { kpu.for i1 = 2 { kpu.for i2 = 2 { kpu.for i3 = 2 { kpu.for i4 = 2 { kpu.for i5 = 2 { kpu.for i5 = 2 { }}}}}}}
}

// -----

// CHECK: Expected one of 'i0', 'i1', 'i2', 'i3', 'i4', 'i5'
kpu.program "main" target "kpu-t64" info {} {
  %d = kpu.alloc : !kpu.buffer<64x32xbf16, dram>
  %l2 = kpu.alloc : !kpu.buffer<64x32xbf16, l2>
  %l1 = kpu.alloc {group = "bf16"} : !kpu.buffer<16x32xbf16, l1>
  kpu.for j = 2 {
  }
}

// -----

// CHECK: an l1 buffer, and no other, names the tile group it is in
kpu.program "main" target "kpu-t64" info {} {
  %d = kpu.alloc : !kpu.buffer<64x32xbf16, dram>
  %l2 = kpu.alloc : !kpu.buffer<64x32xbf16, l2>
  %l1 = kpu.alloc {group = "bf16"} : !kpu.buffer<16x32xbf16, l1>
  %0 = kpu.alloc : !kpu.buffer<16xbf16, l1>
}

// -----

// CHECK: an l1 buffer, and no other, names the tile group it is in
kpu.program "main" target "kpu-t64" info {} {
  %d = kpu.alloc : !kpu.buffer<64x32xbf16, dram>
  %l2 = kpu.alloc : !kpu.buffer<64x32xbf16, l2>
  %l1 = kpu.alloc {group = "bf16"} : !kpu.buffer<16x32xbf16, l1>
  %0 = kpu.alloc {group = "bf16"} : !kpu.buffer<16xbf16, l2>
}

// -----

// CHECK: Expected one of 'dram', 'l1', 'l2'
kpu.program "main" target "kpu-t64" info {} {
  %d = kpu.alloc : !kpu.buffer<64x32xbf16, dram>
  %l2 = kpu.alloc : !kpu.buffer<64x32xbf16, l2>
  %l1 = kpu.alloc {group = "bf16"} : !kpu.buffer<16x32xbf16, l1>
  %0 = kpu.alloc : !kpu.buffer<16xbf16, l3>
}

// -----

// CHECK: !kpu.buffer<64xbf16, dram> does not have the bytes of !kpu.buffer<64x32xbf16, dram>
kpu.program "main" target "kpu-t64" info {} {
  %d = kpu.alloc : !kpu.buffer<64x32xbf16, dram>
  %l2 = kpu.alloc : !kpu.buffer<64x32xbf16, l2>
  %l1 = kpu.alloc {group = "bf16"} : !kpu.buffer<16x32xbf16, l1>
  %0 = kpu.alias %d : !kpu.buffer<64x32xbf16, dram> to !kpu.buffer<64xbf16, dram>
}

// -----

// CHECK: !kpu.buffer<64x32xbf16, l2> does not have the bytes of !kpu.buffer<64x32xbf16, dram>
kpu.program "main" target "kpu-t64" info {} {
  %d = kpu.alloc : !kpu.buffer<64x32xbf16, dram>
  %l2 = kpu.alloc : !kpu.buffer<64x32xbf16, l2>
  %l1 = kpu.alloc {group = "bf16"} : !kpu.buffer<16x32xbf16, l1>
  %0 = kpu.alias %d : !kpu.buffer<64x32xbf16, dram> to !kpu.buffer<64x32xbf16, l2>
}

// -----

// CHECK: kpu.load moves dram to l2, got !kpu.buffer<64x32xbf16, l2> to !kpu.buffer<64x32xbf16, dram>
kpu.program "main" target "kpu-t64" info {} {
  %d = kpu.alloc : !kpu.buffer<64x32xbf16, dram>
  %l2 = kpu.alloc : !kpu.buffer<64x32xbf16, l2>
  %l1 = kpu.alloc {group = "bf16"} : !kpu.buffer<16x32xbf16, l1>
  kpu.load %l2[0, 0] to %d[0, 0] box [64, 32] : !kpu.buffer<64x32xbf16, l2> to !kpu.buffer<64x32xbf16, dram>
}

// -----

// CHECK: kpu.push moves l2 to l1, got !kpu.buffer<64x32xbf16, dram> to !kpu.buffer<16x32xbf16, l1>
kpu.program "main" target "kpu-t64" info {} {
  %d = kpu.alloc : !kpu.buffer<64x32xbf16, dram>
  %l2 = kpu.alloc : !kpu.buffer<64x32xbf16, l2>
  %l1 = kpu.alloc {group = "bf16"} : !kpu.buffer<16x32xbf16, l1>
  kpu.push %d[0, 0] to %l1[0, 0] box [16, 32] tiles bf16 [0 : 4 x 1] : !kpu.buffer<64x32xbf16, dram> to !kpu.buffer<16x32xbf16, l1>
}

// -----

// CHECK: kpu.load does not convert: bf16 to f32
kpu.program "main" target "kpu-t64" info {} {
  %d = kpu.alloc : !kpu.buffer<64x32xbf16, dram>
  %l2 = kpu.alloc : !kpu.buffer<64x32xbf16, l2>
  %l1 = kpu.alloc {group = "bf16"} : !kpu.buffer<16x32xbf16, l1>
  %f = kpu.alloc : !kpu.buffer<64x32xf32, l2>
  kpu.load %d[0, 0] to %f[0, 0] box [64, 32] : !kpu.buffer<64x32xbf16, dram> to !kpu.buffer<64x32xf32, l2>
}

// -----

// CHECK: kpu.push needs tiles
kpu.program "main" target "kpu-t64" info {} {
  %d = kpu.alloc : !kpu.buffer<64x32xbf16, dram>
  %l2 = kpu.alloc : !kpu.buffer<64x32xbf16, l2>
  %l1 = kpu.alloc {group = "bf16"} : !kpu.buffer<16x32xbf16, l1>
  kpu.push %l2[0, 0] to %l1[0, 0] box [16, 32] : !kpu.buffer<64x32xbf16, l2> to !kpu.buffer<16x32xbf16, l1>
}

// -----

// CHECK: kpu.store takes no tiles
kpu.program "main" target "kpu-t64" info {} {
  %d = kpu.alloc : !kpu.buffer<64x32xbf16, dram>
  %l2 = kpu.alloc : !kpu.buffer<64x32xbf16, l2>
  %l1 = kpu.alloc {group = "bf16"} : !kpu.buffer<16x32xbf16, l1>
  kpu.store %l2[0, 0] to %d[0, 0] box [64, 32] tiles bf16 [0 : 4 x 1] : !kpu.buffer<64x32xbf16, l2> to !kpu.buffer<64x32xbf16, dram>
}

// -----

// CHECK: the source has 1 coordinates for !kpu.buffer<64x32xbf16, dram>
kpu.program "main" target "kpu-t64" info {} {
  %d = kpu.alloc : !kpu.buffer<64x32xbf16, dram>
  %l2 = kpu.alloc : !kpu.buffer<64x32xbf16, l2>
  %l1 = kpu.alloc {group = "bf16"} : !kpu.buffer<16x32xbf16, l1>
  kpu.load %d[0] to %l2[0, 0] box [64, 32] : !kpu.buffer<64x32xbf16, dram> to !kpu.buffer<64x32xbf16, l2>
}

// -----

// CHECK: the destination has 3 coordinates for !kpu.buffer<64x32xbf16, l2>
kpu.program "main" target "kpu-t64" info {} {
  %d = kpu.alloc : !kpu.buffer<64x32xbf16, dram>
  %l2 = kpu.alloc : !kpu.buffer<64x32xbf16, l2>
  %l1 = kpu.alloc {group = "bf16"} : !kpu.buffer<16x32xbf16, l1>
  kpu.load %d[0, 0] to %l2[0, 0, 0] box [64, 32] : !kpu.buffer<64x32xbf16, dram> to !kpu.buffer<64x32xbf16, l2>
}

// -----

// CHECK: coordinate (d0 mod 2) of the source is not linear
kpu.program "main" target "kpu-t64" info {} {
  %d = kpu.alloc : !kpu.buffer<64x32xbf16, dram>
  %l2 = kpu.alloc : !kpu.buffer<64x32xbf16, l2>
  %l1 = kpu.alloc {group = "bf16"} : !kpu.buffer<16x32xbf16, l1>
  kpu.for i0 = 4 {
    kpu.load %d[i0 mod 2, 0] to %l2[0, 0] box [64, 32] : !kpu.buffer<64x32xbf16, dram> to !kpu.buffer<64x32xbf16, l2>
  }
}

// -----

// CHECK: the source uses i1, but only 1 loops are open here
kpu.program "main" target "kpu-t64" info {} {
  %d = kpu.alloc : !kpu.buffer<64x32xbf16, dram>
  %l2 = kpu.alloc : !kpu.buffer<64x32xbf16, l2>
  %l1 = kpu.alloc {group = "bf16"} : !kpu.buffer<16x32xbf16, l1>
  kpu.for i0 = 4 {
    kpu.load %d[i1, 0] to %l2[0, 0] box [64, 32] : !kpu.buffer<64x32xbf16, dram> to !kpu.buffer<64x32xbf16, l2>
  }
}

// -----

// CHECK: a box of 1 dims does not fit the source !kpu.buffer<64x32xbf16, dram>
kpu.program "main" target "kpu-t64" info {} {
  %d = kpu.alloc : !kpu.buffer<64x32xbf16, dram>
  %l2 = kpu.alloc : !kpu.buffer<64x32xbf16, l2>
  %l1 = kpu.alloc {group = "bf16"} : !kpu.buffer<16x32xbf16, l1>
  kpu.load %d[0, 0] to %l2[0, 0] box [64] : !kpu.buffer<64x32xbf16, dram> to !kpu.buffer<64x32xbf16, l2>
}

// -----

// CHECK: a box of 3 dims does not fit the source !kpu.buffer<64x32xbf16, dram>
kpu.program "main" target "kpu-t64" info {} {
  %d = kpu.alloc : !kpu.buffer<64x32xbf16, dram>
  %l2 = kpu.alloc : !kpu.buffer<64x32xbf16, l2>
  %l1 = kpu.alloc {group = "bf16"} : !kpu.buffer<16x32xbf16, l1>
  %s = kpu.alloc {slots = 2 : i64} : !kpu.buffer<2x64x32xbf16, l2>
  kpu.load %d[0, 0] to %s[0, 0, 0] box [2, 64, 32] : !kpu.buffer<64x32xbf16, dram> to !kpu.buffer<2x64x32xbf16, l2>
}

// -----

// CHECK: axes [0, 0] is not a permutation of 2 dims
kpu.program "main" target "kpu-t64" info {} {
  %d = kpu.alloc : !kpu.buffer<64x32xbf16, dram>
  %l2 = kpu.alloc : !kpu.buffer<64x32xbf16, l2>
  %l1 = kpu.alloc {group = "bf16"} : !kpu.buffer<16x32xbf16, l1>
  kpu.load %d[0, 0] to %l2[0, 0] box [64, 32] axes [0, 0] : !kpu.buffer<64x32xbf16, dram> to !kpu.buffer<64x32xbf16, l2>
}

// -----

// CHECK: a box has at least one element per dim, got [64, 0]
kpu.program "main" target "kpu-t64" info {} {
  %d = kpu.alloc : !kpu.buffer<64x32xbf16, dram>
  %l2 = kpu.alloc : !kpu.buffer<64x32xbf16, l2>
  %l1 = kpu.alloc {group = "bf16"} : !kpu.buffer<16x32xbf16, l1>
  kpu.load %d[0, 0] to %l2[0, 0] box [64, 0] : !kpu.buffer<64x32xbf16, dram> to !kpu.buffer<64x32xbf16, l2>
}

// -----

// CHECK: kpu.exec works on l1 buffers, got !kpu.buffer<64x32xbf16, l2>
kpu.program "main" target "kpu-t64" info {} {
  %d = kpu.alloc : !kpu.buffer<64x32xbf16, dram>
  %l2 = kpu.alloc : !kpu.buffer<64x32xbf16, l2>
  %l1 = kpu.alloc {group = "bf16"} : !kpu.buffer<16x32xbf16, l1>
  kpu.exec @f(%l2[0, 0]) -> %l1[0, 0] box [16, 32] tiles bf16 [0 : 4 x 1] : !kpu.buffer<64x32xbf16, l2>, !kpu.buffer<16x32xbf16, l1>
}

// -----

// CHECK: a block has 1 coordinates for !kpu.buffer<16x32xbf16, l1>
kpu.program "main" target "kpu-t64" info {} {
  %d = kpu.alloc : !kpu.buffer<64x32xbf16, dram>
  %l2 = kpu.alloc : !kpu.buffer<64x32xbf16, l2>
  %l1 = kpu.alloc {group = "bf16"} : !kpu.buffer<16x32xbf16, l1>
  kpu.exec @f(%l1[0]) -> %l1[0, 0] box [16, 32] tiles bf16 [0 : 4 x 1] : !kpu.buffer<16x32xbf16, l1>, !kpu.buffer<16x32xbf16, l1>
}

// -----

// CHECK: expected 2 types, one per buffer, got 1
kpu.program "main" target "kpu-t64" info {} {
  %d = kpu.alloc : !kpu.buffer<64x32xbf16, dram>
  %l2 = kpu.alloc : !kpu.buffer<64x32xbf16, l2>
  %l1 = kpu.alloc {group = "bf16"} : !kpu.buffer<16x32xbf16, l1>
  kpu.exec @f(%l1[0, 0]) -> %l1[0, 0] box [16, 32] tiles bf16 [0 : 4 x 1] : !kpu.buffer<16x32xbf16, l1>
}

// -----

// CHECK: the reduction goes on over i0, but only 0 loops are open here
kpu.program "main" target "kpu-t64" info {} {
  %d = kpu.alloc : !kpu.buffer<64x32xbf16, dram>
  %l2 = kpu.alloc : !kpu.buffer<64x32xbf16, l2>
  %l1 = kpu.alloc {group = "bf16"} : !kpu.buffer<16x32xbf16, l1>
  kpu.exec @f(%l1[0, 0]) -> %l1[0, 0] box [16, 32] accumulate %l1[0, 0] over [0] tiles bf16 [0 : 4 x 1] : !kpu.buffer<16x32xbf16, l1>, !kpu.buffer<16x32xbf16, l1>, !kpu.buffer<16x32xbf16, l1>
}

// -----

// CHECK: a reduction over loops or tiles, and no other, has an accumulator
kpu.program "main" target "kpu-t64" info {} {
  %d = kpu.alloc : !kpu.buffer<64x32xbf16, dram>
  %l2 = kpu.alloc : !kpu.buffer<64x32xbf16, l2>
  %l1 = kpu.alloc {group = "bf16"} : !kpu.buffer<16x32xbf16, l1>
  kpu.exec @f(%l1[0, 0]) -> %l1[0, 0] box [16, 32] accumulate %l1[0, 0] over [] tiles bf16 [0 : 4 x 1] : !kpu.buffer<16x32xbf16, l1>, !kpu.buffer<16x32xbf16, l1>, !kpu.buffer<16x32xbf16, l1>
}

// -----

// CHECK: 'z' is not a dim; the dims here are m, k
kpu.program "main" target "kpu-t64" info {} {
  %d = kpu.alloc : !kpu.buffer<64x32xbf16, dram>
  %l2 = kpu.alloc : !kpu.buffer<64x32xbf16, l2>
  %l1 = kpu.alloc {group = "bf16"} : !kpu.buffer<16x32xbf16, l1>
  kpu.fabric @f (m = 4 | k = 2) add([m, k]) accumulate f32
    epilogue(%acc: f32) { df.yield %acc : f32 } -> [m] rows [z] cols [] os
}
