// RUN: swkpu-opt %s -p 'nn-annotate-ranges{file="%S/Inputs/ranges.json"}' | filecheck %s
// RUN: swkpu-opt %s -p 'nn-annotate-ranges{file="%S/Inputs/ranges.json"}' | swkpu-opt | filecheck %s

// CHECK-LABEL: @main
// CHECK-SAME: %x: tensor<4xf32> {nn.range = #nn.range<-3.25, 3.0>}, %y: tensor<4xf32>)
func.func @main(%x: tensor<4xf32>, %y: tensor<4xf32>) -> tensor<4xf32> {
  // CHECK: %relu = nn.relu %x {nn.range = #nn.range<0.0, 1.0e-07>} : tensor<4xf32>
  %relu = nn.relu %x : tensor<4xf32>
  // CHECK: %sum = nn.add %relu, %y : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  %sum = nn.add %relu, %y : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  // CHECK: %relu_1 = nn.relu %sum {nn.range = #nn.range<0.0, 1.5>} : tensor<4xf32>
  %relu_1 = nn.relu %sum : tensor<4xf32>
  func.return %relu_1 : tensor<4xf32>
}
