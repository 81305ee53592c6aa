// RUN: swkpu-opt %s -p nn-equalize --split-input-file | filecheck %s

// Channel 0 has weights of 4 and 1, channel 1 of 1 and 4: sqrt(4 / 1) = 2 and sqrt(1 / 4) = 1/2.
// CHECK-LABEL: func.func @chain
// CHECK-NEXT:    %w = nn.constant dense<2.000000e+00> : tensor<2x1x1x1xf32>
// CHECK-NEXT:    %c = nn.conv2d %x, %w
// CHECK-NEXT:    %b = nn.constant dense<{{\[\[\[}}4.000000e+00]], {{\[\[}}1.600000e+01]]]> : tensor<2x1x1xf32>
// CHECK-NEXT:    %cb = nn.add %c, %b
// CHECK-NEXT:    %r = nn.relu %cb
// CHECK-NEXT:    %v = nn.constant dense<2.000000e+00> : tensor<1x2x1x1xf32>
// CHECK-NEXT:    %d = nn.conv2d %r, %v
func.func @chain(%x: tensor<1x1x4x4xf32>) -> tensor<1x1x4x4xf32> {
  %w = "nn.constant"() <{value = dense<[[[[4.0]]], [[[1.0]]]]> : tensor<2x1x1x1xf32>}> : () -> tensor<2x1x1x1xf32>
  %c = nn.conv2d %x, %w stride [1, 1] padding [0, 0, 0, 0] dilation [1, 1] groups [1] : (tensor<1x1x4x4xf32>, tensor<2x1x1x1xf32>) -> tensor<1x2x4x4xf32>
  %b = "nn.constant"() <{value = dense<[[[8.0]], [[8.0]]]> : tensor<2x1x1xf32>}> : () -> tensor<2x1x1xf32>
  %cb = nn.add %c, %b : (tensor<1x2x4x4xf32>, tensor<2x1x1xf32>) -> tensor<1x2x4x4xf32>
  %r = nn.relu %cb : tensor<1x2x4x4xf32>
  %v = "nn.constant"() <{value = dense<[[[[1.0]], [[4.0]]]]> : tensor<1x2x1x1xf32>}> : () -> tensor<1x2x1x1xf32>
  %d = nn.conv2d %r, %v stride [1, 1] padding [0, 0, 0, 0] dilation [1, 1] groups [1] : (tensor<1x2x4x4xf32>, tensor<1x2x1x1xf32>) -> tensor<1x1x4x4xf32>
  func.return %d : tensor<1x1x4x4xf32>
}

// -----

// A relu6 bounds each channel by itself: nothing moves across it.
// CHECK-LABEL: func.func @relu6
// CHECK:         %w = nn.constant dense<{{\[\[}}4.000000e+00], [1.000000e+00]]> : tensor<2x1xf32>
// CHECK:         %v = nn.constant dense<{{\[\[}}1.000000e+00, 4.000000e+00]]> : tensor<1x2xf32>
func.func @relu6(%x: tensor<1x1xf32>) -> tensor<1x1xf32> {
  %w = "nn.constant"() <{value = dense<[[4.0], [1.0]]> : tensor<2x1xf32>}> : () -> tensor<2x1xf32>
  %c = nn.linear %x, %w : (tensor<1x1xf32>, tensor<2x1xf32>) -> tensor<1x2xf32>
  %r = nn.clamp %c {min = 0.0 : f32, max = 6.0 : f32} : tensor<1x2xf32>
  %v = "nn.constant"() <{value = dense<[[1.0, 4.0]]> : tensor<1x2xf32>}> : () -> tensor<1x2xf32>
  %d = nn.linear %r, %v : (tensor<1x2xf32>, tensor<1x2xf32>) -> tensor<1x1xf32>
  func.return %d : tensor<1x1xf32>
}

// -----

// Nor where something else reads the value between the layers.
// CHECK-LABEL: func.func @shared
// CHECK:         %w = nn.constant dense<{{\[\[}}4.000000e+00], [1.000000e+00]]> : tensor<2x1xf32>
func.func @shared(%x: tensor<1x1xf32>) -> (tensor<1x2xf32>, tensor<1x1xf32>) {
  %w = "nn.constant"() <{value = dense<[[4.0], [1.0]]> : tensor<2x1xf32>}> : () -> tensor<2x1xf32>
  %c = nn.linear %x, %w : (tensor<1x1xf32>, tensor<2x1xf32>) -> tensor<1x2xf32>
  %v = "nn.constant"() <{value = dense<[[1.0, 4.0]]> : tensor<1x2xf32>}> : () -> tensor<1x2xf32>
  %d = nn.linear %c, %v : (tensor<1x2xf32>, tensor<1x2xf32>) -> tensor<1x1xf32>
  func.return %c, %d : tensor<1x2xf32>, tensor<1x1xf32>
}
