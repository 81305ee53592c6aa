// RUN: swkpu-opt %s -p kpu-assign-memory,kpu-schedule,kpu-verify | filecheck %s

// Three matrix products, the second of which is short by its estimate. The weights of the third do not wait behind the
// activation of the second: they are pushed before it, while the first one is at work.
// CHECK:      kpu.stream "bm_in" group "bf16" {
// CHECK:        kpu.push {{.*}} layer "one"
// CHECK:        kpu.push {{.*}} layer "one"
// CHECK-NEXT:   kpu.push %w_1[0, 0] {{.*}} layer "two"
// CHECK-NEXT:   kpu.push %w_2[0, 0] {{.*}} layer "three"
// CHECK-NEXT:   kpu.push %t1[0, 0] {{.*}} layer "two"
// CHECK-NEXT:   kpu.push %t2[0, 0] {{.*}} layer "three"
// CHECK-NEXT: }
kpu.program "main" target "kpu-t64" info {} {
  kpu.fabric @matmul (m = 64, n = 64 | k = 64) mac([m, k], [n, k]) accumulate f32
    epilogue(%a: f32) {
      %r = arith.truncf %a : f32 to bf16
      df.yield %r : bf16
    } -> [m, n] rows [m] cols [n] os
  %x = kpu.input "x" : !kpu.buffer<64x64xbf16, dram>
  %u1 = kpu.input "u1" : !kpu.buffer<64x64xbf16, dram>
  %u2 = kpu.input "u2" : !kpu.buffer<64x64xbf16, dram>
  %u3 = kpu.input "u3" : !kpu.buffer<64x64xbf16, dram>
  %t0 = kpu.alloc : !kpu.buffer<64x64xbf16, l2>
  %t1 = kpu.alloc : !kpu.buffer<64x64xbf16, l2>
  %t2 = kpu.alloc : !kpu.buffer<64x64xbf16, l2>
  %t3 = kpu.alloc : !kpu.buffer<64x64xbf16, l2>
  kpu.layer "copy" info {estimated_cycles = 5000 : i64} {
    kpu.load %x[0, 0] to %t0[0, 0] box [64, 64] : !kpu.buffer<64x64xbf16, dram> to !kpu.buffer<64x64xbf16, l2>
  }
  kpu.layer "one" info {estimated_cycles = 5000 : i64} {
    %w = kpu.alloc : !kpu.buffer<64x64xbf16, l2>
    kpu.load %u1[0, 0] to %w[0, 0] box [64, 64] : !kpu.buffer<64x64xbf16, dram> to !kpu.buffer<64x64xbf16, l2>
    %a = kpu.alloc {group = "bf16"} : !kpu.buffer<64x64xbf16, l1>
    kpu.push %t0[0, 0] to %a[0, 0] box [64, 64] tiles bf16 [0 : 1 x 1]
      : !kpu.buffer<64x64xbf16, l2> to !kpu.buffer<64x64xbf16, l1>
    %b = kpu.alloc {group = "bf16"} : !kpu.buffer<64x64xbf16, l1>
    kpu.push %w[0, 0] to %b[0, 0] box [64, 64] tiles bf16 [0 : 1 x 1]
      : !kpu.buffer<64x64xbf16, l2> to !kpu.buffer<64x64xbf16, l1>
    %c = kpu.alloc {group = "bf16"} : !kpu.buffer<64x64xbf16, l1>
    kpu.exec @matmul(%a[0, 0], %b[0, 0]) -> %c[0, 0] box [64, 64, 64] tiles bf16 [0 : 1 x 1]
      : !kpu.buffer<64x64xbf16, l1>, !kpu.buffer<64x64xbf16, l1>, !kpu.buffer<64x64xbf16, l1>
    kpu.pull %c[0, 0] to %t1[0, 0] box [64, 64] tiles bf16 [0 : 1 x 1]
      : !kpu.buffer<64x64xbf16, l1> to !kpu.buffer<64x64xbf16, l2>
  }
  kpu.layer "two" info {estimated_cycles = 10 : i64} {
    %w = kpu.alloc : !kpu.buffer<64x64xbf16, l2>
    kpu.load %u2[0, 0] to %w[0, 0] box [64, 64] : !kpu.buffer<64x64xbf16, dram> to !kpu.buffer<64x64xbf16, l2>
    %a = kpu.alloc {group = "bf16"} : !kpu.buffer<64x64xbf16, l1>
    kpu.push %t1[0, 0] to %a[0, 0] box [64, 64] tiles bf16 [0 : 1 x 1]
      : !kpu.buffer<64x64xbf16, l2> to !kpu.buffer<64x64xbf16, l1>
    %b = kpu.alloc {group = "bf16"} : !kpu.buffer<64x64xbf16, l1>
    kpu.push %w[0, 0] to %b[0, 0] box [64, 64] tiles bf16 [0 : 1 x 1]
      : !kpu.buffer<64x64xbf16, l2> to !kpu.buffer<64x64xbf16, l1>
    %c = kpu.alloc {group = "bf16"} : !kpu.buffer<64x64xbf16, l1>
    kpu.exec @matmul(%a[0, 0], %b[0, 0]) -> %c[0, 0] box [64, 64, 64] tiles bf16 [0 : 1 x 1]
      : !kpu.buffer<64x64xbf16, l1>, !kpu.buffer<64x64xbf16, l1>, !kpu.buffer<64x64xbf16, l1>
    kpu.pull %c[0, 0] to %t2[0, 0] box [64, 64] tiles bf16 [0 : 1 x 1]
      : !kpu.buffer<64x64xbf16, l1> to !kpu.buffer<64x64xbf16, l2>
  }
  kpu.layer "three" info {estimated_cycles = 5000 : i64} {
    %w = kpu.alloc : !kpu.buffer<64x64xbf16, l2>
    kpu.load %u3[0, 0] to %w[0, 0] box [64, 64] : !kpu.buffer<64x64xbf16, dram> to !kpu.buffer<64x64xbf16, l2>
    %a = kpu.alloc {group = "bf16"} : !kpu.buffer<64x64xbf16, l1>
    kpu.push %t2[0, 0] to %a[0, 0] box [64, 64] tiles bf16 [0 : 1 x 1]
      : !kpu.buffer<64x64xbf16, l2> to !kpu.buffer<64x64xbf16, l1>
    %b = kpu.alloc {group = "bf16"} : !kpu.buffer<64x64xbf16, l1>
    kpu.push %w[0, 0] to %b[0, 0] box [64, 64] tiles bf16 [0 : 1 x 1]
      : !kpu.buffer<64x64xbf16, l2> to !kpu.buffer<64x64xbf16, l1>
    %c = kpu.alloc {group = "bf16"} : !kpu.buffer<64x64xbf16, l1>
    kpu.exec @matmul(%a[0, 0], %b[0, 0]) -> %c[0, 0] box [64, 64, 64] tiles bf16 [0 : 1 x 1]
      : !kpu.buffer<64x64xbf16, l1>, !kpu.buffer<64x64xbf16, l1>, !kpu.buffer<64x64xbf16, l1>
    kpu.pull %c[0, 0] to %t3[0, 0] box [64, 64] tiles bf16 [0 : 1 x 1]
      : !kpu.buffer<64x64xbf16, l1> to !kpu.buffer<64x64xbf16, l2>
  }
}
