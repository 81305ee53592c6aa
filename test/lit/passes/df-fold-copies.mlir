// RUN: swkpu-opt %s -p df-fold-copies | filecheck %s

// A transpose moves into the access map of its reader.
// CHECK-LABEL: func.func @transpose
// CHECK-NEXT:    %y = df.recurrence (m = 4, n = 2 | k = 8)
// CHECK-NEXT:        ins(%a[k, m] : tensor<8x4xf32>, %b[n, k] : tensor<2x8xf32>)
func.func @transpose(%a: tensor<8x4xf32>, %b: tensor<2x8xf32>) -> tensor<4x2xf32> {
  %t = df.copy (m = 4, k = 8) %a[k, m] : tensor<8x4xf32>
  %y = df.recurrence (m = 4, n = 2 | k = 8) ins(%t[m, k] : tensor<4x8xf32>, %b[n, k] : tensor<2x8xf32>) mac
    epilogue(%acc: f32) { df.yield %acc : f32 } -> [m, n] : tensor<4x2xf32>
  func.return %y : tensor<4x2xf32>
}

// So does a strided slice of a transpose.
// CHECK-LABEL: func.func @chain
// CHECK-NEXT:    %y = df.recurrence (n = 4 | k = 5)
// CHECK-NEXT:        ins(%a[2*k, 3*n + 1] : tensor<10x20xf32>)
func.func @chain(%a: tensor<10x20xf32>) -> tensor<4xf32> {
  %t = df.copy (i = 20, j = 10) %a[j, i] : tensor<10x20xf32>
  %s = df.copy (i = 4, j = 5) %t[3*i + 1, 2*j] : tensor<20x10xf32>
  %y = df.recurrence (n = 4 | k = 5) ins(%s[n, k] : tensor<4x5xf32>) add
    epilogue(%acc: f32) { df.yield %acc : f32 } -> [n] : tensor<4xf32>
  func.return %y : tensor<4xf32>
}

// A copy that reads outside its tensor gives zeros there, which no access map can.
// CHECK-LABEL: func.func @zeros
// CHECK-NEXT:    %t = df.copy (i = 10) %a[i - 1] : tensor<8xf32>
// CHECK-NEXT:    %y = df.recurrence (n = 8 | k = 3)
// CHECK-NEXT:        ins(%t[n + k] : tensor<10xf32>)
func.func @zeros(%a: tensor<8xf32>) -> tensor<8xf32> {
  %t = df.copy (i = 10) %a[i - 1] : tensor<8xf32>
  %y = df.recurrence (n = 8 | k = 3) ins(%t[n + k] : tensor<10xf32>) max
    epilogue(%acc: f32) { df.yield %acc : f32 } -> [n] : tensor<8xf32>
  func.return %y : tensor<8xf32>
}

// Where the copy itself is wanted it stays, for those who want it.
// CHECK-LABEL: func.func @returned
// CHECK-NEXT:    %t = df.copy (i = 8, j = 2) %a[j, i] : tensor<2x8xf32>
// CHECK-NEXT:    %y = df.recurrence (n = 8 | j = 2)
// CHECK-NEXT:        ins(%a[j, n] : tensor<2x8xf32>)
// CHECK:         func.return %t, %y
func.func @returned(%a: tensor<2x8xf32>) -> (tensor<8x2xf32>, tensor<8xf32>) {
  %t = df.copy (i = 8, j = 2) %a[j, i] : tensor<2x8xf32>
  %y = df.recurrence (n = 8 | j = 2) ins(%t[n, j] : tensor<8x2xf32>) add
    epilogue(%acc: f32) { df.yield %acc : f32 } -> [n] : tensor<8xf32>
  func.return %t, %y : tensor<8x2xf32>, tensor<8xf32>
}
