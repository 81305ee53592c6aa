// RUN: swkpu-opt %s -p nn-fold-constants --elide-weights | filecheck %s

// A chain of constants is evaluated; what was only used by it is gone.
// CHECK-LABEL: func.func @chain
// CHECK-NEXT:    %bias = nn.constant dense<{{\[\[}}[3.000000e+00]], {{\[\[}}5.000000e+00]]]> : tensor<2x1x1xf32>
// CHECK-NEXT:    %0 = nn.add %x, %bias
// CHECK-NEXT:    func.return %0
func.func @chain(%x: tensor<2x4x4xf32>) -> tensor<2x4x4xf32> {
  %a = "nn.constant"() <{value = dense<[1.0, 2.0]> : tensor<2xf32>}> : () -> tensor<2xf32>
  %two = "nn.constant"() <{value = dense<2.0> : tensor<f32>}> : () -> tensor<f32>
  %one = "nn.constant"() <{value = dense<1.0> : tensor<f32>}> : () -> tensor<f32>
  %scaled = nn.mul %a, %two : (tensor<2xf32>, tensor<f32>) -> tensor<2xf32>
  %shifted = nn.add %scaled, %one : (tensor<2xf32>, tensor<f32>) -> tensor<2xf32>
  %bias = nn.reshape %shifted : tensor<2xf32> to tensor<2x1x1xf32>
  %0 = nn.add %x, %bias : (tensor<2x4x4xf32>, tensor<2x1x1xf32>) -> tensor<2x4x4xf32>
  func.return %0 : tensor<2x4x4xf32>
}

// A constant with another use stays.
// CHECK-LABEL: func.func @shared
// CHECK-NEXT:    %a = nn.constant dense<[1.000000e+00, 2.000000e+00]> : tensor<2xf32>
// CHECK-NEXT:    %n = nn.constant dense<[-1.000000e+00, -2.000000e+00]> : tensor<2xf32>
// CHECK-NEXT:    func.return %a, %n
func.func @shared() -> (tensor<2xf32>, tensor<2xf32>) {
  %a = "nn.constant"() <{value = dense<[1.0, 2.0]> : tensor<2xf32>}> : () -> tensor<2xf32>
  %n = nn.neg %a : tensor<2xf32>
  func.return %a, %n : tensor<2xf32>, tensor<2xf32>
}

// More than 16 elements become a weight, named by its content. Its location stays.
// CHECK-LABEL: func.func @large
// CHECK-NEXT:    %0 = nn.constant #nn.weight<"", "sha256-{{[0-9a-f]+}}"> : tensor<17xf32>
func.func @large() -> tensor<17xf32> {
  %a = "nn.constant"() <{value = dense<1.0> : tensor<17xf32>}> : () -> tensor<17xf32>
  %b = "nn.constant"() <{value = dense<1.0> : tensor<f32>}> : () -> tensor<f32>
  %0 = nn.add %a, %b : (tensor<17xf32>, tensor<f32>) -> tensor<17xf32>
  func.return %0 : tensor<17xf32>
}

// A cast rounds to nearest even: 1 + 2^-8 is halfway between bf16 values.
// CHECK-LABEL: func.func @rounding
// CHECK-NEXT:    %0 = nn.constant dense<[1.000000e+00, 1.0078{{[0-9]*}}e+00]> : tensor<2xbf16>
func.func @rounding() -> tensor<2xbf16> {
  %a = "nn.constant"() <{value = dense<[1.00390625, 1.00390637]> : tensor<2xf32>}> : () -> tensor<2xf32>
  %0 = nn.cast %a : tensor<2xf32> to tensor<2xbf16>
  func.return %0 : tensor<2xbf16>
}
