// RUN: swkpu-opt %s | swkpu-opt | filecheck %s
// RUN: swkpu-opt %s --print-op-generic | swkpu-opt | filecheck %s

// CHECK-LABEL: func.func @reductions
func.func @reductions(%x: tensor<2x3x4xbf16>, %i: tensor<2x3xi8>, %l: tensor<2x3xi64>, %b: tensor<2x3xi1>) {
  // CHECK: nn.prod %x dims [1] {keepdim = true} : (tensor<2x3x4xbf16>) -> tensor<2x1x4xf32>
  %0 = nn.prod %x dims [1] {keepdim = true} : (tensor<2x3x4xbf16>) -> tensor<2x1x4xf32>
  // CHECK: nn.min %x dims [0, 2] {keepdim = false} : (tensor<2x3x4xbf16>) -> tensor<3xbf16>
  %1 = nn.min %x dims [0, 2] {keepdim = false} : (tensor<2x3x4xbf16>) -> tensor<3xbf16>
  // CHECK: nn.sum %i dims [0] {keepdim = false} : (tensor<2x3xi8>) -> tensor<3xi32>
  %2 = nn.sum %i dims [0] {keepdim = false} : (tensor<2x3xi8>) -> tensor<3xi32>
  // CHECK: nn.sum %l dims [0] {keepdim = false} : (tensor<2x3xi64>) -> tensor<3xi64>
  %3 = nn.sum %l dims [0] {keepdim = false} : (tensor<2x3xi64>) -> tensor<3xi64>
  // CHECK: nn.any %b dims [1] {keepdim = false} : (tensor<2x3xi1>) -> tensor<2xi1>
  %4 = nn.any %b dims [1] {keepdim = false} : (tensor<2x3xi1>) -> tensor<2xi1>
  // CHECK: nn.argmax %x dim 1 {keepdim = false} : (tensor<2x3x4xbf16>) -> tensor<2x4xi64>
  %5 = nn.argmax %x dim 1 {keepdim = false} : (tensor<2x3x4xbf16>) -> tensor<2x4xi64>
  // CHECK: nn.argmin %b dim 0 {keepdim = true} : (tensor<2x3xi1>) -> tensor<1x3xi64>
  %6 = nn.argmin %b dim 0 {keepdim = true} : (tensor<2x3xi1>) -> tensor<1x3xi64>
  func.return
}

// CHECK-LABEL: func.func @cumulative
func.func @cumulative(%x: tensor<2x3xbf16>) {
  // CHECK: nn.cumsum %x dim 1 : (tensor<2x3xbf16>) -> tensor<2x3xf32>
  %0 = nn.cumsum %x dim 1 : (tensor<2x3xbf16>) -> tensor<2x3xf32>
  // CHECK: nn.cumprod %x dim 0 : (tensor<2x3xbf16>) -> tensor<2x3xf32>
  %1 = nn.cumprod %x dim 0 : (tensor<2x3xbf16>) -> tensor<2x3xf32>
  // CHECK: nn.cummax %x dim 1 : (tensor<2x3xbf16>) -> tensor<2x3xbf16>
  %2 = nn.cummax %x dim 1 : (tensor<2x3xbf16>) -> tensor<2x3xbf16>
  // CHECK: nn.cummin %x dim 1 : (tensor<2x3xbf16>) -> tensor<2x3xbf16>
  %3 = nn.cummin %x dim 1 : (tensor<2x3xbf16>) -> tensor<2x3xbf16>
  func.return
}

// CHECK-LABEL: func.func @normalization
func.func @normalization(%x: tensor<2x6x4xbf16>, %w: tensor<4xf32>, %c: tensor<6xf32>) {
  // CHECK: nn.softmax %x dim 2 : (tensor<2x6x4xbf16>) -> tensor<2x6x4xf32>
  %0 = nn.softmax %x dim 2 : (tensor<2x6x4xbf16>) -> tensor<2x6x4xf32>
  // CHECK: nn.log_softmax %x dim 0 : (tensor<2x6x4xbf16>) -> tensor<2x6x4xf32>
  %1 = nn.log_softmax %x dim 0 : (tensor<2x6x4xbf16>) -> tensor<2x6x4xf32>
  // CHECK: nn.layer_norm %x dims 2 {eps = 1.000000e-03 : f32} : tensor<2x6x4xbf16> to tensor<2x6x4xf32>
  %2 = nn.layer_norm %x dims 2 {eps = 1.0e-3 : f32} : tensor<2x6x4xbf16> to tensor<2x6x4xf32>
  // CHECK: nn.layer_norm %x dims 1 weight %w : tensor<4xf32> bias %w : tensor<4xf32> {eps = 1.000000e-03 : f32} : tensor<2x6x4xbf16> to tensor<2x6x4xf32>
  %3 = nn.layer_norm %x dims 1 weight %w : tensor<4xf32> bias %w : tensor<4xf32> {eps = 1.0e-3 : f32} : tensor<2x6x4xbf16> to tensor<2x6x4xf32>
  // CHECK: nn.rms_norm %x dims 1 weight %w : tensor<4xf32> {eps = 1.000000e-03 : f32} : tensor<2x6x4xbf16> to tensor<2x6x4xf32>
  %4 = nn.rms_norm %x dims 1 weight %w : tensor<4xf32> {eps = 1.0e-3 : f32} : tensor<2x6x4xbf16> to tensor<2x6x4xf32>
  // CHECK: nn.group_norm %x groups 3 bias %c : tensor<6xf32> {eps = 1.000000e-03 : f32} : tensor<2x6x4xbf16> to tensor<2x6x4xf32>
  %5 = nn.group_norm %x groups 3 bias %c : tensor<6xf32> {eps = 1.0e-3 : f32} : tensor<2x6x4xbf16> to tensor<2x6x4xf32>
  func.return
}

// CHECK-LABEL: func.func @attention
func.func @attention(%q: tensor<2x5x8xbf16>, %k: tensor<3x2x7x8xbf16>, %v: tensor<7x4xbf16>, %m: tensor<5x7xf32>) {
  // CHECK: nn.sdpa %q, %k, %v {scale = 5.000000e-01 : f32, causal = true} : (tensor<2x5x8xbf16>, tensor<3x2x7x8xbf16>, tensor<7x4xbf16>) -> tensor<3x2x5x4xf32>
  %0 = nn.sdpa %q, %k, %v {scale = 0.5 : f32, causal = true} : (tensor<2x5x8xbf16>, tensor<3x2x7x8xbf16>, tensor<7x4xbf16>) -> tensor<3x2x5x4xf32>
  // CHECK: nn.sdpa %q, %k, %v mask %m {scale = 1.000000e+00 : f32, causal = false} : (tensor<2x5x8xbf16>, tensor<3x2x7x8xbf16>, tensor<7x4xbf16>, tensor<5x7xf32>) -> tensor<3x2x5x4xf32>
  %1 = nn.sdpa %q, %k, %v mask %m {scale = 1.0 : f32, causal = false} : (tensor<2x5x8xbf16>, tensor<3x2x7x8xbf16>, tensor<7x4xbf16>, tensor<5x7xf32>) -> tensor<3x2x5x4xf32>
  func.return
}
