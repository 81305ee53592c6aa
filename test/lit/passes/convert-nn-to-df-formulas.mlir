// RUN: swkpu-opt %s --elide-weights -p convert-nn-to-df | filecheck %s
// RUN: swkpu-opt %s --elide-weights -p convert-nn-to-df,df-fuse | filecheck %s --check-prefix=FUSED

// An elementwise op is a formula: stored floats are computed in f32 and rounded once, at the end.
// CHECK-LABEL: func.func @silu
func.func @silu(%x: tensor<4x8xbf16>) -> tensor<4x8xbf16> {
  // CHECK:      df.recurrence (n = 4, c = 8)
  // CHECK-NEXT: none with(%x[n, c] : tensor<4x8xbf16>)
  // CHECK-NEXT: epilogue(%[[X:.*]]: bf16) {
  // CHECK-NEXT:   %[[W:.*]] = arith.extf %[[X]] : bf16 to f32
  // CHECK-NEXT:   %[[N:.*]] = arith.negf %[[W]] : f32
  // CHECK-NEXT:   %[[E:.*]] = math.exp %[[N]] : f32
  // CHECK-NEXT:   %[[ONE:.*]] = arith.constant 1.000000e+00 : f32
  // CHECK-NEXT:   %[[D:.*]] = arith.addf %[[E]], %[[ONE]] : f32
  // CHECK-NEXT:   %[[Q:.*]] = arith.divf %[[W]], %[[D]] : f32
  // CHECK-NEXT:   %[[R:.*]] = arith.truncf %[[Q]] : f32 to bf16
  // CHECK-NEXT:   df.yield %[[R]] : bf16
  %y = nn.silu %x : tensor<4x8xbf16>
  func.return %y : tensor<4x8xbf16>
}

// A comparison gives i1, a choice converts nothing, and both fuse. A constant of one element is in the epilogue.
// CHECK-LABEL: func.func @leaky
// FUSED-LABEL: func.func @leaky
func.func @leaky(%x: tensor<2x3xi32>) -> tensor<2x3xi32> {
  %c = nn.constant dense<7> : tensor<i32> : tensor<i32>
  // CHECK: arith.cmpi sgt, %{{.*}}, %{{.*}} : i32
  %more = nn.gt %x, %c : (tensor<2x3xi32>, tensor<i32>) -> tensor<2x3xi1>
  // FUSED:      df.recurrence (n = 2, c = 3)
  // FUSED-NEXT: none with(%x[n, c] : tensor<2x3xi32>)
  // FUSED-NEXT: epilogue(%[[X:.*]]: i32) {
  // FUSED-NEXT:   %[[SEVEN:.*]] = arith.constant 7 : i32
  // FUSED-NEXT:   %[[MORE:.*]] = arith.cmpi sgt, %[[X]], %[[SEVEN]] : i32
  // FUSED-NEXT:   %[[OTHER:.*]] = arith.constant 7 : i32
  // FUSED-NEXT:   arith.select %[[MORE]], %[[X]], %[[OTHER]] : i32
  %y = nn.where %more, %x, %c : (tensor<2x3xi1>, tensor<2x3xi32>, tensor<i32>) -> tensor<2x3xi32>
  func.return %y : tensor<2x3xi32>
}

// A running product: windows of elements that end at each place; before the first there is 1.
// CHECK-LABEL: func.func @cumprod
func.func @cumprod(%x: tensor<2x5xf32>) -> tensor<2x5xf32> {
  // CHECK:      df.recurrence (n = 2, c = 5 | window = 5)
  // CHECK-NEXT: ins(%x[n, c + window - 4] pad 1.0 : tensor<2x5xf32>)
  // CHECK-NEXT: mul
  %y = nn.cumprod %x dim 1 : (tensor<2x5xf32>) -> tensor<2x5xf32>
  func.return %y : tensor<2x5xf32>
}

// A hundred elements: windows of 10, then windows of 10 of those.
// CHECK-LABEL: func.func @cummin
func.func @cummin(%x: tensor<100xi32>) -> tensor<100xi32> {
  // CHECK:      df.recurrence (c = 100 | window = 10)
  // CHECK-NEXT: ins(%x[c + window - 9] pad max : tensor<100xi32>)
  // CHECK:      df.recurrence (c = 100 | window = 10)
  // CHECK-NEXT: ins(%{{.*}}[c + 10*window - 90] pad max : tensor<100xi32>)
  %y = nn.cummin %x dim 0 : (tensor<100xi32>) -> tensor<100xi32>
  func.return %y : tensor<100xi32>
}

// The largest, then the first index where it stands.
// CHECK-LABEL: func.func @argmax
func.func @argmax(%x: tensor<4x9xf32>) -> tensor<4xi64> {
  // CHECK:      df.recurrence (n = 4, c1 = 1 | c = 9)
  // CHECK:      max
  // CHECK:      arith.cmpf oeq
  // CHECK:      arith.cmpf uno
  // CHECK:      df.recurrence (n = 4 | c = 9)
  // CHECK-NEXT: ins(%{{.*}}[n, c] : tensor<4x9xi32>)
  // CHECK-NEXT: min
  // CHECK:      arith.extsi %{{.*}} : i32 to i64
  %y = nn.argmax %x dim 1 {keepdim = false} : (tensor<4x9xf32>) -> tensor<4xi64>
  func.return %y : tensor<4xi64>
}
