// RUN: swkpu-opt %s -p 'nn-quantize{precision=int8}' --elide-weights | filecheck %s

// The host quantizes. What the zero point adds is in the bias: round(0.5 / (0.01 * 0.01)) + 28 * 127. The storage type
// clamps at 0, and a result is f32.
// CHECK-LABEL: func.func @conv_relu(%x: tensor<1x1x4x4x!nn.q<i8, 0.01, -28>>) -> tensor<1x1x4x4xf32> {
// CHECK-NEXT:    %w = nn.constant dense<127> : tensor<1x1x1x1xi8>
// CHECK-NEXT:    %c = nn.conv2d %x, %w {{.*}} : (tensor<1x1x4x4x!nn.q<i8, 0.01, -28>>, tensor<1x1x1x1xi8>) -> tensor<1x1x5x5xi32>
// CHECK-NEXT:    %{{.*}} = nn.constant dense<8556> : tensor<1xi32>
// CHECK-NEXT:    %{{.*}} = nn.add %c, %{{.*}} : (tensor<1x1x5x5xi32>, tensor<1xi32>) -> tensor<1x1x5x5xi32>
// CHECK-NEXT:    %{{.*}} = nn.constant dense<1374389504> : tensor<1x1x1xi32>
// CHECK-NEXT:    %{{.*}} = nn.constant dense<37> : tensor<1x1x1xi32>
// CHECK-NEXT:    %r = nn.rescale {{.*}} -> tensor<1x1x5x5x!nn.q<i8, 0.009999999999999998, -128>>
// CHECK-NEXT:    nn.constant
// CHECK-NEXT:    %d = nn.conv2d %r, {{.*}} -> tensor<1x1x5x5xi32>
// CHECK-NEXT:    %s = nn.slice %d {{.*}} -> tensor<1x1x4x4xi32>
// CHECK-NEXT:    %{{.*}} = nn.constant dense<16256> : tensor<1x1x1xi32>
// CHECK-NEXT:    nn.add
// CHECK-NEXT:    nn.cast %{{.*}} : tensor<1x1x4x4xi32> to tensor<1x1x4x4xf32>
// CHECK-NEXT:    nn.constant dense<1.000000e-04>
// CHECK-NEXT:    nn.mul
// CHECK-NEXT:    func.return
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

// Both are brought to one scale, of 28 bits.
// CHECK-LABEL: func.func @residual
// CHECK:         %c = nn.conv2d %x
// CHECK:         %[[PRODUCT:.*]] = nn.rescale %c, {{.*}} : (tensor<1x1x4x4xi32>, tensor<1x1x1xi32>, tensor<1x1x1xi32>) -> tensor<1x1x4x4xi32>
// CHECK:         %[[OWN:.*]] = nn.add %[[PRODUCT]], {{.*}} -> tensor<1x1x4x4xi32>
// CHECK:         %[[OTHER:.*]] = nn.rescale %x, {{.*}} -> tensor<1x1x4x4xi32>
// CHECK-NEXT:    %a = nn.add %[[OWN]], %[[OTHER]] : (tensor<1x1x4x4xi32>, tensor<1x1x4x4xi32>) -> tensor<1x1x4x4xi32>
// CHECK-NOT:     nn.maximum
// CHECK:         %r = nn.rescale %a, {{.*}} -> tensor<1x1x4x4x!nn.q<i8, 0.009999999999999998, -128>>
// CHECK:         %d = nn.conv2d %r
func.func @residual(%x: tensor<1x1x4x4xf32> {nn.range = #nn.range<-1.0, 1.55>}) -> tensor<1x1x4x4xf32> {
  %w = nn.constant dense<1.27> : tensor<1x1x1x1xf32> : tensor<1x1x1x1xf32>
  %c = nn.conv2d %x, %w stride [1, 1] padding [0, 0, 0, 0] dilation [1, 1] groups [1] : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
  %a = nn.add %c, %x : (tensor<1x1x4x4xf32>, tensor<1x1x4x4xf32>) -> tensor<1x1x4x4xf32>
  %r = nn.relu %a {nn.range = #nn.range<0.0, 2.55>} : tensor<1x1x4x4xf32>
  %d = nn.conv2d %r, %w stride [1, 1] padding [0, 0, 0, 0] dilation [1, 1] groups [1] : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
  func.return %d : tensor<1x1x4x4xf32>
}

// x * sigmoid(x) is a function of one stored tensor.
// CHECK-LABEL: func.func @table(%x: tensor<4x4x!nn.q<i8, 0.01, -28>>) -> tensor<4x4xf32> {
// CHECK-NEXT:    %g = nn.table %x, <"", "sha256-{{.*}}"> : tensor<4x4x!nn.q<i8, 0.01, -28>> to tensor<4x4x!nn.q<i8, 0.006666666666666666, -53>>
// CHECK-NOT:     sigmoid
func.func @table(%x: tensor<4x4xf32> {nn.range = #nn.range<-1.0, 1.55>}) -> tensor<4x4xf32> {
  %w = nn.constant dense<1.27> : tensor<4x4xf32> : tensor<4x4xf32>
  %s = nn.sigmoid %x : tensor<4x4xf32>
  %g = nn.mul %x, %s {nn.range = #nn.range<-0.5, 1.2>} : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
  %y = nn.linear %g, %w : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
  func.return %y : tensor<4x4xf32>
}

// Quantize and dequantize that are there already, as PyTorch's own quantization gives them.
// CHECK-LABEL: func.func @given(%x: tensor<2x4x!nn.q<i8, 0.5, -3>>) -> tensor<2x3x!nn.q<i8, 0.25, 4>> {
// CHECK-NEXT:    %i = nn.constant dense<{{\[\[1, 2, 3, 4\], \[-1, -2, -3, -4\], \[7, 6, 5, 4\]\]}}> : tensor<3x4xi8>
// CHECK-NEXT:    %p = nn.linear %x, %i : (tensor<2x4x!nn.q<i8, 0.5, -3>>, tensor<3x4xi8>) -> tensor<2x3xi32>
// CHECK-NEXT:    nn.constant dense<{{\[30, -30, 66\]}}>
// CHECK-NEXT:    nn.add
// CHECK-NEXT:    nn.constant dense<1073741824>
// CHECK-NEXT:    nn.constant dense<{{\[30, 31, 29\]}}>
// CHECK-NEXT:    %y = nn.rescale {{.*}} -> tensor<2x3x!nn.q<i8, 0.25, 4>>
// CHECK-NEXT:    func.return %y
func.func @given(%x: tensor<2x4xf32>) -> tensor<2x3x!nn.q<i8, 0.25, 4>> {
  %q = nn.quantize %x : tensor<2x4xf32> to tensor<2x4x!nn.q<i8, 0.5, -3>>
  %d = nn.dequantize %q : tensor<2x4x!nn.q<i8, 0.5, -3>> to tensor<2x4xf32>
  %i = nn.constant dense<[[1, 2, 3, 4], [-1, -2, -3, -4], [7, 6, 5, 4]]> : tensor<3x4xi8> : tensor<3x4xi8>
  %s = nn.constant dense<[0.5, 0.25, 1.0]> : tensor<3xf32> : tensor<3xf32>
  %r = nn.dequantize_weight %i, %s {axis = 0 : i64} : (tensor<3x4xi8>, tensor<3xf32>) -> tensor<3x4xf32>
  %p = nn.linear %d, %r : (tensor<2x4xf32>, tensor<3x4xf32>) -> tensor<2x3xf32>
  %y = nn.quantize %p : tensor<2x3xf32> to tensor<2x3x!nn.q<i8, 0.25, 4>>
  func.return %y : tensor<2x3x!nn.q<i8, 0.25, 4>>
}
