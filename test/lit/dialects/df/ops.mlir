// RUN: swkpu-opt %s | swkpu-opt | filecheck %s

// A convolution with a bias, and a rounding cast: reads outside %x give the pad value.
// CHECK-LABEL: func.func @conv
func.func @conv(%x: tensor<1x8x6x4xbf16>, %w: tensor<16x3x3x4xbf16>, %b: tensor<16xf32>) -> tensor<1x4x3x16xbf16> {
  // CHECK-NEXT: %y = df.recurrence (n = 1, oh = 4, ow = 3, oc = 16 | kh = 3, kw = 3, ic = 4)
  // CHECK-NEXT:     ins(%x[n, 2*oh + kh - 1, 2*ow + kw - 1, ic] pad 1.5 : tensor<1x8x6x4xbf16>, %w[oc, kh, kw, ic] : tensor<16x3x3x4xbf16>)
  // CHECK-NEXT:     mac with(%b[oc] : tensor<16xf32>)
  // CHECK-NEXT:     epilogue(%acc: f32, %bias: f32) {
  // CHECK-NEXT:       %sum = arith.addf %acc, %bias : f32
  // CHECK-NEXT:       %rounded = arith.truncf %sum : f32 to bf16
  // CHECK-NEXT:       df.yield %rounded : bf16
  // CHECK-NEXT:     }
  // CHECK-NEXT:     -> [n, oh, ow, oc] {op = "conv2d"} : tensor<1x4x3x16xbf16>
  %y = df.recurrence (n = 1, oh = 4, ow = 3, oc = 16 | kh = 3, kw = 3, ic = 4)
    ins(%x[n, 2*oh + kh - 1, 2*ow + kw - 1, ic] pad 1.5 : tensor<1x8x6x4xbf16>,
        %w[oc, kh, kw, ic] : tensor<16x3x3x4xbf16>)
    mac with(%b[oc] : tensor<16xf32>)
    epilogue(%acc: f32, %bias: f32) {
      %sum = arith.addf %acc, %bias : f32
      %rounded = arith.truncf %sum : f32 to bf16
      df.yield %rounded : bf16
    } -> [n, oh, ow, oc] {op = "conv2d"} : tensor<1x4x3x16xbf16>
  func.return %y : tensor<1x4x3x16xbf16>
}

// A max keeps the input's type, and its padding is the type's least value. The result's dims are in another order.
// CHECK-LABEL: func.func @max_pool
func.func @max_pool(%x: tensor<4x6x8xbf16>) -> tensor<8x2x3xbf16> {
  // CHECK-NEXT: %y = df.recurrence (oh = 2, ow = 3, c = 8 | kh = 3, kw = 3)
  // CHECK-NEXT:     ins(%x[2*oh + kh - 1, 2*ow + kw - 1, c] pad min : tensor<4x6x8xbf16>)
  // CHECK-NEXT:     max
  // CHECK-NEXT:     epilogue(%acc: bf16) {
  // CHECK-NEXT:       df.yield %acc : bf16
  // CHECK-NEXT:     }
  // CHECK-NEXT:     -> [c, oh, ow] : tensor<8x2x3xbf16>
  %y = df.recurrence (oh = 2, ow = 3, c = 8 | kh = 3, kw = 3)
    ins(%x[2*oh + kh - 1, 2*ow + kw - 1, c] pad min : tensor<4x6x8xbf16>) max
    epilogue(%acc: bf16) { df.yield %acc : bf16 } -> [c, oh, ow] : tensor<8x2x3xbf16>
  func.return %y : tensor<8x2x3xbf16>
}

// A recurrence that combines nothing is elementwise.
// CHECK-LABEL: func.func @add
func.func @add(%x: tensor<4x8xf32>, %row: tensor<8xf32>) -> tensor<4x8xf32> {
  // CHECK-NEXT: %y = df.recurrence (n = 4, c = 8)
  // CHECK-NEXT:     none with(%x[n, c] : tensor<4x8xf32>, %row[c] : tensor<8xf32>)
  // CHECK-NEXT:     epilogue(%a: f32, %b: f32) {
  // CHECK:          -> [n, c] : tensor<4x8xf32>
  %y = df.recurrence (n = 4, c = 8) none with(%x[n, c] : tensor<4x8xf32>, %row[c] : tensor<8xf32>)
    epilogue(%a: f32, %b: f32) {
      %s = arith.addf %a, %b : f32
      df.yield %s : f32
    } -> [n, c] : tensor<4x8xf32>
  func.return %y : tensor<4x8xf32>
}

// A mapping stands with its recurrence. Every field; those that were left out get their defaults.
// CHECK-LABEL: func.func @mapped
func.func @mapped(%a: tensor<64x32xbf16>, %b: tensor<16x32xbf16>) -> tensor<64x16xf32> {
  // CHECK:      -> [m, n]
  // CHECK-NEXT: mapping #df.mapping<l2 = {m = 32}, stream_buffers = 3, result = dram, split = m, cycles = 1234, parts = [<bf16, share = [0, 24], space = {m = 4, n = 2}, l1 = {m = 2, k = 8}, order = [m, k], rows = [m], cols = [n], ws, buffers = 2>, <matrix, share = [24, 32], space = {m = 8}, l1 = {}, order = [], rows = [m], cols = [n], os, buffers = 1>]> : tensor<64x16xf32>
  %y = df.recurrence (m = 64, n = 16 | k = 32)
    ins(%a[m, k] : tensor<64x32xbf16>, %b[n, k] : tensor<16x32xbf16>) mac
    epilogue(%acc: f32) { df.yield %acc : f32 } -> [m, n]
    mapping #df.mapping<
      l2 = {m = 32}, split = m, stream_buffers = 3, cycles = 1234, result = dram,
      parts = [<bf16, share = [0, 24], space = {m = 4, n = 2}, l1 = {m = 2, k = 8}, order = [m, k],
                rows = [m], cols = [n], ws>,
               <matrix, share = [24, 32], space = {m = 8}, rows = [m], cols = [n], buffers = 1>]>
    : tensor<64x16xf32>
  func.return %y : tensor<64x16xf32>
}

// CHECK-LABEL: func.func @movement
func.func @movement(%x: tensor<1x4x6x8xbf16>) -> tensor<8x24xbf16> {
  // CHECK-NEXT: %w = df.constant #nn.weight<"model.safetensors", "conv1.weight"> : tensor<64x3x7x7xf32>
  %w = df.constant #nn.weight<"model.safetensors", "conv1.weight"> : tensor<64x3x7x7xf32>
  // CHECK-NEXT: %p = df.constant #nn.weight<"model.safetensors", "conv1.weight"> permuted [0, 2, 3, 1] : tensor<64x7x7x3xf32>
  %p = df.constant #nn.weight<"model.safetensors", "conv1.weight"> permuted [0, 2, 3, 1] : tensor<64x7x7x3xf32>
  // CHECK-NEXT: %t = df.copy (n = 1, c = 8, h = 4, w = 6) %x[n, h, w, c] : tensor<1x4x6x8xbf16>
  %t = df.copy (n = 1, c = 8, h = 4, w = 6) %x[n, h, w, c] : tensor<1x4x6x8xbf16>
  // CHECK-NEXT: %r = df.reshape %t : tensor<1x8x4x6xbf16> to tensor<8x24xbf16>
  %r = df.reshape %t : tensor<1x8x4x6xbf16> to tensor<8x24xbf16>
  func.return %r : tensor<8x24xbf16>
}

// Access expressions are affine; constants, differences and products with constants print in one form.
// CHECK-LABEL: func.func @expressions
func.func @expressions(%x: tensor<9x9xf32>) -> tensor<4x2xf32> {
  // CHECK-NEXT: %c = df.copy (a = 4, b = 2) %x[-2*a + 8, 2*a + b + 1] : tensor<9x9xf32>
  %c = df.copy (a = 4, b = 2) %x[8 - a - a, (1 + 2*a) + b] : tensor<9x9xf32>
  func.return %c : tensor<4x2xf32>
}

// Writes into a destination, borders, gathers.
// CHECK-LABEL: func.func @parts
func.func @parts(%x: tensor<3x4xf32>, %t: tensor<10x4xf32>, %i: tensor<2xi32>) -> (tensor<4x8xf32>, tensor<2x4xf32>) {
  // CHECK-NEXT: %e = df.empty : tensor<4x8xf32>
  %e = df.empty : tensor<4x8xf32>
  // CHECK-NEXT: %a = df.copy (a = 4, b = 3) %x[b, a] into %e[a, b + 5] : tensor<3x4xf32> into tensor<4x8xf32>
  %a = df.copy (a = 4, b = 3) %x[b, a] into %e[a, b + 5] : tensor<3x4xf32> into tensor<4x8xf32>
  // CHECK-NEXT: %p = df.copy (a = 5, b = 6) %x[a - 1, b - 1] pad 2.0 : tensor<3x4xf32>
  %p = df.copy (a = 5, b = 6) %x[a - 1, b - 1] pad 2.0 : tensor<3x4xf32>
  // CHECK-NEXT: %g = df.gather (a = 2, b = 4) %t[0, b] axis 0 by %i[a] : tensor<10x4xf32>, tensor<2xi32>
  %g = df.gather (a = 2, b = 4) %t[0, b] axis 0 by %i[a] : tensor<10x4xf32>, tensor<2xi32>
  // CHECK-NEXT: %y = df.recurrence (a = 4, b = 2, c = 2)
  // CHECK-NEXT:     none with(%x[b, a] : tensor<3x4xf32>)
  %y = df.recurrence (a = 4, b = 2, c = 2) none with(%x[b, a] : tensor<3x4xf32>)
    // CHECK:      -> [a, 2*b + c + 1] into %a : tensor<4x8xf32>
    epilogue(%v: f32) { df.yield %v : f32 } -> [a, 2*b + c + 1] into %a : tensor<4x8xf32>
  func.return %y, %g : tensor<4x8xf32>, tensor<2x4xf32>
}
