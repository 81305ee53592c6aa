// RUN: swkpu-opt %s -p kpu-assign-memory,kpu-schedule,kpu-verify | filecheck %s

// Two layers of a matrix product by weights that come in two pieces each. What runs ahead, and what waits for what.

// There is room for all of it: no two buffers of the layers meet, so no load and no push of weights waits for anything
// but its own data. As many copies as contents: no `free` tokens.
// CHECK: kpu.program "main" target "kpu-t64" semaphores [0, 0, 0, 0, 0, 0]
// CHECK:      kpu.stream "dma_in" {
// CHECK-NEXT:   kpu.load %x[0, 0] to %t[0, 0] box [64, 64] release [5 * 1] layer "copy"
// CHECK-NEXT:   kpu.for i0 = 2 layer "one" {
// CHECK-NEXT:     kpu.load %u[64*i0, 0] to %w[i0, 0, 0] box [64, 64] release [1 * 1] layer "one"
// CHECK-NEXT:   }
// CHECK-NEXT:   kpu.for i0 = 2 layer "two" {
// CHECK-NEXT:     kpu.load %v[64*i0, 0] to %w_1[i0, 0, 0] box [64, 64] release [1 * 1] layer "two"
// CHECK-NEXT:   }
// CHECK-NEXT: }
// The weights are pushed before the activation that stands before them in the program. Every iteration of the second
// layer needs one of the layer before, for its activation only: a token (semaphore 4) for each.
// CHECK:      kpu.stream "bm_in" group "bf16" {
// CHECK-NEXT:   kpu.for i0 = 2 layer "one" {
// CHECK-NEXT:     kpu.push %w[i0, 0, 0] to %b[i0, 0, 0] {{.*}} acquire [1 * 1] release [2 * 1] layer "one"
// CHECK-NEXT:   }
// CHECK-NEXT:   kpu.push %t[0, 0] to %a_1[0, 0] {{.*}} acquire [5 * 1] release [0 * 1] layer "one"
// CHECK-NEXT:   kpu.for i0 = 2 layer "two" {
// CHECK-NEXT:     kpu.push %w_1[i0, 0, 0] to %b_1[i0, 0, 0] {{.*}} acquire [1 * 1] release [2 * 1] layer "two"
// CHECK-NEXT:     kpu.push %y[0, 64*i0] to %a_2[i0, 0, 0] {{.*}} acquire [4 * 1] release [0 * 1] layer "two"
// CHECK-NEXT:   }
// CHECK-NEXT: }
// CHECK:      kpu.stream "bm_out" group "bf16" {
// CHECK-NEXT:   kpu.for i0 = 2 layer "one" {
// CHECK-NEXT:     kpu.pull {{.*}} acquire [3 * 1] release [4 * 1] layer "one"
kpu.program "main" target "kpu-t64" info {} {
  kpu.fabric @matmul (m = 64, n = 64 | k = 64) mac([m, k], [n, k]) accumulate f32
    epilogue(%a: f32) {
      %r = arith.truncf %a : f32 to bf16
      df.yield %r : bf16
    } -> [m, n] rows [m] cols [n] os
  %x = kpu.input "x" : !kpu.buffer<64x64xbf16, dram>
  %u = kpu.input "u" : !kpu.buffer<128x64xbf16, dram>
  %v = kpu.input "v" : !kpu.buffer<128x64xbf16, dram>
  %t = kpu.alloc : !kpu.buffer<64x64xbf16, l2>
  %y = kpu.alloc : !kpu.buffer<64x128xbf16, l2>
  %z = kpu.alloc : !kpu.buffer<64x128xbf16, l2>
  kpu.layer "copy" info {} {
    kpu.load %x[0, 0] to %t[0, 0] box [64, 64] : !kpu.buffer<64x64xbf16, dram> to !kpu.buffer<64x64xbf16, l2>
  }
  kpu.layer "one" info {} {
    %a = kpu.alloc {group = "bf16"} : !kpu.buffer<64x64xbf16, l1>
    kpu.push %t[0, 0] to %a[0, 0] box [64, 64] tiles bf16 [0 : 1 x 1]
      : !kpu.buffer<64x64xbf16, l2> to !kpu.buffer<64x64xbf16, l1>
    kpu.for i0 = 2 {
      %w = kpu.alloc {buffers = 2 : i64} : !kpu.buffer<64x64xbf16, l2>
      kpu.load %u[64*i0, 0] to %w[0, 0] box [64, 64] : !kpu.buffer<128x64xbf16, dram> to !kpu.buffer<64x64xbf16, l2>
      %b = kpu.alloc {buffers = 2 : i64, group = "bf16"} : !kpu.buffer<64x64xbf16, l1>
      kpu.push %w[0, 0] to %b[0, 0] box [64, 64] tiles bf16 [0 : 1 x 1]
        : !kpu.buffer<64x64xbf16, l2> to !kpu.buffer<64x64xbf16, l1>
      %c = kpu.alloc {buffers = 2 : i64, group = "bf16"} : !kpu.buffer<64x64xbf16, l1>
      kpu.exec @matmul(%a[0, 0], %b[0, 0]) -> %c[0, 0] box [64, 64, 64] tiles bf16 [0 : 1 x 1]
        : !kpu.buffer<64x64xbf16, l1>, !kpu.buffer<64x64xbf16, l1>, !kpu.buffer<64x64xbf16, l1>
      kpu.pull %c[0, 0] to %y[0, 64*i0] box [64, 64] tiles bf16 [0 : 1 x 1]
        : !kpu.buffer<64x64xbf16, l1> to !kpu.buffer<64x128xbf16, l2>
    }
  }
  kpu.layer "two" info {} {
    kpu.for i0 = 2 {
      %a = kpu.alloc {buffers = 2 : i64, group = "bf16"} : !kpu.buffer<64x64xbf16, l1>
      kpu.push %y[0, 64*i0] to %a[0, 0] box [64, 64] tiles bf16 [0 : 1 x 1]
        : !kpu.buffer<64x128xbf16, l2> to !kpu.buffer<64x64xbf16, l1>
      %w = kpu.alloc {buffers = 2 : i64} : !kpu.buffer<64x64xbf16, l2>
      kpu.load %v[64*i0, 0] to %w[0, 0] box [64, 64] : !kpu.buffer<128x64xbf16, dram> to !kpu.buffer<64x64xbf16, l2>
      %b = kpu.alloc {buffers = 2 : i64, group = "bf16"} : !kpu.buffer<64x64xbf16, l1>
      kpu.push %w[0, 0] to %b[0, 0] box [64, 64] tiles bf16 [0 : 1 x 1]
        : !kpu.buffer<64x64xbf16, l2> to !kpu.buffer<64x64xbf16, l1>
      %c = kpu.alloc {buffers = 2 : i64, group = "bf16"} : !kpu.buffer<64x64xbf16, l1>
      kpu.exec @matmul(%a[0, 0], %b[0, 0]) -> %c[0, 0] box [64, 64, 64] tiles bf16 [0 : 1 x 1]
        : !kpu.buffer<64x64xbf16, l1>, !kpu.buffer<64x64xbf16, l1>, !kpu.buffer<64x64xbf16, l1>
      kpu.pull %c[0, 0] to %z[0, 64*i0] box [64, 64] tiles bf16 [0 : 1 x 1]
        : !kpu.buffer<64x64xbf16, l1> to !kpu.buffer<64x128xbf16, l2>
    }
  }
}
