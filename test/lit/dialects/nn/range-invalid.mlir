// RUN: not swkpu-opt %s 2>&1 | filecheck %s

// CHECK: range-invalid.mlir:5:50: expected a range of two finite numbers, low to high, got 2.0, 1.0
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = nn.relu %x {nn.range = #nn.range<2.0, 1.0>} : tensor<4xf32>
  func.return %0 : tensor<4xf32>
}
