// RUN: swkpu-opt %s --print-op-generic | filecheck %s
// RUN: swkpu-opt %s --print-op-generic | swkpu-opt | filecheck %s --check-prefix=CUSTOM

func.func @main(%a: tensor<4x8xbf16>, %b: tensor<2x8xbf16>) -> tensor<4x2xf32> {
  %0 = df.copy (n = 2, k = 8) %b[n, k] : tensor<2x8xbf16>
  %1 = df.recurrence (m = 4, n = 2 | k = 8) ins(%a[m, k] : tensor<4x8xbf16>, %0[n, k] : tensor<2x8xbf16>) mac
    epilogue(%acc: f32) { df.yield %acc : f32 } -> [m, n] : tensor<4x2xf32>
  func.return %1 : tensor<4x2xf32>
}

// CHECK:      %0 = "df.copy"(%b) <{domain = #df.domain(n = 2, k = 8), map = affine_map<(d0, d1) -> (d0, d1)>}> : (tensor<2x8xbf16>) -> tensor<2x8xbf16>
// CHECK-NEXT: %1 = "df.recurrence"(%a, %0) <{domain = #df.domain(m = 4, n = 2 | k = 8), maps = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>], pads = [0.000000e+00 : f64, 0.000000e+00 : f64], combiner = "mac", operandSegmentSizes = array<i32: 2, 0, 0>}> ({
// CHECK-NEXT: ^bb0(%acc: f32):
// CHECK-NEXT:   "df.yield"(%acc) : (f32) -> ()
// CHECK-NEXT: }) : (tensor<4x8xbf16>, tensor<2x8xbf16>) -> tensor<4x2xf32>

// CUSTOM:      %0 = df.copy (n = 2, k = 8) %b[n, k] : tensor<2x8xbf16>
// CUSTOM-NEXT: %1 = df.recurrence (m = 4, n = 2 | k = 8)
// CUSTOM-NEXT:     ins(%a[m, k] : tensor<4x8xbf16>, %0[n, k] : tensor<2x8xbf16>)
// CUSTOM-NEXT:     mac
