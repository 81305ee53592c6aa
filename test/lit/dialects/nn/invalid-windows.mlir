// RUN: swkpu-opt %s --verify-diagnostics --split-input-file | filecheck %s

func.func @conv3d_rank(%x: tensor<1x4x8x8xf32>, %w: tensor<6x4x3x3x3xf32>) {
  // CHECK: expected a 5-D input and a 5-D weight, got tensor<1x4x8x8xf32> and tensor<6x4x3x3x3xf32>
  %0 = nn.conv3d %x, %w stride [1, 1, 1] padding [0, 0, 0, 0, 0, 0] dilation [1, 1, 1] groups [1] : (tensor<1x4x8x8xf32>, tensor<6x4x3x3x3xf32>) -> tensor<1x6x6x6x6xf32>
  func.return
}

// -----

func.func @conv3d_padding(%x: tensor<1x4x8x8x8xf32>, %w: tensor<6x4x3x3x3xf32>) {
  // CHECK: padding must be [front, back, top, bottom, left, right], not negative, got [1, 1, 1]
  %0 = nn.conv3d %x, %w stride [1, 1, 1] padding [1, 1, 1] dilation [1, 1, 1] groups [1] : (tensor<1x4x8x8x8xf32>, tensor<6x4x3x3x3xf32>) -> tensor<1x6x6x6x6xf32>
  func.return
}

// -----

func.func @transpose_channels(%x: tensor<1x4x8x8xf32>, %w: tensor<6x4x3x3xf32>) {
  // CHECK: 4 input channels in 1 groups do not fit a weight of 6 input channels
  %0 = nn.conv_transpose2d %x, %w stride [1, 1] padding [0, 0, 0, 0] output_padding [0, 0] dilation [1, 1] groups [1] : (tensor<1x4x8x8xf32>, tensor<6x4x3x3xf32>) -> tensor<1x4x10x10xf32>
  func.return
}

// -----

func.func @transpose_output_padding(%x: tensor<1x4x8x8xf32>, %w: tensor<4x4x3x3xf32>) {
  // CHECK: output_padding must be 2 integers, not negative, and each smaller than its dim's stride or dilation, got [2, 0]
  %0 = nn.conv_transpose2d %x, %w stride [2, 2] padding [0, 0, 0, 0] output_padding [2, 0] dilation [1, 1] groups [1] : (tensor<1x4x8x8xf32>, tensor<4x4x3x3xf32>) -> tensor<1x4x19x17xf32>
  func.return
}

// -----

func.func @pool3d_kernel(%x: tensor<1x4x8x8xf32>) {
  // CHECK: expected a 5-D input and a positive 3-D kernel, got tensor<1x4x8x8xf32> and [2, 2]
  %0 = nn.max_pool3d %x kernel [2, 2] stride [2, 2] padding [0, 0, 0, 0] dilation [1, 1] {ceil_mode = false} : (tensor<1x4x8x8xf32>) -> tensor<1x4x4x4xf32>
  func.return
}

// -----

func.func @avg_dilation(%x: tensor<1x4x8x8xf32>) {
  // CHECK: an average pool has no dilation, got [2, 2]
  %0 = nn.avg_pool2d %x kernel [2, 2] stride [2, 2] padding [0, 0, 0, 0] dilation [2, 2] {ceil_mode = false, count_include_pad = true} : (tensor<1x4x8x8xf32>) -> tensor<1x4x3x3xf32>
  func.return
}

// -----

func.func @adaptive(%x: tensor<1x4x8x8xf32>) {
  // CHECK: expected a 4-D input and a positive 2-D size, got tensor<1x4x8x8xf32> and [3]
  %0 = nn.adaptive_avg_pool2d %x size [3] : (tensor<1x4x8x8xf32>) -> tensor<1x4x3x3xf32>
  func.return
}

// -----

func.func @resize_mode(%x: tensor<1x4x8x8xf32>) {
  // CHECK: unknown mode "bilinear"; expected one of nearest, nearest-exact, linear, cubic
  %0 = nn.resize %x mode "bilinear" size [4, 4] {align_corners = false} : (tensor<1x4x8x8xf32>) -> tensor<1x4x4x4xf32>
  func.return
}

// -----

func.func @resize_rank(%x: tensor<1x4x8x8xf32>) {
  // CHECK: expected N, C and as many spatial dims as positive sizes, got tensor<1x4x8x8xf32> and [4]
  %0 = nn.resize %x mode "linear" size [4] {align_corners = false} : (tensor<1x4x8x8xf32>) -> tensor<1x4x4x4xf32>
  func.return
}

// -----

func.func @resize_corners(%x: tensor<1x4x8x8xf32>) {
  // CHECK: mode "nearest" has no align_corners
  %0 = nn.resize %x mode "nearest" size [4, 4] {align_corners = true} : (tensor<1x4x8x8xf32>) -> tensor<1x4x4x4xf32>
  func.return
}

// -----

func.func @resize_scales(%x: tensor<1x4x8x8xf32>) {
  // CHECK: expected 2 positive scales, got [0.5]
  %0 = nn.resize %x mode "nearest" size [4, 4] {align_corners = false, scales = array<f64: 0.5>} : (tensor<1x4x8x8xf32>) -> tensor<1x4x4x4xf32>
  func.return
}
