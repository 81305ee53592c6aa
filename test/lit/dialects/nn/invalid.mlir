// RUN: swkpu-opt %s --verify-diagnostics --split-input-file | filecheck %s

func.func @exp_of_integers(%x: tensor<4xi32>) {
  // CHECK: nn.exp takes floats, got tensor<4xi32>
  %0 = nn.exp %x : tensor<4xi32>
  func.return
}

// -----

func.func @unbounded_clamp(%x: tensor<4xf32>) {
  // CHECK: a clamp needs a min, a max, or both
  %0 = nn.clamp %x : tensor<4xf32>
  func.return
}

// -----

func.func @no_broadcast(%x: tensor<2x4xf32>, %y: tensor<3xf32>) {
  // CHECK: shapes (2, 4) and (3,) do not broadcast: 4 against 3
  %0 = nn.add %x, %y : (tensor<2x4xf32>, tensor<3xf32>) -> tensor<2x4xf32>
  func.return
}

// -----

func.func @sum_of_bools(%x: tensor<4xi1>) {
  // CHECK: nn.add takes floats or integers, got tensor<4xi1>
  %0 = nn.add %x, %x : (tensor<4xi1>, tensor<4xi1>) -> tensor<4xi1>
  func.return
}

// -----

func.func @unknown_gelu(%x: tensor<4xf32>) {
  // CHECK: approximate must be "none" or "tanh", got "erf"
  %0 = nn.gelu %x {approximate = "erf"} : tensor<4xf32>
  func.return
}

// -----

func.func @comparison_result(%x: tensor<4xf32>) {
  // CHECK: the operands imply a result of type tensor<4xi1>, got tensor<4xf32>
  %0 = nn.lt %x, %x : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return
}

// -----

func.func @condition(%x: tensor<4xf32>) {
  // CHECK: expected a condition of i1, got tensor<4xf32>
  %0 = nn.where %x, %x, %x : (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  func.return
}

// -----

func.func @mixed_types(%x: tensor<4xf32>, %y: tensor<4xbf16>) {
  // CHECK: operands differ in element type: f32 and bf16
  %0 = nn.add %x, %y : (tensor<4xf32>, tensor<4xbf16>) -> tensor<4xf32>
  func.return
}

// -----

func.func @cast_changes_shape(%x: tensor<4xf32>) {
  // CHECK: the operands imply a result of type tensor<4xbf16>, got tensor<2xbf16>
  %0 = nn.cast %x : tensor<4xf32> to tensor<2xbf16>
  func.return
}

// -----

func.func @conv_result(%x: tensor<1x4x8x8xbf16>, %w: tensor<6x4x3x3xbf16>) {
  // CHECK: the operands imply a result of type tensor<1x6x6x6xf32>, got tensor<1x6x6x6xbf16>
  %0 = nn.conv2d %x, %w stride [1, 1] padding [0, 0, 0, 0] dilation [1, 1] groups [1] : (tensor<1x4x8x8xbf16>, tensor<6x4x3x3xbf16>) -> tensor<1x6x6x6xbf16>
  func.return
}

// -----

func.func @conv_groups(%x: tensor<1x4x8x8xf32>, %w: tensor<6x4x3x3xf32>) {
  // CHECK: 4 input channels in 2 groups need a weight of 2 input channels, got 4
  %0 = nn.conv2d %x, %w stride [1, 1] padding [0, 0, 0, 0] dilation [1, 1] groups [2] : (tensor<1x4x8x8xf32>, tensor<6x4x3x3xf32>) -> tensor<1x6x6x6xf32>
  func.return
}

// -----

func.func @conv_padding(%x: tensor<1x4x8x8xf32>, %w: tensor<6x4x3x3xf32>) {
  // CHECK: padding must be [top, bottom, left, right], not negative, got [1, 1]
  %0 = nn.conv2d %x, %w stride [1, 1] padding [1, 1] dilation [1, 1] groups [1] : (tensor<1x4x8x8xf32>, tensor<6x4x3x3xf32>) -> tensor<1x6x8x8xf32>
  func.return
}

// -----

func.func @conv_stride(%x: tensor<1x4x8x8xf32>, %w: tensor<6x4x3x3xf32>) {
  // CHECK: stride must be two positive integers, got [0, 1]
  %0 = nn.conv2d %x, %w stride [0, 1] padding [0, 0, 0, 0] dilation [1, 1] groups [1] : (tensor<1x4x8x8xf32>, tensor<6x4x3x3xf32>) -> tensor<1x6x6x6xf32>
  func.return
}

// -----

func.func @conv_window(%x: tensor<1x4x2x8xf32>, %w: tensor<6x4x3x3xf32>) {
  // CHECK: a 3x3 window does not fit a 2x8 input with padding [0, 0, 0, 0]
  %0 = nn.conv2d %x, %w stride [1, 1] padding [0, 0, 0, 0] dilation [1, 1] groups [1] : (tensor<1x4x2x8xf32>, tensor<6x4x3x3xf32>) -> tensor<1x6x1x6xf32>
  func.return
}

// -----

func.func @linear(%x: tensor<2x4xf32>, %w: tensor<4x3xf32>) {
  // CHECK: expected [..., in] and [out, in], got tensor<2x4xf32> and tensor<4x3xf32>
  %0 = nn.linear %x, %w : (tensor<2x4xf32>, tensor<4x3xf32>) -> tensor<2x3xf32>
  func.return
}

// -----

func.func @matmul(%x: tensor<2x4xf32>, %w: tensor<3x4xf32>) {
  // CHECK: expected [..., m, k] and [..., k, n], got tensor<2x4xf32> and tensor<3x4xf32>
  %0 = nn.matmul %x, %w : (tensor<2x4xf32>, tensor<3x4xf32>) -> tensor<2x3xf32>
  func.return
}

// -----

func.func @batch_norm(%x: tensor<1x4x8x8xf32>, %s: tensor<8xf32>) {
  // CHECK: expected statistics of shape (4,), one per channel of tensor<1x4x8x8xf32>, got tensor<8xf32>
  %0 = nn.batch_norm %x, %s, %s, %s, %s {eps = 1.0e-3 : f32} : (tensor<1x4x8x8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<1x4x8x8xf32>
  func.return
}

// -----

func.func @pool(%x: tensor<4x8x8xf32>) {
  // CHECK: expected a 4-D input and a positive 2-D kernel, got tensor<4x8x8xf32> and [2, 2]
  %0 = nn.max_pool2d %x kernel [2, 2] stride [2, 2] padding [0, 0, 0, 0] dilation [1, 1] {ceil_mode = false} : (tensor<4x8x8xf32>) -> tensor<4x4x4xf32>
  func.return
}

// -----

func.func @dims(%x: tensor<2x3xf32>) {
  // CHECK: dims must be ascending and within a tensor of rank 2, got [1, 0]
  %0 = nn.mean %x dims [1, 0] {keepdim = false} : (tensor<2x3xf32>) -> tensor<f32>
  func.return
}

// -----

func.func @reshape(%x: tensor<2x3xf32>) {
  // CHECK: tensor<2x3xf32> and tensor<4xf32> have different numbers of elements
  %0 = nn.reshape %x : tensor<2x3xf32> to tensor<4xf32>
  func.return
}

// -----

func.func @permute(%x: tensor<2x3xf32>) {
  // CHECK: [0, 0] is not a permutation of the 2 dims of tensor<2x3xf32>
  %0 = nn.permute %x dims [0, 0] : (tensor<2x3xf32>) -> tensor<2x2xf32>
  func.return
}
