// RUN: swkpu-opt %s -p df-choose-layout | filecheck %s

// Channels go last, constants are packed as their reader walks them, and inputs and results keep the model's order:
// copies at the boundary change it.
// CHECK-LABEL: func.func @conv(%x: tensor<1x8x6x6xbf16>, %r: tensor<1x16x6x6xbf16>) -> tensor<1x16x6x6xf32>
// CHECK-NEXT:    [[R:%[^ ]+]] = df.copy (n = 1, h = 6, w = 6, c = 16) %r[n, c, h, w] : tensor<1x16x6x6xbf16>
// CHECK-NEXT:    [[X:%[^ ]+]] = df.copy (n = 1, h = 6, w = 6, c = 8) %x[n, c, h, w] : tensor<1x8x6x6xbf16>
// CHECK-NEXT:    %w = df.constant #nn.weight<"", "w"> permuted [0, 2, 3, 1] : tensor<16x3x3x8xbf16>
// CHECK-NEXT:    %0 = df.recurrence (n = 1, oh = 6, ow = 6, oc = 16 | kh = 3, kw = 3, ic = 8)
// CHECK-NEXT:        ins([[X]][n, oh + kh - 1, ow + kw - 1, ic] : tensor<1x6x6x8xbf16>, %w[oc, kh, kw, ic] : tensor<16x3x3x8xbf16>)
// CHECK-NEXT:        mac with([[R]][n, oh, ow, oc] : tensor<1x6x6x16xbf16>)
// CHECK:             -> [n, oh, ow, oc] : tensor<1x6x6x16xf32>
// CHECK-NEXT:    %1 = df.copy (n = 1, c = 16, h = 6, w = 6) %0[n, h, w, c] : tensor<1x6x6x16xf32>
// CHECK-NEXT:    func.return %1 : tensor<1x16x6x6xf32>
func.func @conv(%x: tensor<1x8x6x6xbf16>, %r: tensor<1x16x6x6xbf16>) -> tensor<1x16x6x6xf32> {
  %w = df.constant #nn.weight<"", "w"> : tensor<16x8x3x3xbf16>
  %0 = df.recurrence (n = 1, oh = 6, ow = 6, oc = 16 | kh = 3, kw = 3, ic = 8)
    ins(%x[n, ic, oh + kh - 1, ow + kw - 1] : tensor<1x8x6x6xbf16>, %w[oc, ic, kh, kw] : tensor<16x8x3x3xbf16>) mac
    with(%r[n, oc, oh, ow] : tensor<1x16x6x6xbf16>)
    epilogue(%acc: f32, %e: bf16) { df.yield %acc : f32 } -> [n, oc, oh, ow] : tensor<1x16x6x6xf32>
  func.return %0 : tensor<1x16x6x6xf32>
}

// What is in the right order already is left alone.
// CHECK-LABEL: func.func @matmul
// CHECK-NEXT:    %y = df.recurrence (n = 1, o = 10 | i = 8)
// CHECK-NEXT:        ins(%p[n, i] : tensor<1x8xf32>, %w[o, i] : tensor<10x8xf32>)
// CHECK:         func.return %y
func.func @matmul(%p: tensor<1x8xf32>, %w: tensor<10x8xf32>) -> tensor<1x10xf32> {
  %y = df.recurrence (n = 1, o = 10 | i = 8) ins(%p[n, i] : tensor<1x8xf32>, %w[o, i] : tensor<10x8xf32>) mac
    epilogue(%acc: f32) { df.yield %acc : f32 } -> [n, o] : tensor<1x10xf32>
  func.return %y : tensor<1x10xf32>
}
