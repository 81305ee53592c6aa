// RUN: swkpu-opt %s -p convert-df-to-kpu | filecheck %s
// RUN: swkpu-opt %s -p convert-df-to-kpu,kpu-assign-memory,kpu-schedule,kpu-verify | filecheck %s --check-prefix=VERIFIED

// A reduction over tiles by hand: t0 counts four shares of k, whatever the order in `space`; t1 two halves of n. Each
// tile reduces its share in two pieces, and of every piece of 4 rows two tiles finish 2 each, so that the bias and the
// residual go to those only.

// CHECK-LABEL: kpu.layer "y"
// CHECK:         [[C1:%[0-9]+]] = kpu.alloc {group = "bf16"} : !kpu.buffer<8xf32, l1>
// CHECK-NEXT:    kpu.push {{%[0-9]+}}[8*t1] to [[C1]][0] box [8] tiles bf16 [0 : 2 x 2]
// CHECK-NEXT:    kpu.for i0 = 3 {
// CHECK-NEXT:      [[R1:%[0-9]+]] = kpu.alloc {buffers = 2 : i64, group = "bf16"} : !kpu.buffer<2x8xf32, l1>
// CHECK-NEXT:      kpu.push {{%[0-9]+}}[4*i0 + 2*t0, 8*t1] to [[R1]][0, 0] box [2, 8] tiles bf16 [0 : 2 x 2]
// CHECK-NEXT:      [[Y1:%[0-9]+]] = kpu.alloc {buffers = 2 : i64, group = "bf16"} : !kpu.buffer<2x8xf32, l1>
// CHECK-NEXT:      [[P:%[0-9]+]] = kpu.alloc {group = "bf16"} : !kpu.buffer<4x8xf32, l1>
// CHECK-NEXT:      kpu.for i1 = 2 {
// CHECK-NEXT:        [[A1:%[0-9]+]] = kpu.alloc {buffers = 2 : i64, group = "bf16"} : !kpu.buffer<4x4xbf16, l1>
// CHECK-NEXT:        kpu.push {{%[0-9]+}}[4*i0, 4*i1 + 8*t0] to [[A1]][0, 0] box [4, 4] tiles bf16 [0 : 4 x 2]
// CHECK-NEXT:        [[B1:%[0-9]+]] = kpu.alloc {buffers = 2 : i64, group = "bf16"} : !kpu.buffer<8x4xbf16, l1>
// CHECK-NEXT:        kpu.push {{%[0-9]+}}[8*t1, 4*i1 + 8*t0] to [[B1]][0, 0] box [8, 4] tiles bf16 [0 : 4 x 2]
// CHECK-NEXT:        kpu.exec @f0 partial ([[A1]][0, 0], [[B1]][0, 0]) box [4, 8, 4] clip [0: 4*i0 < 10] accumulate [[P]][0, 0] over [1] tiles bf16 [0 : 4 x 2]
// CHECK-NEXT:      }
// CHECK-NEXT:      [[S:%[0-9]+]] = kpu.alloc {group = "bf16"} : !kpu.buffer<2x8xf32, l1>
// CHECK-NEXT:      kpu.reduce add [[P]][2*t0, 0] to [[S]][0, 0] box [2, 8] receivers 2 tiles bf16 [0 : 4 x 2]
// CHECK-NEXT:      kpu.exec @f0 finish ([[C1]][0], [[R1]][0, 0]) -> [[Y1]][0, 0] box [2, 8, 0] clip [0: 4*i0 + 2*t0 < 10] accumulate [[S]][0, 0] tiles bf16 [0 : 2 x 2]
// CHECK-NEXT:      kpu.pull [[Y1]][0, 0] to {{%[0-9]+}}[4*i0 + 2*t0, 8*t1] box [2, 8] tiles bf16 [0 : 2 x 2]

// VERIFIED: kpu.stream "fabric" group "bf16"
// VERIFIED: kpu.reduce add
func.func @main(%a: tensor<10x32xbf16>, %b: tensor<16x32xbf16>, %r: tensor<10x16xf32>, %c: tensor<16xf32>) -> tensor<10x16xf32> {
  %y = df.recurrence (m = 10, n = 16 | k = 32)
    ins(%a[m, k] : tensor<10x32xbf16>, %b[n, k] : tensor<16x32xbf16>) mac
    with(%c[n] : tensor<16xf32>, %r[m, n] : tensor<10x16xf32>)
    epilogue(%acc: f32, %bias: f32, %residual: f32) {
      %0 = arith.addf %acc, %bias : f32
      %1 = arith.addf %0, %residual : f32
      df.yield %1 : f32
    } -> [m, n]
    mapping #df.mapping<result = dram, parts = [
      <bf16, space = {n = 2, k = 4}, finish = {m = 2}, l1 = {m = 4, k = 4}, order = [m, k], rows = [m], cols = [n]>]>
    : tensor<10x16xf32>
  func.return %y : tensor<10x16xf32>
}
