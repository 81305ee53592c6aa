// RUN: swkpu-opt %s -p convert-df-to-kpu,kpu-assign-memory | filecheck %s

// Two recurrences in one layer, by rows: %s stays in L1, where %y reads it. What both read is brought in once.

// CHECK:         kpu.layer "y" info {op = "none", macs = 0 : i64, mac_type = "", estimated_cycles = 0 : i64, mapping = #df.mapping<result = dram,
// CHECK-SAME:      members = ["max", "none"]
// CHECK:           kpu.for i0 = 2 {
// CHECK-NEXT:        [[X:%[0-9]+]] = kpu.alloc {buffers = 2 : i64, group = "int8", address = 0 : i64} : !kpu.buffer<2x16xf32, l1>
// CHECK-NEXT:        kpu.push %{{[0-9]+}}[2*i0 + 4*t0, 0] to [[X]][0, 0] box [2, 16] tiles int8 [0 : 2 x 1]
// CHECK-NEXT:        [[S:%[0-9]+]] = kpu.alloc {group = "int8", address = 512 : i64} : !kpu.buffer<2xf32, l1>
// CHECK-NEXT:        kpu.exec @f0([[X]][0, 0]) -> [[S]][0] box [2, 16] tiles int8 [0 : 2 x 1]
// CHECK-NEXT:        [[Y:%[0-9]+]] = kpu.alloc {buffers = 2 : i64, group = "int8", address = 256 : i64} : !kpu.buffer<2x16xf32, l1>
// CHECK-NEXT:        kpu.exec @f1([[X]][0, 0], [[S]][0]) -> [[Y]][0, 0] box [2, 16] tiles int8 [0 : 2 x 1]
// CHECK-NEXT:        kpu.pull [[Y]][0, 0] to %{{[0-9]+}}[2*i0 + 4*t0, 0] box [2, 16] tiles int8 [0 : 2 x 1]
// CHECK-NEXT:      }
func.func @main(%x: tensor<8x16xf32>) -> tensor<8x16xf32> {
  %s = df.recurrence (t = 8 | c = 16) ins(%x[t, c] : tensor<8x16xf32>) max
    epilogue(%a: f32) { df.yield %a : f32 } -> [t]
    mapping #df.mapping<result = l1, parts = [<int8, space = {t = 2}, l1 = {t = 2}, order = [t]>]> : tensor<8xf32>
  %y = df.recurrence (row = 8, col = 16) none with(%x[row, col] : tensor<8x16xf32>, %s[row] : tensor<8xf32>)
    epilogue(%a: f32, %m: f32) {
      %0 = arith.subf %a, %m : f32
      df.yield %0 : f32
    } -> [row, col]
    mapping #df.mapping<result = dram, parts = [<int8, space = {row = 2}, l1 = {row = 2}, order = [row]>]> : tensor<8x16xf32>
  func.return %y : tensor<8x16xf32>
}
