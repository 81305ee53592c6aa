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

// A copy that reads outside its tensor gives its pad value there; so does its reader then.
// CHECK-LABEL: func.func @zeros
// CHECK-NEXT:    %y = df.recurrence (n = 8 | k = 3)
// CHECK-NEXT:        ins(%a[n + k - 1] pad 2.0 : tensor<8xf32>)
func.func @zeros(%a: tensor<8xf32>) -> tensor<8xf32> {
  %t = df.copy (i = 10) %a[i - 1] pad 2.0 : tensor<8xf32>
  %y = df.recurrence (n = 8 | k = 3) ins(%t[n + k] : tensor<10xf32>) max
    epilogue(%acc: f32) { df.yield %acc : f32 } -> [n] : tensor<8xf32>
  func.return %y : tensor<8xf32>
}

// Two borders of one value are one border.
// CHECK-LABEL: func.func @two_borders
// CHECK-NEXT:    %y = df.recurrence (n = 10 | k = 3)
// CHECK-NEXT:        ins(%a[n + k - 2] : tensor<8xf32>)
func.func @two_borders(%a: tensor<8xf32>) -> tensor<10xf32> {
  %t = df.copy (i = 10) %a[i - 1] : tensor<8xf32>
  %y = df.recurrence (n = 10 | k = 3) ins(%t[n + k - 1] : tensor<10xf32>) add
    epilogue(%acc: f32) { df.yield %acc : f32 } -> [n] : tensor<10xf32>
  func.return %y : tensor<10xf32>
}

// Borders of different values are not, nor is a border that begins inside the source of a slice.
// CHECK-LABEL: func.func @different_borders
// CHECK:         %t = df.copy
// CHECK:         ins(%t[n + k - 1] pad min : tensor<10xf32>)
func.func @different_borders(%a: tensor<8xf32>) -> tensor<10xf32> {
  %t = df.copy (i = 10) %a[i - 1] : tensor<8xf32>
  %y = df.recurrence (n = 10 | k = 3) ins(%t[n + k - 1] pad min : tensor<10xf32>) max
    epilogue(%acc: f32) { df.yield %acc : f32 } -> [n] : tensor<10xf32>
  func.return %y : tensor<10xf32>
}

// CHECK-LABEL: func.func @slice_then_border
// CHECK:         ins(%t[n + k - 1] : tensor<4xf32>)
func.func @slice_then_border(%a: tensor<8xf32>) -> tensor<4xf32> {
  %t = df.copy (i = 4) %a[i + 2] : tensor<8xf32>
  %y = df.recurrence (n = 4 | k = 3) ins(%t[n + k - 1] : tensor<4xf32>) add
    epilogue(%acc: f32) { df.yield %acc : f32 } -> [n] : tensor<4xf32>
  func.return %y : tensor<4xf32>
}

// A border along one dim does not mind a slice along another.
// CHECK-LABEL: func.func @slice_beside_border
// CHECK-NEXT:    %y = df.recurrence (n = 8, c = 2 | k = 3)
// CHECK-NEXT:        ins(%a[n + k - 1, c + 1] : tensor<8x4xf32>)
func.func @slice_beside_border(%a: tensor<8x4xf32>) -> tensor<8x2xf32> {
  %t = df.copy (i = 8, j = 2) %a[i, j + 1] : tensor<8x4xf32>
  %y = df.recurrence (n = 8, c = 2 | k = 3) ins(%t[n + k - 1, c] : tensor<8x2xf32>) add
    epilogue(%acc: f32) { df.yield %acc : f32 } -> [n, c] : tensor<8x2xf32>
  func.return %y : tensor<8x2xf32>
}

// A reshape that splits dims moves into reads, one that merges them into the write.
// CHECK-LABEL: func.func @heads
// CHECK-NEXT:    %y = df.recurrence (h = 2, t = 3, d = 4)
// CHECK-NEXT:        none with(%a[t, 4*h + d] : tensor<3x8xf32>)
// CHECK:         -> [t, 4*h + d] : tensor<3x8xf32>
// CHECK-NEXT:    func.return %y
func.func @heads(%a: tensor<3x8xf32>) -> tensor<3x8xf32> {
  %s = df.reshape %a : tensor<3x8xf32> to tensor<3x2x4xf32>
  %p = df.copy (h = 2, t = 3, d = 4) %s[t, h, d] : tensor<3x2x4xf32>
  %x = df.recurrence (h = 2, t = 3, d = 4) none with(%p[h, t, d] : tensor<2x3x4xf32>)
    epilogue(%v: f32) { df.yield %v : f32 } -> [h, t, d] : tensor<2x3x4xf32>
  %q = df.copy (t = 3, h = 2, d = 4) %x[h, t, d] : tensor<2x3x4xf32>
  %y = df.reshape %q : tensor<3x2x4xf32> to tensor<3x8xf32>
  func.return %y : tensor<3x8xf32>
}

// Makers of the parts of a concatenation write their parts; whoever else reads a part reads it there.
// CHECK-LABEL: func.func @concat
// CHECK-NEXT:    %e = df.empty : tensor<7xf32>
// CHECK-NEXT:    %[[A:.*]] = df.recurrence (i = 3)
// CHECK:         -> [i] into %e : tensor<7xf32>
// CHECK-NEXT:    %[[B:.*]] = df.recurrence (i = 4)
// CHECK:         -> [i + 3] into %[[A]] : tensor<7xf32>
// CHECK-NEXT:    %z = df.recurrence (i = 4)
// CHECK-NEXT:        none with(%[[B]][i + 3] : tensor<7xf32>)
// CHECK:         func.return %[[B]], %z
func.func @concat(%a: tensor<3xf32>, %b: tensor<4xf32>) -> (tensor<7xf32>, tensor<4xf32>) {
  %x = df.recurrence (i = 3) none with(%a[i] : tensor<3xf32>)
    epilogue(%v: f32) { df.yield %v : f32 } -> [i] : tensor<3xf32>
  %y = df.recurrence (i = 4) none with(%b[i] : tensor<4xf32>)
    epilogue(%v: f32) { df.yield %v : f32 } -> [i] : tensor<4xf32>
  %e = df.empty : tensor<7xf32>
  %c = df.copy (i = 3) %x[i] into %e[i] : tensor<3xf32> into tensor<7xf32>
  %d = df.copy (i = 4) %y[i] into %c[i + 3] : tensor<4xf32> into tensor<7xf32>
  %z = df.recurrence (i = 4) none with(%y[i] : tensor<4xf32>)
    epilogue(%v: f32) { df.yield %v : f32 } -> [i] : tensor<4xf32>
  func.return %d, %z : tensor<7xf32>, tensor<4xf32>
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
