// RUN: swkpu-opt %s -p df-lower-copies | filecheck %s

// A copy of an input that one transfer can do stays; so does one that makes a result.
// CHECK-LABEL: func.func @boundary
// CHECK-NEXT:    %t = df.copy (i = 8, j = 2) %a[j, i] : tensor<2x8xf32>
// CHECK:         %u = df.copy (j = 2, i = 8) %r[i, j] : tensor<8x2xf32>
func.func @boundary(%a: tensor<2x8xf32>) -> tensor<2x8xf32> {
  %t = df.copy (i = 8, j = 2) %a[j, i] : tensor<2x8xf32>
  %r = df.recurrence (i = 8, j = 2) none with(%t[i, j] : tensor<8x2xf32>)
    epilogue(%v: f32) { df.yield %v : f32 } -> [i, j] : tensor<8x2xf32>
  %u = df.copy (j = 2, i = 8) %r[i, j] : tensor<8x2xf32>
  func.return %u : tensor<2x8xf32>
}

// No transfer repeats elements, or writes into a part: the tiles do.
// CHECK-LABEL: func.func @broadcast
// CHECK-NEXT:    %t = df.recurrence (i = 8, j = 2)
// CHECK-NEXT:        none with(%a[i] : tensor<8xf32>)
// CHECK-NEXT:        epilogue(%0: f32) {
// CHECK-NEXT:          df.yield %0 : f32
// CHECK-NEXT:        }
// CHECK-NEXT:        -> [i, j] {op = "copy"} : tensor<8x2xf32>
func.func @broadcast(%a: tensor<8xf32>) -> tensor<8x2xf32> {
  %t = df.copy (i = 8, j = 2) %a[i] : tensor<8xf32>
  func.return %t : tensor<8x2xf32>
}

// Outside its source a copy has its pad value, which inputs of a combiner can have: a maximum over one element.
// CHECK-LABEL: func.func @border
// CHECK:         %e = df.empty : tensor<12xf32>
// CHECK-NEXT:    %t = df.recurrence (i = 10)
// CHECK-NEXT:        ins(%a[i - 1] pad 2.5 : tensor<8xf32>)
// CHECK-NEXT:        max
// CHECK:         -> [i + 2] into %e {op = "copy"} : tensor<12xf32>
func.func @border(%a: tensor<8xf32>) -> tensor<12xf32> {
  %e = df.empty : tensor<12xf32>
  %t = df.copy (i = 10) %a[i - 1] pad 2.5 into %e[i + 2] : tensor<8xf32> into tensor<12xf32>
  func.return %t : tensor<12xf32>
}
