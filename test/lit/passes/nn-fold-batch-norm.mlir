// RUN: swkpu-opt %s -p nn-fold-batch-norm | filecheck %s

// scale = 2 / sqrt(3.75 + 0.25) = 1 for channel 0 and 4 / 2 = 2 for channel 1; shift = bias - mean * scale.
// CHECK-LABEL: func.func @conv
// CHECK-NEXT:    %w = nn.constant dense<{{\[\[\[\[}}3.000000e+00]]], {{\[\[\[}}1.000000e+01]]]]> : tensor<2x1x1x1xf32>
// CHECK-NEXT:    %c = nn.conv2d %x, %w
// CHECK-NEXT:    %c_bias = nn.constant dense<{{\[\[\[\[}}9.000000e+00]], {{\[\[}}1.600000e+01]]]]> : tensor<1x2x1x1xf32>
// CHECK-NEXT:    %n = nn.add %c, %c_bias
// CHECK-NEXT:    func.return %n
func.func @conv(%x: tensor<1x1x4x4xf32>) -> tensor<1x2x4x4xf32> {
  %w = "nn.constant"() <{value = dense<[[[[3.0]]], [[[5.0]]]]> : tensor<2x1x1x1xf32>}> : () -> tensor<2x1x1x1xf32>
  %c = nn.conv2d %x, %w stride [1, 1] padding [0, 0, 0, 0] dilation [1, 1] groups [1] : (tensor<1x1x4x4xf32>, tensor<2x1x1x1xf32>) -> tensor<1x2x4x4xf32>
  %gamma = "nn.constant"() <{value = dense<[2.0, 4.0]> : tensor<2xf32>}> : () -> tensor<2xf32>
  %beta = "nn.constant"() <{value = dense<[10.0, 20.0]> : tensor<2xf32>}> : () -> tensor<2xf32>
  %mean = "nn.constant"() <{value = dense<[1.0, 2.0]> : tensor<2xf32>}> : () -> tensor<2xf32>
  %variance = "nn.constant"() <{value = dense<3.75> : tensor<2xf32>}> : () -> tensor<2xf32>
  %n = nn.batch_norm %c, %gamma, %beta, %mean, %variance {eps = 0.25 : f32} : (tensor<1x2x4x4xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<1x2x4x4xf32>
  func.return %n : tensor<1x2x4x4xf32>
}

// The bias of the conv is scaled and joins the shift: one add.
// CHECK-LABEL: func.func @conv_with_bias
// CHECK:         %c = nn.conv2d
// CHECK-NEXT:    %c_bias = nn.constant dense<{{\[\[\[\[}}1.000000e+01]], {{\[\[}}3.000000e+01]]]]> : tensor<1x2x1x1xf32>
// CHECK-NEXT:    %n = nn.add %c, %c_bias
// CHECK-NEXT:    func.return %n
func.func @conv_with_bias(%x: tensor<1x1x4x4xf32>) -> tensor<1x2x4x4xf32> {
  %w = "nn.constant"() <{value = dense<[[[[3.0]]], [[[5.0]]]]> : tensor<2x1x1x1xf32>}> : () -> tensor<2x1x1x1xf32>
  %c = nn.conv2d %x, %w stride [1, 1] padding [0, 0, 0, 0] dilation [1, 1] groups [1] : (tensor<1x1x4x4xf32>, tensor<2x1x1x1xf32>) -> tensor<1x2x4x4xf32>
  %b = "nn.constant"() <{value = dense<[1.0, 7.0]> : tensor<2xf32>}> : () -> tensor<2xf32>
  %b4 = nn.reshape %b : tensor<2xf32> to tensor<1x2x1x1xf32>
  %cb = nn.add %c, %b4 : (tensor<1x2x4x4xf32>, tensor<1x2x1x1xf32>) -> tensor<1x2x4x4xf32>
  %gamma = "nn.constant"() <{value = dense<[2.0, 4.0]> : tensor<2xf32>}> : () -> tensor<2xf32>
  %beta = "nn.constant"() <{value = dense<[10.0, 20.0]> : tensor<2xf32>}> : () -> tensor<2xf32>
  %mean = "nn.constant"() <{value = dense<[1.0, 2.0]> : tensor<2xf32>}> : () -> tensor<2xf32>
  %variance = "nn.constant"() <{value = dense<3.75> : tensor<2xf32>}> : () -> tensor<2xf32>
  %n = nn.batch_norm %cb, %gamma, %beta, %mean, %variance {eps = 0.25 : f32} : (tensor<1x2x4x4xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<1x2x4x4xf32>
  func.return %n : tensor<1x2x4x4xf32>
}

// CHECK-LABEL: func.func @linear
// CHECK-NEXT:    %w = nn.constant dense<{{\[\[}}3.000000e+00], [1.000000e+01]]> : tensor<2x1xf32>
// CHECK-NEXT:    %c = nn.linear %x, %w
// CHECK-NEXT:    %c_bias = nn.constant dense<{{\[\[}}9.000000e+00, 1.600000e+01]]> : tensor<1x2xf32>
// CHECK-NEXT:    %n = nn.add %c, %c_bias
func.func @linear(%x: tensor<4x1xf32>) -> tensor<4x2xf32> {
  %w = "nn.constant"() <{value = dense<[[3.0], [5.0]]> : tensor<2x1xf32>}> : () -> tensor<2x1xf32>
  %c = nn.linear %x, %w : (tensor<4x1xf32>, tensor<2x1xf32>) -> tensor<4x2xf32>
  %gamma = "nn.constant"() <{value = dense<[2.0, 4.0]> : tensor<2xf32>}> : () -> tensor<2xf32>
  %beta = "nn.constant"() <{value = dense<[10.0, 20.0]> : tensor<2xf32>}> : () -> tensor<2xf32>
  %mean = "nn.constant"() <{value = dense<[1.0, 2.0]> : tensor<2xf32>}> : () -> tensor<2xf32>
  %variance = "nn.constant"() <{value = dense<3.75> : tensor<2xf32>}> : () -> tensor<2xf32>
  %n = nn.batch_norm %c, %gamma, %beta, %mean, %variance {eps = 0.25 : f32} : (tensor<4x2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<4x2xf32>
  func.return %n : tensor<4x2xf32>
}

// The conv's result has another use, so its weight cannot be scaled.
// CHECK-LABEL: func.func @shared_conv
// CHECK-NEXT:    %w = nn.constant dense<{{\[\[\[\[}}3.000000e+00]]], {{\[\[\[}}5.000000e+00]]]]>
// CHECK-NEXT:    %c = nn.conv2d %x, %w
// CHECK-NEXT:    %n_scale = nn.constant dense<{{\[\[\[\[}}1.000000e+00]], {{\[\[}}2.000000e+00]]]]> : tensor<1x2x1x1xf32>
// CHECK-NEXT:    %n = nn.mul %c, %n_scale
// CHECK-NEXT:    %n_shift = nn.constant dense<{{\[\[\[\[}}9.000000e+00]], {{\[\[}}1.600000e+01]]]]> : tensor<1x2x1x1xf32>
// CHECK-NEXT:    %n_1 = nn.add %n, %n_shift
// CHECK-NEXT:    func.return %c, %n_1
func.func @shared_conv(%x: tensor<1x1x4x4xf32>) -> (tensor<1x2x4x4xf32>, tensor<1x2x4x4xf32>) {
  %w = "nn.constant"() <{value = dense<[[[[3.0]]], [[[5.0]]]]> : tensor<2x1x1x1xf32>}> : () -> tensor<2x1x1x1xf32>
  %c = nn.conv2d %x, %w stride [1, 1] padding [0, 0, 0, 0] dilation [1, 1] groups [1] : (tensor<1x1x4x4xf32>, tensor<2x1x1x1xf32>) -> tensor<1x2x4x4xf32>
  %gamma = "nn.constant"() <{value = dense<[2.0, 4.0]> : tensor<2xf32>}> : () -> tensor<2xf32>
  %beta = "nn.constant"() <{value = dense<[10.0, 20.0]> : tensor<2xf32>}> : () -> tensor<2xf32>
  %mean = "nn.constant"() <{value = dense<[1.0, 2.0]> : tensor<2xf32>}> : () -> tensor<2xf32>
  %variance = "nn.constant"() <{value = dense<3.75> : tensor<2xf32>}> : () -> tensor<2xf32>
  %n = nn.batch_norm %c, %gamma, %beta, %mean, %variance {eps = 0.25 : f32} : (tensor<1x2x4x4xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<1x2x4x4xf32>
  func.return %c, %n : tensor<1x2x4x4xf32>, tensor<1x2x4x4xf32>
}

// Without constant statistics there is nothing to fold.
// CHECK-LABEL: func.func @dynamic_statistics
// CHECK:         nn.batch_norm %x, %s, %s, %s, %s
func.func @dynamic_statistics(%x: tensor<1x2x4x4xf32>, %s: tensor<2xf32>) -> tensor<1x2x4x4xf32> {
  %n = nn.batch_norm %x, %s, %s, %s, %s {eps = 0.25 : f32} : (tensor<1x2x4x4xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<1x2x4x4xf32>
  func.return %n : tensor<1x2x4x4xf32>
}
