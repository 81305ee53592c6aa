// RUN: not swkpu-opt %s -p 'nn-correct-bias{precision=int8}' 2>&1 | filecheck %s

// CHECK: nn.linear: nn.input_mean is not an array of 2 f32, one by input channel
func.func @main(%x: tensor<1x2xf32>) -> tensor<1x1xf32> {
  %w = "nn.constant"() <{value = dense<[[127.0, 2.25]]> : tensor<1x2xf32>}> : () -> tensor<1x2xf32>
  %y = nn.linear %x, %w {nn.input_mean = array<f32: 5.0>} : (tensor<1x2xf32>, tensor<1x2xf32>) -> tensor<1x1xf32>
  func.return %y : tensor<1x1xf32>
}
