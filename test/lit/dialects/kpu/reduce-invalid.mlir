// RUN: swkpu-opt %s --verify-diagnostics --split-input-file | filecheck %s

// CHECK: kpu.reduce works on l1 buffers, got !kpu.buffer<4x8xf32, l2> to !kpu.buffer<2x8xf32, l1>
kpu.program "main" target "kpu-t64" info {} {
  %p = kpu.alloc : !kpu.buffer<4x8xf32, l2>
  %s = kpu.alloc {group = "bf16"} : !kpu.buffer<2x8xf32, l1>
  kpu.reduce add %p[2*t0, 0] to %s[0, 0] box [2, 8] receivers 2 tiles bf16 [0 : 4 x 2] : !kpu.buffer<4x8xf32, l2> to !kpu.buffer<2x8xf32, l1>
}

// -----

// CHECK: kpu.reduce does not convert: f32 to i32
kpu.program "main" target "kpu-t64" info {} {
  %p = kpu.alloc {group = "bf16"} : !kpu.buffer<4x8xf32, l1>
  %s = kpu.alloc {group = "bf16"} : !kpu.buffer<2x8xi32, l1>
  kpu.reduce add %p[2*t0, 0] to %s[0, 0] box [2, 8] receivers 2 tiles bf16 [0 : 4 x 2] : !kpu.buffer<4x8xf32, l1> to !kpu.buffer<2x8xi32, l1>
}

// -----

// CHECK: the destination is at one place in the L1 of every receiver, whatever its tile
kpu.program "main" target "kpu-t64" info {} {
  %p = kpu.alloc {group = "bf16"} : !kpu.buffer<4x8xf32, l1>
  %s = kpu.alloc {group = "bf16"} : !kpu.buffer<4x8xf32, l1>
  kpu.reduce add %p[2*t0, 0] to %s[2*t0, 0] box [2, 8] receivers 2 tiles bf16 [0 : 4 x 2] : !kpu.buffer<4x8xf32, l1> to !kpu.buffer<4x8xf32, l1>
}

// -----

// CHECK: a box of 1 dims does not fit the source !kpu.buffer<4x8xf32, l1>
kpu.program "main" target "kpu-t64" info {} {
  %p = kpu.alloc {group = "bf16"} : !kpu.buffer<4x8xf32, l1>
  %s = kpu.alloc {group = "bf16"} : !kpu.buffer<8xf32, l1>
  kpu.reduce add %p[2*t0, 0] to %s[0] box [8] receivers 2 tiles bf16 [0 : 4 x 2] : !kpu.buffer<4x8xf32, l1> to !kpu.buffer<8xf32, l1>
}

// -----

// CHECK: a box has at least one element per dim, got [2, 0]
kpu.program "main" target "kpu-t64" info {} {
  %p = kpu.alloc {group = "bf16"} : !kpu.buffer<4x8xf32, l1>
  %s = kpu.alloc {group = "bf16"} : !kpu.buffer<2x8xf32, l1>
  kpu.reduce add %p[2*t0, 0] to %s[0, 0] box [2, 0] receivers 2 tiles bf16 [0 : 4 x 2] : !kpu.buffer<4x8xf32, l1> to !kpu.buffer<2x8xf32, l1>
}

// -----

// CHECK: 5 receivers in groups of 4 tiles
kpu.program "main" target "kpu-t64" info {} {
  %p = kpu.alloc {group = "bf16"} : !kpu.buffer<4x8xf32, l1>
  %s = kpu.alloc {group = "bf16"} : !kpu.buffer<2x8xf32, l1>
  kpu.reduce add %p[2*t0, 0] to %s[0, 0] box [2, 8] receivers 5 tiles bf16 [0 : 4 x 2] : !kpu.buffer<4x8xf32, l1> to !kpu.buffer<2x8xf32, l1>
}

// -----

// CHECK: Expected one of 'add', 'max', 'min', 'mul'
kpu.program "main" target "kpu-t64" info {} {
  %p = kpu.alloc {group = "bf16"} : !kpu.buffer<4x8xf32, l1>
  kpu.reduce mac %p[2*t0, 0] to %p[0, 0] box [2, 8] receivers 2 tiles bf16 [0 : 4 x 2] : !kpu.buffer<4x8xf32, l1> to !kpu.buffer<4x8xf32, l1>
}

// -----

// CHECK: a reduction over loops or tiles, and no other, has an accumulator
kpu.program "main" target "kpu-t64" info {} {
  %a = kpu.alloc {group = "bf16"} : !kpu.buffer<4x4xbf16, l1>
  %b = kpu.alloc {group = "bf16"} : !kpu.buffer<8x4xbf16, l1>
  kpu.exec @f0 partial (%a[0, 0], %b[0, 0]) box [4, 8, 4] tiles bf16 [0 : 4 x 2] : !kpu.buffer<4x4xbf16, l1>, !kpu.buffer<8x4xbf16, l1>
}

// -----

// CHECK: a finish exec reduces nothing, over loops or otherwise
kpu.program "main" target "kpu-t64" info {} {
  %s = kpu.alloc {group = "bf16"} : !kpu.buffer<4x8xf32, l1>
  %y = kpu.alloc {group = "bf16"} : !kpu.buffer<4x8xf32, l1>
  kpu.for i0 = 2 {
    kpu.exec @f0 finish () -> %y[0, 0] box [4, 8, 0] accumulate %s[0, 0] over [0] tiles bf16 [0 : 4 x 2] : !kpu.buffer<4x8xf32, l1>, !kpu.buffer<4x8xf32, l1>
  }
}

// -----

// CHECK: expected stage partial or finish, got half
kpu.program "main" target "kpu-t64" info {} {
  %a = kpu.alloc {group = "bf16"} : !kpu.buffer<4x4xbf16, l1>
  "kpu.exec"(%a) <{fabric = @f0, tiles = #kpu.tiles bf16 [0 : 1 x 1], box = #nn.ints [4], starts = [affine_map<(d0, d1, d2, d3, d4, d5, d6, d7) -> (0, 0)>], clip_dims = #nn.ints [], clip_starts = affine_map<(d0, d1, d2, d3, d4, d5, d6, d7) -> ()>, limits = #nn.ints [], reduction_loops = #nn.ints [], stage = "half", operandSegmentSizes = array<i32: 1, 0>}> : (!kpu.buffer<4x4xbf16, l1>) -> ()
}
