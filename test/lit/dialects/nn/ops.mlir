// RUN: swkpu-opt %s | swkpu-opt | filecheck %s
// RUN: swkpu-opt %s --print-op-generic | swkpu-opt | filecheck %s

// CHECK-LABEL: func.func @constants
func.func @constants() {
  // CHECK: %{{.*}} = nn.constant dense<[1.500000e+00, -2.000000e+00]> : tensor<2xf32>
  %0 = "nn.constant"() <{value = dense<[1.5, -2.0]> : tensor<2xf32>}> : () -> tensor<2xf32>
  // CHECK: %{{.*}} = nn.constant #nn.weight<"net.safetensors", "conv1.weight"> : tensor<64x3x7x7xbf16>
  %1 = nn.constant #nn.weight<"net.safetensors", "conv1.weight"> : tensor<64x3x7x7xbf16>
  func.return
}

// CHECK-LABEL: func.func @elementwise
func.func @elementwise(%x: tensor<1x4x8x8xf32>, %b: tensor<4x1x1xf32>) {
  // CHECK: nn.relu %x : tensor<1x4x8x8xf32>
  %0 = nn.relu %x : tensor<1x4x8x8xf32>
  // CHECK: nn.neg %x : tensor<1x4x8x8xf32>
  %1 = nn.neg %x : tensor<1x4x8x8xf32>
  // CHECK: nn.abs %x : tensor<1x4x8x8xf32>
  %2 = nn.abs %x : tensor<1x4x8x8xf32>
  // CHECK: nn.exp %x : tensor<1x4x8x8xf32>
  %3 = nn.exp %x : tensor<1x4x8x8xf32>
  // CHECK: nn.log %x : tensor<1x4x8x8xf32>
  %4 = nn.log %x : tensor<1x4x8x8xf32>
  // CHECK: nn.sqrt %x : tensor<1x4x8x8xf32>
  %5 = nn.sqrt %x : tensor<1x4x8x8xf32>
  // CHECK: nn.rsqrt %x : tensor<1x4x8x8xf32>
  %6 = nn.rsqrt %x : tensor<1x4x8x8xf32>
  // CHECK: nn.tanh %x : tensor<1x4x8x8xf32>
  %7 = nn.tanh %x : tensor<1x4x8x8xf32>
  // CHECK: nn.erf %x : tensor<1x4x8x8xf32>
  %8 = nn.erf %x : tensor<1x4x8x8xf32>
  // CHECK: nn.sigmoid %x : tensor<1x4x8x8xf32>
  %9 = nn.sigmoid %x : tensor<1x4x8x8xf32>
  // CHECK: nn.floor %x : tensor<1x4x8x8xf32>
  %10 = nn.floor %x : tensor<1x4x8x8xf32>
  // CHECK: nn.ceil %x : tensor<1x4x8x8xf32>
  %11 = nn.ceil %x : tensor<1x4x8x8xf32>
  // CHECK: nn.clamp %x {min = 0.000000e+00 : f32, max = 6.000000e+00 : f32} : tensor<1x4x8x8xf32>
  %12 = nn.clamp %x {min = 0.0 : f32, max = 6.0 : f32} : tensor<1x4x8x8xf32>
  // CHECK: nn.cast %x : tensor<1x4x8x8xf32> to tensor<1x4x8x8xbf16>
  %13 = nn.cast %x : tensor<1x4x8x8xf32> to tensor<1x4x8x8xbf16>
  // CHECK: nn.add %x, %b : (tensor<1x4x8x8xf32>, tensor<4x1x1xf32>) -> tensor<1x4x8x8xf32>
  %14 = nn.add %x, %b : (tensor<1x4x8x8xf32>, tensor<4x1x1xf32>) -> tensor<1x4x8x8xf32>
  // CHECK: nn.sub %b, %x : (tensor<4x1x1xf32>, tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
  %15 = nn.sub %b, %x : (tensor<4x1x1xf32>, tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
  // CHECK: nn.mul %x, %x
  %16 = nn.mul %x, %x : (tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
  // CHECK: nn.div %x, %x
  %17 = nn.div %x, %x : (tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
  // CHECK: nn.maximum %x, %x
  %18 = nn.maximum %x, %x : (tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
  // CHECK: nn.minimum %x, %x
  %19 = nn.minimum %x, %x : (tensor<1x4x8x8xf32>, tensor<1x4x8x8xf32>) -> tensor<1x4x8x8xf32>
  func.return
}

// CHECK-LABEL: func.func @contractions
func.func @contractions(%x: tensor<1x4x8x8xbf16>, %w: tensor<6x2x3x3xbf16>, %a: tensor<5x3x7xf32>, %b: tensor<7x2xf32>, %l: tensor<9x7xf32>) {
  // CHECK: nn.conv2d %x, %w stride [2, 1] padding [1, 1, 0, 2] dilation [1, 1] groups [2] : (tensor<1x4x8x8xbf16>, tensor<6x2x3x3xbf16>) -> tensor<1x6x4x8xf32>
  %0 = nn.conv2d %x, %w stride [2, 1] padding [1, 1, 0, 2] dilation [1, 1] groups [2] : (tensor<1x4x8x8xbf16>, tensor<6x2x3x3xbf16>) -> tensor<1x6x4x8xf32>
  // CHECK: nn.linear %a, %l : (tensor<5x3x7xf32>, tensor<9x7xf32>) -> tensor<5x3x9xf32>
  %1 = nn.linear %a, %l : (tensor<5x3x7xf32>, tensor<9x7xf32>) -> tensor<5x3x9xf32>
  // CHECK: nn.matmul %a, %b : (tensor<5x3x7xf32>, tensor<7x2xf32>) -> tensor<5x3x2xf32>
  %2 = nn.matmul %a, %b : (tensor<5x3x7xf32>, tensor<7x2xf32>) -> tensor<5x3x2xf32>
  func.return
}

// CHECK-LABEL: func.func @normalization
func.func @normalization(%x: tensor<1x4x8x8xf32>, %s: tensor<4xf32>) {
  // CHECK: nn.batch_norm %x, %s, %s, %s, %s {eps = 1.000000e-03 : f32} : (tensor<1x4x8x8xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<1x4x8x8xf32>
  %0 = nn.batch_norm %x, %s, %s, %s, %s {eps = 1.0e-3 : f32} : (tensor<1x4x8x8xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<1x4x8x8xf32>
  func.return
}

// CHECK-LABEL: func.func @windows
func.func @windows(%x: tensor<1x4x9x9xf16>) {
  // CHECK: nn.max_pool2d %x kernel [3, 3] stride [2, 2] padding [1, 1, 1, 1] dilation [1, 1] {ceil_mode = false} : (tensor<1x4x9x9xf16>) -> tensor<1x4x5x5xf16>
  %0 = nn.max_pool2d %x kernel [3, 3] stride [2, 2] padding [1, 1, 1, 1] dilation [1, 1] {ceil_mode = false} : (tensor<1x4x9x9xf16>) -> tensor<1x4x5x5xf16>
  // CHECK: nn.avg_pool2d %x kernel [2, 2] stride [2, 2] padding [0, 0, 0, 0] dilation [1, 1] {ceil_mode = true, count_include_pad = false} : (tensor<1x4x9x9xf16>) -> tensor<1x4x5x5xf32>
  %1 = nn.avg_pool2d %x kernel [2, 2] stride [2, 2] padding [0, 0, 0, 0] dilation [1, 1] {ceil_mode = true, count_include_pad = false} : (tensor<1x4x9x9xf16>) -> tensor<1x4x5x5xf32>
  func.return
}

// CHECK-LABEL: func.func @reductions
func.func @reductions(%x: tensor<2x3x4xbf16>) {
  // CHECK: nn.mean %x dims [1, 2] {keepdim = true} : (tensor<2x3x4xbf16>) -> tensor<2x1x1xf32>
  %0 = nn.mean %x dims [1, 2] {keepdim = true} : (tensor<2x3x4xbf16>) -> tensor<2x1x1xf32>
  // CHECK: nn.sum %x dims [0] {keepdim = false} : (tensor<2x3x4xbf16>) -> tensor<3x4xf32>
  %1 = nn.sum %x dims [0] {keepdim = false} : (tensor<2x3x4xbf16>) -> tensor<3x4xf32>
  // CHECK: nn.max %x dims [2] {keepdim = false} : (tensor<2x3x4xbf16>) -> tensor<2x3xbf16>
  %2 = nn.max %x dims [2] {keepdim = false} : (tensor<2x3x4xbf16>) -> tensor<2x3xbf16>
  func.return
}

// CHECK-LABEL: func.func @movement
func.func @movement(%x: tensor<2x3x4xi8>) {
  // CHECK: nn.reshape %x : tensor<2x3x4xi8> to tensor<6x4xi8>
  %0 = nn.reshape %x : tensor<2x3x4xi8> to tensor<6x4xi8>
  // CHECK: nn.permute %x dims [2, 0, 1] : (tensor<2x3x4xi8>) -> tensor<4x2x3xi8>
  %1 = nn.permute %x dims [2, 0, 1] : (tensor<2x3x4xi8>) -> tensor<4x2x3xi8>
  func.return
}
