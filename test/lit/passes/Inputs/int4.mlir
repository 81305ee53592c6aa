func.func @main(%x: tensor<4x3xi8>) -> tensor<4x5xi32> {
  %w = nn.constant dense<[[-8, 7, 1], [0, -1, 3], [2, 2, 2], [-8, -8, -8], [7, 7, 7]]> : tensor<5x3xi4> : tensor<5x3xi4>
  %y = nn.linear %x, %w : (tensor<4x3xi8>, tensor<5x3xi4>) -> tensor<4x5xi32>
  func.return %y : tensor<4x5xi32>
}
