// RUN: swkpu-opt %s | swkpu-opt | filecheck %s
// RUN: swkpu-opt %s --print-op-generic | swkpu-opt | filecheck %s
// RUN: swkpu-opt %s -p 'kpu-assign-memory{target=kpu-t64},kpu-schedule{target=kpu-t64},kpu-verify{target=kpu-t64}' | filecheck %s --check-prefix=SCHEDULED

// A matrix product whose reduction is split over four tiles, in two groups: each tile reduces 8 of 32, in two pieces;
// then two tiles of each group add up two rows each, and run the epilogue on them.

// CHECK-LABEL: kpu.program "main"
kpu.program "main" target "kpu-t64" info {} {
  kpu.fabric @f0 (m = 4, n = 16 | k = 32)
    mac([m, k], [n, k]) with([n]) accumulate f32
    epilogue(%acc: f32, %bias: f32) {
      %0 = arith.addf %acc, %bias : f32
      df.yield %0 : f32
    }
    -> [m, n] rows [m] cols [n] os
  %a = kpu.input "a" : !kpu.buffer<4x32xbf16, dram>
  %b = kpu.input "b" : !kpu.buffer<16x32xbf16, dram>
  %c = kpu.input "c" : !kpu.buffer<16xf32, dram>
  %y = kpu.alloc : !kpu.buffer<4x16xf32, dram>
  kpu.layer "y" info {} {
    %a2 = kpu.alloc : !kpu.buffer<4x32xbf16, l2>
    kpu.load %a[0, 0] to %a2[0, 0] box [4, 32] : !kpu.buffer<4x32xbf16, dram> to !kpu.buffer<4x32xbf16, l2>
    %b2 = kpu.alloc : !kpu.buffer<16x32xbf16, l2>
    kpu.load %b[0, 0] to %b2[0, 0] box [16, 32] : !kpu.buffer<16x32xbf16, dram> to !kpu.buffer<16x32xbf16, l2>
    %c2 = kpu.alloc : !kpu.buffer<16xf32, l2>
    kpu.load %c[0] to %c2[0] box [16] : !kpu.buffer<16xf32, dram> to !kpu.buffer<16xf32, l2>
    %y2 = kpu.alloc : !kpu.buffer<4x16xf32, l2>
    %c1 = kpu.alloc {group = "bf16"} : !kpu.buffer<8xf32, l1>
    kpu.push %c2[8*t1] to %c1[0] box [8] tiles bf16 [0 : 2 x 2] : !kpu.buffer<16xf32, l2> to !kpu.buffer<8xf32, l1>
    %partial = kpu.alloc {group = "bf16"} : !kpu.buffer<4x8xf32, l1>
    %y1 = kpu.alloc {group = "bf16"} : !kpu.buffer<2x8xf32, l1>
    kpu.for i0 = 2 {
      %a1 = kpu.alloc {buffers = 2, group = "bf16"} : !kpu.buffer<4x4xbf16, l1>
      kpu.push %a2[0, 4*i0 + 8*t0] to %a1[0, 0] box [4, 4] tiles bf16 [0 : 4 x 2] : !kpu.buffer<4x32xbf16, l2> to !kpu.buffer<4x4xbf16, l1>
      %b1 = kpu.alloc {buffers = 2, group = "bf16"} : !kpu.buffer<8x4xbf16, l1>
      kpu.push %b2[8*t1, 4*i0 + 8*t0] to %b1[0, 0] box [8, 4] tiles bf16 [0 : 4 x 2] : !kpu.buffer<16x32xbf16, l2> to !kpu.buffer<8x4xbf16, l1>
      // CHECK: kpu.exec @f0 partial (%a1[0, 0], %b1[0, 0]) box [4, 8, 4] accumulate %partial[0, 0] over [0] tiles bf16 [0 : 4 x 2] : !kpu.buffer<4x4xbf16, l1>, !kpu.buffer<8x4xbf16, l1>, !kpu.buffer<4x8xf32, l1>
      kpu.exec @f0 partial (%a1[0, 0], %b1[0, 0]) box [4, 8, 4] accumulate %partial[0, 0] over [0] tiles bf16 [0 : 4 x 2] : !kpu.buffer<4x4xbf16, l1>, !kpu.buffer<8x4xbf16, l1>, !kpu.buffer<4x8xf32, l1>
    }
    %sum = kpu.alloc {group = "bf16"} : !kpu.buffer<2x8xf32, l1>
    // CHECK: kpu.reduce add %partial[2*t0, 0] to %sum[0, 0] box [2, 8] receivers 2 tiles bf16 [0 : 4 x 2] : !kpu.buffer<4x8xf32, l1> to !kpu.buffer<2x8xf32, l1>
    kpu.reduce add %partial[2*t0, 0] to %sum[0, 0] box [2, 8] receivers 2 tiles bf16 [0 : 4 x 2] : !kpu.buffer<4x8xf32, l1> to !kpu.buffer<2x8xf32, l1>
    // CHECK-NEXT: kpu.exec @f0 finish (%c1[0]) -> %y1[0, 0] box [2, 8, 0] accumulate %sum[0, 0] tiles bf16 [0 : 2 x 2] : !kpu.buffer<8xf32, l1>, !kpu.buffer<2x8xf32, l1>, !kpu.buffer<2x8xf32, l1>
    kpu.exec @f0 finish (%c1[0]) -> %y1[0, 0] box [2, 8, 0] accumulate %sum[0, 0] tiles bf16 [0 : 2 x 2] : !kpu.buffer<8xf32, l1>, !kpu.buffer<2x8xf32, l1>, !kpu.buffer<2x8xf32, l1>
    kpu.pull %y1[0, 0] to %y2[2*t0, 8*t1] box [2, 8] tiles bf16 [0 : 2 x 2] : !kpu.buffer<2x8xf32, l1> to !kpu.buffer<4x16xf32, l2>
    kpu.store %y2[0, 0] to %y[0, 0] box [4, 16] : !kpu.buffer<4x16xf32, l2> to !kpu.buffer<4x16xf32, dram>
  }
  kpu.output "y" %y : !kpu.buffer<4x16xf32, dram>
}

// All of it is on the fabric's stream, and needs no semaphores but those of what comes in and goes out.
// SCHEDULED:      kpu.stream "fabric" group "bf16" {
// SCHEDULED-NEXT:   kpu.for i0 = 2 layer "y" {
// SCHEDULED-NEXT:     kpu.exec @f0 partial (%{{.*}}[i0, 0, 0], %{{.*}}[i0, 0, 0]) box [4, 8, 4] accumulate %partial[0, 0] over [0] tiles bf16 [0 : 4 x 2] acquire {{.*}}{{( release .*)?}} layer "y"
// SCHEDULED-NEXT:   }
// SCHEDULED-NEXT:   kpu.reduce add %partial[2*t0, 0] to %sum[0, 0] box [2, 8] receivers 2 tiles bf16 [0 : 4 x 2] layer "y"
// SCHEDULED-NEXT:   kpu.exec @f0 finish (%c1[0]) -> %y1[0, 0] box [2, 8, 0] accumulate %sum[0, 0] tiles bf16 [0 : 2 x 2] acquire {{.*}} release {{.*}} layer "y"
