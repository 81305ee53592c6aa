// Our dialects and passes are part of xdsl-opt's universe.
// RUN: xdsl-opt %s -p convert-nn-to-df,df-fuse | filecheck %s

// CHECK: df.recurrence (c = 4)
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = nn.relu %x : tensor<4xf32>
  func.return %0 : tensor<4xf32>
}
