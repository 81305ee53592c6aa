// RUN: swkpu-opt %s | swkpu-opt | filecheck %s
// RUN: swkpu-opt %s --print-op-generic | swkpu-opt | filecheck %s

// CHECK-LABEL: func.func @conv3d
func.func @conv3d(%x: tensor<1x4x5x8x8xbf16>, %w: tensor<6x2x3x3x3xbf16>) {
  // CHECK: nn.conv3d %x, %w stride [1, 2, 1] padding [1, 1, 1, 1, 0, 2] dilation [1, 1, 1] groups [2] : (tensor<1x4x5x8x8xbf16>, tensor<6x2x3x3x3xbf16>) -> tensor<1x6x5x4x8xf32>
  %0 = nn.conv3d %x, %w stride [1, 2, 1] padding [1, 1, 1, 1, 0, 2] dilation [1, 1, 1] groups [2] : (tensor<1x4x5x8x8xbf16>, tensor<6x2x3x3x3xbf16>) -> tensor<1x6x5x4x8xf32>
  func.return
}

// CHECK-LABEL: func.func @conv_transpose
func.func @conv_transpose(%x: tensor<1x4x8x8xf16>, %w: tensor<4x3x3x3xf16>, %v: tensor<1x4x2x3x4xf32>, %k: tensor<4x5x2x2x2xf32>) {
  // CHECK: nn.conv_transpose2d %x, %w stride [2, 2] padding [1, 1, 1, 1] output_padding [1, 1] dilation [1, 1] groups [2] : (tensor<1x4x8x8xf16>, tensor<4x3x3x3xf16>) -> tensor<1x6x16x16xf32>
  %0 = nn.conv_transpose2d %x, %w stride [2, 2] padding [1, 1, 1, 1] output_padding [1, 1] dilation [1, 1] groups [2] : (tensor<1x4x8x8xf16>, tensor<4x3x3x3xf16>) -> tensor<1x6x16x16xf32>
  // CHECK: nn.conv_transpose3d %v, %k stride [2, 2, 1] padding [0, 0, 0, 0, 1, 0] output_padding [0, 0, 0] dilation [1, 1, 1] groups [1] : (tensor<1x4x2x3x4xf32>, tensor<4x5x2x2x2xf32>) -> tensor<1x5x4x6x4xf32>
  %1 = nn.conv_transpose3d %v, %k stride [2, 2, 1] padding [0, 0, 0, 0, 1, 0] output_padding [0, 0, 0] dilation [1, 1, 1] groups [1] : (tensor<1x4x2x3x4xf32>, tensor<4x5x2x2x2xf32>) -> tensor<1x5x4x6x4xf32>
  func.return
}
