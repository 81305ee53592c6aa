// RUN: swkpu-opt %s | swkpu-opt | filecheck %s
// RUN: swkpu-opt %s --print-op-generic | swkpu-opt | filecheck %s

// CHECK-LABEL: func.func @parts
func.func @parts(%x: tensor<2x3x4xi8>, %y: tensor<2x2x4xi8>, %f: tensor<2x3x4xf32>) {
  // CHECK: nn.slice %x starts [0, 1, 0] sizes [2, 2, 2] steps [1, 1, 2] : (tensor<2x3x4xi8>) -> tensor<2x2x2xi8>
  %0 = nn.slice %x starts [0, 1, 0] sizes [2, 2, 2] steps [1, 1, 2] : (tensor<2x3x4xi8>) -> tensor<2x2x2xi8>
  // CHECK: nn.insert_slice %x, %0 starts [0, 0, 0] steps [1, 2, 3] : (tensor<2x3x4xi8>, tensor<2x2x2xi8>) -> tensor<2x3x4xi8>
  %1 = nn.insert_slice %x, %0 starts [0, 0, 0] steps [1, 2, 3] : (tensor<2x3x4xi8>, tensor<2x2x2xi8>) -> tensor<2x3x4xi8>
  // CHECK: nn.concat %x, %y, %x dim 1 : (tensor<2x3x4xi8>, tensor<2x2x4xi8>, tensor<2x3x4xi8>) -> tensor<2x8x4xi8>
  %2 = nn.concat %x, %y, %x dim 1 : (tensor<2x3x4xi8>, tensor<2x2x4xi8>, tensor<2x3x4xi8>) -> tensor<2x8x4xi8>
  // CHECK: nn.pad %f low [0, 1, 0] high [2, 0, 0] value 0.000000e+00 : f32 : (tensor<2x3x4xf32>) -> tensor<4x4x4xf32>
  %3 = nn.pad %f low [0, 1, 0] high [2, 0, 0] value 0.000000e+00 : f32 : (tensor<2x3x4xf32>) -> tensor<4x4x4xf32>
  // CHECK: nn.pad %f low [0, 0, 0] high [0, 0, 1] value 0xff800000 : f32 : (tensor<2x3x4xf32>) -> tensor<2x3x5xf32>
  %4 = nn.pad %f low [0, 0, 0] high [0, 0, 1] value 0xff800000 : f32 : (tensor<2x3x4xf32>) -> tensor<2x3x5xf32>
  // CHECK: nn.pad %x low [0, 0, 0] high [0, 0, 1] value 7 : i64 : (tensor<2x3x4xi8>) -> tensor<2x3x5xi8>
  %5 = nn.pad %x low [0, 0, 0] high [0, 0, 1] value 7 : i64 : (tensor<2x3x4xi8>) -> tensor<2x3x5xi8>
  // CHECK: nn.flip %x dims [0, 2] : (tensor<2x3x4xi8>) -> tensor<2x3x4xi8>
  %6 = nn.flip %x dims [0, 2] : (tensor<2x3x4xi8>) -> tensor<2x3x4xi8>
  func.return
}

// CHECK-LABEL: func.func @repeated
func.func @repeated(%x: tensor<2x1x4xi1>) {
  // CHECK: nn.expand %x : tensor<2x1x4xi1> to tensor<2x5x4xi1>
  %0 = nn.expand %x : tensor<2x1x4xi1> to tensor<2x5x4xi1>
  func.return
}

// CHECK-LABEL: func.func @chosen
func.func @chosen(%x: tensor<9x4xf16>, %i: tensor<2x3xi64>, %j: tensor<5x2xi32>) {
  // CHECK: nn.take %x, %i dim 0 : (tensor<9x4xf16>, tensor<2x3xi64>) -> tensor<2x3x4xf16>
  %0 = nn.take %x, %i dim 0 : (tensor<9x4xf16>, tensor<2x3xi64>) -> tensor<2x3x4xf16>
  // CHECK: nn.gather %x, %j dim 1 : (tensor<9x4xf16>, tensor<5x2xi32>) -> tensor<5x2xf16>
  %1 = nn.gather %x, %j dim 1 : (tensor<9x4xf16>, tensor<5x2xi32>) -> tensor<5x2xf16>
  func.return
}
