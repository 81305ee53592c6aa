// RUN: swkpu-opt %s | swkpu-opt | filecheck %s

// CHECK: func.func @main(%x: tensor<4xf32> {nn.range = #nn.range<-1.5, 2.0>}) -> tensor<4xf32> {
func.func @main(%x: tensor<4xf32> {nn.range = #nn.range<-1.5, 2>}) -> tensor<4xf32> {
  // CHECK: nn.relu %x {nn.range = #nn.range<0.0, 1.25e-05>} : tensor<4xf32>
  %0 = nn.relu %x {nn.range = #nn.range<0, 1.25e-5>} : tensor<4xf32>
  func.return %0 : tensor<4xf32>
}
