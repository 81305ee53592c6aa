// RUN: not swkpu-opt %s -p nn-narrow-integers 2>&1 | filecheck %s

// CHECK: a constant is 4294967296; the KPU's integers go from -2147483648 to 2147483647
func.func @main(%ids: tensor<2xi64>) -> tensor<2xi64> {
  %c = nn.constant dense<[0, 4294967296]> : tensor<2xi64> : tensor<2xi64>
  %y = nn.add %ids, %c : (tensor<2xi64>, tensor<2xi64>) -> tensor<2xi64>
  func.return %y : tensor<2xi64>
}
