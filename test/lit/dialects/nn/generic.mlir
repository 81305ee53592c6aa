// RUN: swkpu-opt %s --print-op-generic | filecheck %s

func.func @main(%x: tensor<1x4x8x8xf32>) {
  // CHECK: "nn.constant"() <{value = #nn.weight<"", "w">}> : () -> tensor<6x4x3x3xf32>
  %w = nn.constant #nn.weight<"", "w"> : tensor<6x4x3x3xf32>
  // CHECK: "nn.conv2d"(%x, %w) <{stride = #nn.ints[1, 1], padding = #nn.ints[0, 0, 0, 0], dilation = #nn.ints[1, 1], groups = #nn.ints[1]}> : (tensor<1x4x8x8xf32>, tensor<6x4x3x3xf32>) -> tensor<1x6x6x6xf32>
  %0 = nn.conv2d %x, %w stride [1, 1] padding [0, 0, 0, 0] dilation [1, 1] groups [1] : (tensor<1x4x8x8xf32>, tensor<6x4x3x3xf32>) -> tensor<1x6x6x6xf32>
  // CHECK: "nn.relu"({{%.*}}) : (tensor<1x6x6x6xf32>) -> tensor<1x6x6x6xf32>
  %1 = nn.relu %0 : tensor<1x6x6x6xf32>
  func.return
}
