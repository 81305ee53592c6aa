// RUN: swkpu-opt %s -p nn-narrow-integers | filecheck %s

// CHECK: builtin.module attributes {nn.input_types = [i64, f32], nn.output_types = [i64]} {
// CHECK-NEXT: func.func @main(%ids: tensor<4xi32>, %x: tensor<4xf32>) -> tensor<4xi32> {
// CHECK-NEXT:   %c = nn.constant dense<[0, 1, -3, 2147483647]> : tensor<4xi32> : tensor<4xi32>
// CHECK-NEXT:   %y = nn.add %ids, %c : (tensor<4xi32>, tensor<4xi32>) -> tensor<4xi32>
// CHECK-NEXT:   func.return %y : tensor<4xi32>
func.func @main(%ids: tensor<4xi64>, %x: tensor<4xf32>) -> tensor<4xi64> {
  %c = nn.constant dense<[0, 1, -3, 9223372036854775807]> : tensor<4xi64> : tensor<4xi64>
  %y = nn.add %ids, %c : (tensor<4xi64>, tensor<4xi64>) -> tensor<4xi64>
  func.return %y : tensor<4xi64>
}
