// RUN: swkpu-opt %s -p 'nn-quantize{precision=int8}' | filecheck %s

func.func @conv_relu(%x: tensor<1x1x4x4xf32> {nn.range = #nn.range<-1.0, 1.55>}) -> tensor<1x1x4x4xf32> {
  %w = nn.constant dense<1.27> : tensor<1x1x1x1xf32> : tensor<1x1x1x1xf32>
  %b = nn.constant dense<0.5> : tensor<1x1x1xf32> : tensor<1x1x1xf32>
  %c = nn.conv2d %x, %w stride [1, 1] padding [1, 0, 1, 0] dilation [1, 1] groups [1] : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x5x5xf32>
  %cb = nn.add %c, %b : (tensor<1x1x5x5xf32>, tensor<1x1x1xf32>) -> tensor<1x1x5x5xf32>
  %r = nn.relu %cb {nn.range = #nn.range<0.0, 2.55>} : tensor<1x1x5x5xf32>
  %d = nn.conv2d %r, %w stride [1, 1] padding [0, 0, 0, 0] dilation [1, 1] groups [1] : (tensor<1x1x5x5xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x5x5xf32>
  %s = nn.slice %d starts [0, 0, 0, 0] sizes [1, 1, 4, 4] steps [1, 1, 1, 1] : (tensor<1x1x5x5xf32>) -> tensor<1x1x4x4xf32>
  func.return %s : tensor<1x1x4x4xf32>
}

func.func @residual(%x: tensor<1x1x4x4xf32> {nn.range = #nn.range<-1.0, 1.55>}) -> tensor<1x1x4x4xf32> {
  %w = nn.constant dense<1.27> : tensor<1x1x1x1xf32> : tensor<1x1x1x1xf32>
  %c = nn.conv2d %x, %w stride [1, 1] padding [0, 0, 0, 0] dilation [1, 1] groups [1] : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
  %a = nn.add %c, %x : (tensor<1x1x4x4xf32>, tensor<1x1x4x4xf32>) -> tensor<1x1x4x4xf32>
  %r = nn.relu %a {nn.range = #nn.range<0.0, 2.55>} : tensor<1x1x4x4xf32>
  %p = nn.max_pool2d %r kernel [1, 1] stride [1, 1] padding [0, 0, 0, 0] dilation [1, 1] {ceil_mode = false} : (tensor<1x1x4x4xf32>) -> tensor<1x1x4x4xf32>
  func.return %p : tensor<1x1x4x4xf32>
}

func.func @table(%x: tensor<4x4xf32> {nn.range = #nn.range<-1.0, 1.55>}) -> tensor<4x4xf32> {
  %w = nn.constant dense<1.27> : tensor<4x4xf32> : tensor<4x4xf32>
  %s = nn.sigmoid %x : tensor<4x4xf32>
  %g = nn.mul %x, %s {nn.range = #nn.range<-0.5, 1.2>} : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
  %y = nn.linear %g, %w : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
  func.return %y : tensor<4x4xf32>
}

func.func @given(%x: tensor<2x4xf32>, %w: tensor<3x4xi8>) -> tensor<2x3x!nn.q<i8, 0.25, 4>> {
  %q = nn.quantize %x : tensor<2x4xf32> to tensor<2x4x!nn.q<i8, 0.5, -3>>
  %d = nn.dequantize %q : tensor<2x4x!nn.q<i8, 0.5, -3>> to tensor<2x4xf32>
  %i = nn.constant dense<[[1, 2, 3, 4], [-1, -2, -3, -4], [7, 6, 5, 4]]> : tensor<3x4xi8> : tensor<3x4xi8>
  %s = nn.constant dense<[0.5, 0.25, 1.0]> : tensor<3xf32> : tensor<3xf32>
  %r = nn.dequantize_weight %i, %s {axis = 0 : i64} : (tensor<3x4xi8>, tensor<3xf32>) -> tensor<3x4xf32>
  %p = nn.linear %d, %r : (tensor<2x4xf32>, tensor<3x4xf32>) -> tensor<2x3xf32>
  %y = nn.quantize %p : tensor<2x3xf32> to tensor<2x3x!nn.q<i8, 0.25, 4>>
  func.return %y : tensor<2x3x!nn.q<i8, 0.25, 4>>
}
