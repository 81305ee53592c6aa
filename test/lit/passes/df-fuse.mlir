// RUN: swkpu-opt %s -p df-fuse | filecheck %s

// A convolution, its bias, a relu, a residual and the rounding are one recurrence.
// CHECK-LABEL: func.func @conv_block
// CHECK-NEXT:    %conv = df.recurrence (n = 1, oh = 6, ow = 6, oc = 8 | kh = 3, kw = 3, ic = 8)
// CHECK-NEXT:        ins(%x[n, oh + kh - 1, ow + kw - 1, ic] : tensor<1x6x6x8xbf16>, %w[oc, kh, kw, ic] : tensor<8x3x3x8xbf16>)
// CHECK-NEXT:        mac with(%b[oc] : tensor<8xf32>, %r[n, oh, ow, oc] : tensor<1x6x6x8xbf16>)
// CHECK-NEXT:        epilogue(%acc: f32, %bias: f32, %res: bf16) {
// CHECK-NEXT:          %0 = arith.addf %acc, %bias : f32
// CHECK-NEXT:          %zero = arith.constant 0.000000e+00 : f32
// CHECK-NEXT:          %1 = arith.maximumf %0, %zero : f32
// CHECK-NEXT:          %wide = arith.extf %res : bf16 to f32
// CHECK-NEXT:          %2 = arith.addf %1, %wide : f32
// CHECK-NEXT:          %3 = arith.truncf %2 : f32 to bf16
// CHECK-NEXT:          df.yield %3 : bf16
// CHECK-NEXT:        }
// CHECK-NEXT:        -> [n, oh, ow, oc] {op = "conv2d"} : tensor<1x6x6x8xbf16>
// CHECK-NEXT:    func.return %conv : tensor<1x6x6x8xbf16>
func.func @conv_block(%x: tensor<1x6x6x8xbf16>, %w: tensor<8x3x3x8xbf16>, %b: tensor<8xf32>, %r: tensor<1x6x6x8xbf16>) -> tensor<1x6x6x8xbf16> {
  %conv = df.recurrence (n = 1, oh = 6, ow = 6, oc = 8 | kh = 3, kw = 3, ic = 8)
    ins(%x[n, oh + kh - 1, ow + kw - 1, ic] : tensor<1x6x6x8xbf16>, %w[oc, kh, kw, ic] : tensor<8x3x3x8xbf16>) mac
    epilogue(%acc: f32) { df.yield %acc : f32 } -> [n, oh, ow, oc] {op = "conv2d"} : tensor<1x6x6x8xf32>
  %biased = df.recurrence (n = 1, h = 6, w = 6, c = 8)
    none with(%conv[n, h, w, c] : tensor<1x6x6x8xf32>, %b[c] : tensor<8xf32>)
    epilogue(%a: f32, %bias: f32) {
      %0 = arith.addf %a, %bias : f32
      df.yield %0 : f32
    } -> [n, h, w, c] : tensor<1x6x6x8xf32>
  %relu = df.recurrence (n = 1, h = 6, w = 6, c = 8) none with(%biased[n, h, w, c] : tensor<1x6x6x8xf32>)
    epilogue(%a: f32) {
      %zero = arith.constant 0.0 : f32
      %0 = arith.maximumf %a, %zero : f32
      df.yield %0 : f32
    } -> [n, h, w, c] : tensor<1x6x6x8xf32>
  %sum = df.recurrence (n = 1, h = 6, w = 6, c = 8)
    none with(%r[n, h, w, c] : tensor<1x6x6x8xbf16>, %relu[n, h, w, c] : tensor<1x6x6x8xf32>)
    epilogue(%res: bf16, %a: f32) {
      %wide = arith.extf %res : bf16 to f32
      %0 = arith.addf %a, %wide : f32
      %1 = arith.truncf %0 : f32 to bf16
      df.yield %1 : bf16
    } -> [n, h, w, c] : tensor<1x6x6x8xbf16>
  func.return %sum : tensor<1x6x6x8xbf16>
}

// A result that is read transposed fuses too: the access is a permutation of the identity.
// CHECK-LABEL: func.func @transposed
// CHECK-NEXT:    %y = df.recurrence (m = 4, n = 2 | k = 8)
// CHECK:             %0 = arith.negf %acc : f32
// CHECK:             -> [n, m] : tensor<2x4xf32>
// CHECK-NEXT:    func.return %y : tensor<2x4xf32>
func.func @transposed(%a: tensor<4x8xf32>, %b: tensor<2x8xf32>) -> tensor<2x4xf32> {
  %y = df.recurrence (m = 4, n = 2 | k = 8) ins(%a[m, k] : tensor<4x8xf32>, %b[n, k] : tensor<2x8xf32>) mac
    epilogue(%acc: f32) { df.yield %acc : f32 } -> [m, n] : tensor<4x2xf32>
  %neg = df.recurrence (i = 2, j = 4) none with(%y[j, i] : tensor<4x2xf32>)
    epilogue(%e: f32) {
      %0 = arith.negf %e : f32
      df.yield %0 : f32
    } -> [i, j] : tensor<2x4xf32>
  func.return %neg : tensor<2x4xf32>
}

// A result that something else reads as well stays.
// CHECK-LABEL: func.func @two_users
// CHECK:         %y = df.recurrence (m = 4, n = 2 | k = 8)
// CHECK:         %neg = df.recurrence (m = 4, n = 2)
// CHECK-NEXT:        none with(%y[m, n] : tensor<4x2xf32>)
// CHECK:         func.return %y, %neg
func.func @two_users(%a: tensor<4x8xf32>, %b: tensor<2x8xf32>) -> (tensor<4x2xf32>, tensor<4x2xf32>) {
  %y = df.recurrence (m = 4, n = 2 | k = 8) ins(%a[m, k] : tensor<4x8xf32>, %b[n, k] : tensor<2x8xf32>) mac
    epilogue(%acc: f32) { df.yield %acc : f32 } -> [m, n] : tensor<4x2xf32>
  %neg = df.recurrence (m = 4, n = 2) none with(%y[m, n] : tensor<4x2xf32>)
    epilogue(%e: f32) {
      %0 = arith.negf %e : f32
      df.yield %0 : f32
    } -> [m, n] : tensor<4x2xf32>
  func.return %y, %neg : tensor<4x2xf32>, tensor<4x2xf32>
}

// So does one that is broadcast: its epilogue would run once per element of the larger result.
// CHECK-LABEL: func.func @broadcast
// CHECK:         %s = df.recurrence (m = 4 | k = 8)
// CHECK:         %neg = df.recurrence (m = 4, n = 2)
// CHECK-NEXT:        none with(%s[m] : tensor<4xf32>)
func.func @broadcast(%a: tensor<4x8xf32>) -> tensor<4x2xf32> {
  %s = df.recurrence (m = 4 | k = 8) ins(%a[m, k] : tensor<4x8xf32>) add
    epilogue(%acc: f32) { df.yield %acc : f32 } -> [m] : tensor<4xf32>
  %neg = df.recurrence (m = 4, n = 2) none with(%s[m] : tensor<4xf32>)
    epilogue(%e: f32) {
      %0 = arith.negf %e : f32
      df.yield %0 : f32
    } -> [m, n] : tensor<4x2xf32>
  func.return %neg : tensor<4x2xf32>
}

// What a contraction reads once per result, and nobody else reads, is computed where it is added. What is broadcast is not:
// it would be computed for every result.
// CHECK-LABEL: func.func @operand
// CHECK-NEXT:    %half = df.recurrence (i = 2)
// CHECK:         %y = df.recurrence (m = 4, n = 2 | k = 8)
// CHECK-NEXT:        ins(%a[m, k] : tensor<4x8xf32>, %b[n, k] : tensor<2x8xf32>)
// CHECK-NEXT:        mac with(%half[n] : tensor<2xf32>, %r[n, m] : tensor<2x4xbf16>)
// CHECK-NEXT:        epilogue(%acc: f32, %h: f32, %e_1: bf16) {
// CHECK-NEXT:          %wide = arith.extf %e_1 : bf16 to f32
// CHECK-NEXT:          %1 = arith.addf %acc, %wide : f32
// CHECK-NEXT:          %2 = arith.mulf %1, %h : f32
func.func @operand(%a: tensor<4x8xf32>, %b: tensor<2x8xf32>, %r: tensor<2x4xbf16>, %s: tensor<2xf32>) -> tensor<4x2xf32> {
  %rest = df.recurrence (i = 4, j = 2) none with(%r[j, i] : tensor<2x4xbf16>)
    epilogue(%e: bf16) {
      %wide = arith.extf %e : bf16 to f32
      df.yield %wide : f32
    } -> [i, j] : tensor<4x2xf32>
  %half = df.recurrence (i = 2) none with(%s[i] : tensor<2xf32>)
    epilogue(%e: f32) {
      %0 = arith.mulf %e, %e : f32
      df.yield %0 : f32
    } -> [i] : tensor<2xf32>
  %y = df.recurrence (m = 4, n = 2 | k = 8)
    ins(%a[m, k] : tensor<4x8xf32>, %b[n, k] : tensor<2x8xf32>)
    mac with(%rest[m, n] : tensor<4x2xf32>, %half[n] : tensor<2xf32>)
    epilogue(%acc: f32, %x: f32, %h: f32) {
      %0 = arith.addf %acc, %x : f32
      %1 = arith.mulf %0, %h : f32
      df.yield %1 : f32
    } -> [m, n] : tensor<4x2xf32>
  func.return %y : tensor<4x2xf32>
}
