// RUN: swkpu-opt %s -p 'nn-correct-bias{precision=int8}' | filecheck %s
// RUN: swkpu-opt %s -p 'nn-correct-bias{precision=bf16}' | filecheck %s --check-prefix=FLOAT

// The scale is 127 / 127 = 1. Weights 127 and 2.25 become 127 and 2: with a mean input of 8 the result is 2 too small in
// the mean, which an addition makes up for. It takes over the range.
// CHECK:      %y = nn.linear %x, %w : (tensor<1x2xf32>, tensor<1x2xf32>) -> tensor<1x1xf32>
// CHECK-NEXT: %y_correction = nn.constant dense<2.000000e+00> : tensor<1xf32>
// CHECK-NEXT: %y_1 = nn.add %y, %y_correction {nn.range = #nn.range<-1.0, 3.0>}
// CHECK-NEXT: func.return %y_1

// FLOAT:      %y = nn.linear %x, %w {nn.range = #nn.range<-1.0, 3.0>}
// FLOAT-NEXT: func.return %y
func.func @main(%x: tensor<1x2xf32>) -> tensor<1x1xf32> {
  %w = "nn.constant"() <{value = dense<[[127.0, 2.25]]> : tensor<1x2xf32>}> : () -> tensor<1x2xf32>
  %y = nn.linear %x, %w {nn.input_mean = array<f32: 5.0, 8.0>, nn.range = #nn.range<-1.0, 3.0>} : (tensor<1x2xf32>, tensor<1x2xf32>) -> tensor<1x1xf32>
  func.return %y : tensor<1x1xf32>
}
