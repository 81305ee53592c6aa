// RUN: swkpu-opt %s -p 'df-split-reductions{target=kpu-t64}' | filecheck %s

// 8000 elements to one: 7 pieces, each at least 1024 elements. Behind the last one there is what the combiner does not
// notice. The epilogue, with its operand, comes with the second recurrence.
// CHECK-LABEL: func.func @product
func.func @product(%x: tensor<8000xf32>, %w: tensor<1xf32>) -> tensor<1xf32> {
  // CHECK:      %[[P:.*]] = df.recurrence (one = 1, c_piece = 7 | c = 1143)
  // CHECK-NEXT: ins(%x[1143*c_piece + c] pad 1.0 : tensor<8000xf32>)
  // CHECK-NEXT: mul
  // CHECK-NEXT: epilogue(%[[A:.*]]: f32) {
  // CHECK-NEXT:   df.yield %[[A]] : f32
  // CHECK:      -> [one, c_piece] : tensor<1x7xf32>
  // CHECK:      df.recurrence (one = 1 | c = 7)
  // CHECK-NEXT: ins(%[[P]][one, c] : tensor<1x7xf32>)
  // CHECK-NEXT: mul with(%w[one] : tensor<1xf32>)
  // CHECK:      arith.mulf
  %y = df.recurrence (one = 1 | c = 8000) ins(%x[c] : tensor<8000xf32>)
      mul with(%w[one] : tensor<1xf32>)
      epilogue(%a: f32, %b: f32) {
        %0 = arith.mulf %a, %b : f32
        df.yield %0 : f32
      }
      -> [one] : tensor<1xf32>
  func.return %y : tensor<1xf32>
}

// Only a part of the tensor is reduced: what lies beyond is other elements, so the pieces are all whole.
// CHECK-LABEL: func.func @part
func.func @part(%x: tensor<9000xi32>) -> tensor<1xi32> {
  // CHECK:      df.recurrence (one = 1, c_piece = 5 | c = 1600)
  // CHECK-NEXT: ins(%x[1600*c_piece + c] : tensor<9000xi32>)
  %y = df.recurrence (one = 1 | c = 8000) ins(%x[c] : tensor<9000xi32>)
      add
      epilogue(%a: i32) { df.yield %a : i32 }
      -> [one] : tensor<1xi32>
  func.return %y : tensor<1xi32>
}

// As many results as there are tiles: nothing to gain.
// CHECK-LABEL: func.func @wide
func.func @wide(%x: tensor<64x2000xf32>) -> tensor<64xf32> {
  // CHECK: df.recurrence (n = 64 | c = 2000)
  // CHECK-NOT: df.recurrence
  %y = df.recurrence (n = 64 | c = 2000) ins(%x[n, c] : tensor<64x2000xf32>)
      max
      epilogue(%a: f32) { df.yield %a : f32 }
      -> [n] : tensor<64xf32>
  func.return %y : tensor<64xf32>
}

// What one result of a contraction reads is more than L2 has room for: a window of 25 x 25 x 2048. It is read one row of
// taps at a time, and the sums of the rows are added.
// CHECK-LABEL: func.func @dilated
func.func @dilated(%x: tensor<65x65x2048xf32>, %w: tensor<256x3x3x2048xf32>) -> tensor<65x65x256xf32> {
  // CHECK:      df.recurrence (kh_piece = 3, oh = 65, ow = 65, oc = 256 | kh = 1, kw = 3, ic = 2048)
  // CHECK:      mac
  // CHECK:      -> [kh_piece, oh, ow, oc] : tensor<3x65x65x256xf32>
  // CHECK:      df.recurrence (oh = 65, ow = 65, oc = 256 | kh = 3)
  // CHECK:      ins(%{{.*}}[kh, oh, ow, oc] : tensor<3x65x65x256xf32>)
  // CHECK:      add
  %y = df.recurrence (oh = 65, ow = 65, oc = 256 | kh = 3, kw = 3, ic = 2048)
      ins(%x[oh + 12*kh - 12, ow + 12*kw - 12, ic] : tensor<65x65x2048xf32>, %w[oc, kh, kw, ic] : tensor<256x3x3x2048xf32>)
      mac
      epilogue(%a: f32) { df.yield %a : f32 }
      -> [oh, ow, oc] : tensor<65x65x256xf32>
  func.return %y : tensor<65x65x256xf32>
}
