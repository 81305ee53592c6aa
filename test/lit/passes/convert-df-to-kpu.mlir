// RUN: swkpu-opt %s -p convert-df-to-kpu | filecheck %s

// One matmul, mapped by hand: DRAM to L2 in two tiles of m; on four tiles of a group, each of 8 rows in pieces of 4; the
// reduction in two pieces of k. What a loop does not change is brought in outside it; what it changes is double-buffered.

// CHECK-LABEL: kpu.program "main" target "kpu-t64" info {profile = "6W", weight_bytes = 1024 : i64,
// CHECK:         kpu.fabric @f0 (m = 64, n = 16 | k = 32)
// CHECK-NEXT:        mac([m, k], [n, k]) accumulate f32
// CHECK:             -> [m, n] rows [m] cols [n] os
// CHECK-NEXT:    %a = kpu.input "a" : !kpu.buffer<64x32xbf16, dram>
// CHECK-NEXT:    %b = kpu.constant #nn.weight<"", "b"> : !kpu.buffer<16x32xbf16, dram>
// CHECK-NEXT:    %y = kpu.alloc : !kpu.buffer<64x16xf32, dram>
// CHECK-NEXT:    kpu.layer "y" info {op = "mac", macs = 32768 : i64, mac_type = "bf16",
// CHECK-NEXT:      [[B2:%[0-9]+]] = kpu.alloc : !kpu.buffer<16x32xbf16, l2>
// CHECK-NEXT:      kpu.load %b[0, 0] to [[B2]][0, 0] box [16, 32]
// CHECK-NEXT:      kpu.for i0 = 2 {
// CHECK-NEXT:        [[A2:%[0-9]+]] = kpu.alloc {buffers = 2 : i64} : !kpu.buffer<32x32xbf16, l2>
// CHECK-NEXT:        kpu.load %a[32*i0, 0] to [[A2]][0, 0] box [32, 32]
// CHECK-NEXT:        [[Y2:%[0-9]+]] = kpu.alloc {buffers = 2 : i64} : !kpu.buffer<32x16xf32, l2>
// CHECK-NEXT:        kpu.for i1 = 2 {
// CHECK-NEXT:          [[Y1:%[0-9]+]] = kpu.alloc {buffers = 2 : i64, group = "bf16"} : !kpu.buffer<4x16xf32, l1>
// CHECK-NEXT:          [[ACC:%[0-9]+]] = kpu.alloc {group = "bf16"} : !kpu.buffer<4x16xf32, l1>
// CHECK-NEXT:          kpu.for i2 = 2 {
// CHECK-NEXT:            [[A1:%[0-9]+]] = kpu.alloc {buffers = 2 : i64, group = "bf16"} : !kpu.buffer<4x16xbf16, l1>
// CHECK-NEXT:            kpu.push [[A2]][4*i1 + 8*t0, 16*i2] to [[A1]][0, 0] box [4, 16] tiles bf16 [0 : 4 x 1]
// CHECK-NEXT:            [[B1:%[0-9]+]] = kpu.alloc {buffers = 2 : i64, group = "bf16"} : !kpu.buffer<16x16xbf16, l1>
// CHECK-NEXT:            kpu.push [[B2]][0, 16*i2] to [[B1]][0, 0] box [16, 16] tiles bf16 [0 : 4 x 1]
// CHECK-NEXT:            kpu.exec @f0([[A1]][0, 0], [[B1]][0, 0]) -> [[Y1]][0, 0] box [4, 16, 16] accumulate [[ACC]][0, 0] over [2] tiles bf16 [0 : 4 x 1]
// CHECK-NEXT:          }
// CHECK-NEXT:          kpu.pull [[Y1]][0, 0] to [[Y2]][4*i1 + 8*t0, 0] box [4, 16] tiles bf16 [0 : 4 x 1]
// CHECK-NEXT:        }
// CHECK-NEXT:        kpu.store [[Y2]][0, 0] to %y[32*i0, 0] box [32, 16]
// CHECK-NEXT:      }
// CHECK-NEXT:    }
// CHECK-NEXT:    kpu.output "output" %y : !kpu.buffer<64x16xf32, dram>
func.func @main(%a: tensor<64x32xbf16>) -> tensor<64x16xf32> {
  %b = df.constant #nn.weight<"", "b"> : tensor<16x32xbf16>
  %y = df.recurrence (m = 64, n = 16 | k = 32)
    ins(%a[m, k] : tensor<64x32xbf16>, %b[n, k] : tensor<16x32xbf16>) mac
    epilogue(%acc: f32) { df.yield %acc : f32 } -> [m, n]
    mapping #df.mapping<l2 = {m = 32}, result = dram, parts = [
      <bf16, space = {m = 4}, l1 = {m = 4, k = 16}, order = [m, k], rows = [m], cols = [n], os, buffers = 2>]>
    : tensor<64x16xf32>
  func.return %y : tensor<64x16xf32>
}
