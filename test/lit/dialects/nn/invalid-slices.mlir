// RUN: swkpu-opt %s --verify-diagnostics --split-input-file | filecheck %s

func.func @expand(%x: tensor<2x4xf32>) {
  // CHECK: tensor<2x4xf32> does not expand to [3, 4]: the rank stays, and only dims of size 1 are repeated
  %0 = nn.expand %x : tensor<2x4xf32> to tensor<3x4xf32>
  func.return
}

// -----

func.func @slice(%x: tensor<2x4xf32>) {
  // CHECK: dim 1 of tensor<2x4xf32> has no 3 elements from 0 in steps of 2
  %0 = nn.slice %x starts [0, 0] sizes [2, 3] steps [1, 2] : (tensor<2x4xf32>) -> tensor<2x3xf32>
  func.return
}

// -----

func.func @slice_rank(%x: tensor<2x4xf32>) {
  // CHECK: expected a start, a size and a step for each of the 2 dims of tensor<2x4xf32>
  %0 = nn.slice %x starts [0] sizes [2] steps [1] : (tensor<2x4xf32>) -> tensor<2xf32>
  func.return
}

// -----

func.func @insert(%x: tensor<4xf32>, %y: tensor<3xf32>) {
  // CHECK: dim 0 of tensor<4xf32> has no 3 elements from 2 in steps of 1
  %0 = nn.insert_slice %x, %y starts [2] steps [1] : (tensor<4xf32>, tensor<3xf32>) -> tensor<4xf32>
  func.return
}

// -----

func.func @concat(%x: tensor<2x4xf32>, %y: tensor<3x4xf32>) {
  // CHECK: tensor<2x4xf32> and tensor<3x4xf32> differ in more than dim 1
  %0 = nn.concat %x, %y dim 1 : (tensor<2x4xf32>, tensor<3x4xf32>) -> tensor<2x8xf32>
  func.return
}

// -----

func.func @pad(%x: tensor<4xf32>) {
  // CHECK: low and high must be 1 integers each, not negative, got [-1] and [0]
  %0 = nn.pad %x low [-1] high [0] value 0.0 : f32 : (tensor<4xf32>) -> tensor<3xf32>
  func.return
}

// -----

func.func @pad_value(%x: tensor<4xi8>) {
  // CHECK: the value 0.000000e+00 : f32 does not fit tensor<4xi8>: floats take an f32, the rest an i64
  %0 = nn.pad %x low [1] high [0] value 0.0 : f32 : (tensor<4xi8>) -> tensor<5xi8>
  func.return
}

// -----

func.func @flip(%x: tensor<4xi8>) {
  // CHECK: dim must be within a tensor of rank 1, got 1
  %0 = nn.flip %x dims [1] : (tensor<4xi8>) -> tensor<4xi8>
  func.return
}

// -----

func.func @flip_twice(%x: tensor<4xi8>) {
  // CHECK: each dim is turned round once, got [0, 0]
  %0 = nn.flip %x dims [0, 0] : (tensor<4xi8>) -> tensor<4xi8>
  func.return
}

// -----

func.func @take(%x: tensor<4xi8>, %i: tensor<2xf32>) {
  // CHECK: indices are i32 or i64, got tensor<2xf32>
  %0 = nn.take %x, %i dim 0 : (tensor<4xi8>, tensor<2xf32>) -> tensor<2xi8>
  func.return
}

// -----

func.func @gather(%x: tensor<4x3xi8>, %i: tensor<5x2xi32>) {
  // CHECK: indices tensor<5x2xi32> do not fit tensor<4x3xi8>: the ranks agree, and dims other than 1 are not larger
  %0 = nn.gather %x, %i dim 1 : (tensor<4x3xi8>, tensor<5x2xi32>) -> tensor<5x2xi8>
  func.return
}
