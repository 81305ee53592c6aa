// RUN: swkpu-opt %s --elide-weights -p convert-nn-to-df | filecheck %s

// CHECK-LABEL: func.func @softmax
func.func @softmax(%x: tensor<4x9xbf16>) -> tensor<4x9xf32> {
  // CHECK:      %[[MAX:.*]] = df.recurrence (n = 4, c1 = 1 | c = 9)
  // CHECK:      max
  // CHECK:      -> [n, c1] {op = "softmax"} : tensor<4x1xbf16>
  // CHECK:      %[[E:.*]] = df.recurrence (n = 4, c = 9)
  // CHECK-NEXT: none with(%x[n, c] : tensor<4x9xbf16>, %[[MAX]][n, 0] : tensor<4x1xbf16>)
  // CHECK:      math.exp
  // CHECK:      %[[SUM:.*]] = df.recurrence (n = 4, c1 = 1 | c = 9)
  // CHECK-NEXT: ins(%[[E]][n, c] : tensor<4x9xf32>)
  // CHECK-NEXT: add
  // CHECK:      none with(%[[E]][n, c] : tensor<4x9xf32>, %[[SUM]][n, 0] : tensor<4x1xf32>)
  // CHECK:      arith.divf
  %y = nn.softmax %x dim 1 : (tensor<4x9xbf16>) -> tensor<4x9xf32>
  func.return %y : tensor<4x9xf32>
}

// The squares of the distances from the mean are stored; the rest of a variance is in an epilogue.
// CHECK-LABEL: func.func @layer_norm
func.func @layer_norm(%x: tensor<4x9xf32>, %w: tensor<9xf32>) -> tensor<4x9xf32> {
  // CHECK:      %[[MEAN:.*]] = df.recurrence (n = 4, c1 = 1 | c = 9)
  // CHECK:      %[[SQUARES:.*]] = df.recurrence (n = 4, c = 9)
  // CHECK:      %[[INVERSE:.*]] = df.recurrence (n = 4, c1 = 1 | c = 9)
  // CHECK-NEXT: ins(%[[SQUARES]][n, c] : tensor<4x9xf32>)
  // CHECK:      math.rsqrt
  // CHECK:      none with(%x[n, c] : tensor<4x9xf32>, %[[MEAN]][n, 0] : tensor<4x1xf32>, %[[INVERSE]][n, 0] : tensor<4x1xf32>, %w[c] : tensor<9xf32>)
  %y = nn.layer_norm %x dims 1 weight %w : tensor<9xf32> {eps = 1.000000e-05 : f32} : tensor<4x9xf32> to tensor<4x9xf32>
  func.return %y : tensor<4x9xf32>
}

// Statistics are per group, [N, groups]; the pass over all elements has a scale and a shift per channel.
// CHECK-LABEL: func.func @group_norm
func.func @group_norm(%x: tensor<2x6x4x4xf32>, %w: tensor<6xf32>) -> tensor<2x6x4x4xf32> {
  // CHECK:      %[[MEAN:.*]] = df.recurrence (batch = 2, group = 3 | h = 4, w = 4, channel = 2)
  // CHECK-NEXT: ins(%x[batch, 2*group + channel, h, w] : tensor<2x6x4x4xf32>)
  // CHECK:      -> [batch, group] {op = "group_norm"} : tensor<2x3xf32>
  // CHECK:      df.recurrence (batch = 2, group = 3, channel = 2, unit0 = 1, unit1 = 1)
  // CHECK:      -> [batch, 2*group + channel, unit0, unit1] {op = "group_norm"} : tensor<2x6x1x1xf32>
  // CHECK:      math.rsqrt
  // CHECK:      %[[SCALE:.*]] = df.recurrence (batch = 2, group = 3, channel = 2, unit0 = 1, unit1 = 1)
  // CHECK-NEXT: none with(%{{.*}}[batch, group] : tensor<2x3xf32>, %w[2*group + channel] : tensor<6xf32>)
  // CHECK:      none with(%x[n, c, h, w] : tensor<2x6x4x4xf32>, %[[SCALE]][n, c, 0, 0] : tensor<2x6x1x1xf32>, %{{.*}}[n, c, 0, 0] : tensor<2x6x1x1xf32>)
  %y = nn.group_norm %x groups 3 weight %w : tensor<6xf32> {eps = 1.000000e-05 : f32} : tensor<2x6x4x4xf32> to tensor<2x6x4x4xf32>
  func.return %y : tensor<2x6x4x4xf32>
}

// The products with the keys, causal by comparing positions; powers are stored as bf16; the division comes last.
// CHECK-LABEL: func.func @attention
func.func @attention(%q: tensor<2x8x4xbf16>, %k: tensor<2x8x4xbf16>, %v: tensor<2x8x4xbf16>) -> tensor<2x8x4xf32> {
  // CHECK:      %[[SCORES:.*]] = df.recurrence (b0 = 2, query = 8, key = 8 | size = 4)
  // CHECK-NEXT: ins(%q[b0, query, size] : tensor<2x8x4xbf16>, %k[b0, key, size] : tensor<2x8x4xbf16>)
  // CHECK-NEXT: mac with(%{{.*}}[query] : tensor<8xi32>, %{{.*}}[key] : tensor<8xi32>)
  // CHECK:      arith.cmpi sge
  // CHECK:      arith.select
  // CHECK:      max
  // CHECK:      arith.maximumf
  // CHECK:      %[[POWERS:.*]] = df.recurrence (b = 2, t = 8, c = 8)
  // CHECK:      -> [b, t, c] {op = "sdpa"} : tensor<2x8x8xbf16>
  // CHECK:      %[[TOTAL:.*]] = df.recurrence (b = 2, t = 8, c1 = 1 | c = 8)
  // CHECK:      df.recurrence (b0 = 2, query = 8, width = 4 | key = 8)
  // CHECK-NEXT: ins(%[[POWERS]][b0, query, key] : tensor<2x8x8xbf16>, %v[b0, key, width] : tensor<2x8x4xbf16>)
  // CHECK-NEXT: mac with(%[[TOTAL]][b0, query, 0] : tensor<2x8x1xf32>)
  // CHECK:      arith.divf
  %y = nn.sdpa %q, %k, %v {scale = 5.000000e-01 : f32, causal = true} : (tensor<2x8x4xbf16>, tensor<2x8x4xbf16>, tensor<2x8x4xbf16>) -> tensor<2x8x4xf32>
  func.return %y : tensor<2x8x4xf32>
}
