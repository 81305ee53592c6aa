// RUN: swkpu-opt %s -p 'df-choose-mapping{groups=false}' | filecheck %s
// RUN: swkpu-opt %s -p 'df-choose-mapping{target=kpu-t64 profile=3W groups=false}' | filecheck %s
// RUN: swkpu-opt %s -p df-choose-mapping | filecheck %s --check-prefix=GROUP
// RUN: not swkpu-opt %s -p 'df-choose-mapping{target=kpu-t65}' 2>&1 | filecheck %s --check-prefix=TARGET
// RUN: not swkpu-opt %s -p 'df-choose-mapping{profile=99W}' 2>&1 | filecheck %s --check-prefix=PROFILE

// TARGET: error: unknown target 'kpu-t65'{{.*}}expected one of {{.*}}kpu-t64
// TARGET-NEXT: note: in pass df-choose-mapping{target="kpu-t65"}
// PROFILE: error: target 'kpu-t64' has no power profile '99W'; it has: 3W, 6W, 10W

// In a group the result of the first stays in L1; the estimate for both is at the last.
// GROUP-LABEL: func.func @main
// GROUP:         %y = df.recurrence (m = 64, n = 16 | k = 32)
// GROUP:             mapping #df.mapping<result = l1, {{(split = [mn], )?}}parts = [<
// GROUP:         %z = df.recurrence (m = 64, n = 16)
// GROUP:             mapping #df.mapping<result = dram, {{.*}}cycles = {{[0-9]+}}, parts = [<

// The result of the first stays in L2 for the second; that of the second is the function's, and goes to DRAM.
// CHECK-LABEL: func.func @main
// CHECK:         %y = df.recurrence (m = 64, n = 16 | k = 32)
// CHECK:             mapping #df.mapping<{{.*}}result = l2, {{.*}}cycles = {{[0-9]+}}, parts = [<{{.*}}rows = [{{.*}}], cols = [{{.*}}]
// CHECK:         %z = df.recurrence (m = 64, n = 16)
// CHECK:             mapping #df.mapping<{{.*}}result = dram, {{.*}}parts = [<{{.*}}
func.func @main(%a: tensor<64x32xbf16>) -> tensor<64x16xf32> {
  %b = df.constant #nn.weight<"", "b"> : tensor<16x32xbf16>
  %y = df.recurrence (m = 64, n = 16 | k = 32)
    ins(%a[m, k] : tensor<64x32xbf16>, %b[n, k] : tensor<16x32xbf16>) mac
    epilogue(%acc: f32) { df.yield %acc : f32 } -> [m, n] : tensor<64x16xf32>
  %z = df.recurrence (m = 64, n = 16) none with(%y[m, n] : tensor<64x16xf32>)
    epilogue(%e: f32) {
      %0 = arith.negf %e : f32
      df.yield %0 : f32
    } -> [m, n] : tensor<64x16xf32>
  func.return %z : tensor<64x16xf32>
}

// A mapping that someone wrote stays as it is.
// CHECK-LABEL: func.func @by_hand
// CHECK:         mapping #df.mapping<result = dram, parts = [<int8, space = {m = 2}, l1 = {m = 1}, order = [m], rows = [m], cols = [n], ws, buffers = 3>]> : tensor<64x16xf32>
func.func @by_hand(%a: tensor<64x32xbf16>, %b: tensor<16x32xbf16>) -> tensor<64x16xf32> {
  %y = df.recurrence (m = 64, n = 16 | k = 32)
    ins(%a[m, k] : tensor<64x32xbf16>, %b[n, k] : tensor<16x32xbf16>) mac
    epilogue(%acc: f32) { df.yield %acc : f32 } -> [m, n]
    mapping #df.mapping<result = dram, parts = [
      <int8, space = {m = 2}, l1 = {m = 1}, order = [m], rows = [m], cols = [n], ws, buffers = 3>]>
    : tensor<64x16xf32>
  func.return %y : tensor<64x16xf32>
}
