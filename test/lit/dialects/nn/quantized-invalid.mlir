// RUN: swkpu-opt %s --verify-diagnostics --split-input-file | filecheck %s

func.func @quantize_integers(%x: tensor<4xi32>) {
  // CHECK: expected f32 to quantize, got tensor<4xi32>
  %0 = nn.quantize %x : tensor<4xi32> to tensor<4x!nn.q<i8, 0.5, 0>>
  func.return
}

// -----

func.func @quantize_to_plain(%x: tensor<4xf32>) {
  // CHECK: expected quantized elements, such as !nn.q<i8, 0.05, -3>, got tensor<4xi8>
  %0 = nn.quantize %x : tensor<4xf32> to tensor<4xi8>
  func.return
}

// -----

func.func @quantize_shape(%x: tensor<4xf32>) {
  // CHECK: tensor<4x!nn.q<i8, 0.5, 0>>
  %0 = nn.quantize %x : tensor<4xf32> to tensor<5x!nn.q<i8, 0.5, 0>>
  func.return
}

// -----

func.func @dequantize_plain(%x: tensor<4xi8>) {
  // CHECK: expected quantized elements, such as !nn.q<i8, 0.05, -3>, got tensor<4xi8>
  %0 = nn.dequantize %x : tensor<4xi8> to tensor<4xf32>
  func.return
}

// -----

func.func @weight_type(%w: tensor<2x4xi32>, %s: tensor<2xf32>) {
  // CHECK: expected a weight of i8 or i4 and scales of f32, got tensor<2x4xi32> and tensor<2xf32>
  %0 = nn.dequantize_weight %w, %s {axis = 0 : i64} : (tensor<2x4xi32>, tensor<2xf32>) -> tensor<2x4xf32>
  func.return
}

// -----

func.func @weight_axis(%w: tensor<2x4xi8>, %s: tensor<2xf32>) {
  // CHECK: axis 2 is outside a weight of rank 2
  %0 = nn.dequantize_weight %w, %s {axis = 2 : i64} : (tensor<2x4xi8>, tensor<2xf32>) -> tensor<2x4xf32>
  func.return
}

// -----

func.func @weight_scales(%w: tensor<2x4xi8>, %s: tensor<2xf32>) {
  // CHECK: expected scales of shape [4], got tensor<2xf32>
  %0 = nn.dequantize_weight %w, %s {axis = 1 : i64} : (tensor<2x4xi8>, tensor<2xf32>) -> tensor<2x4xf32>
  func.return
}

// -----

func.func @weight_groups(%w: tensor<2x5xi4>, %s: tensor<2x2xf32>) {
  // CHECK: groups of 2 along dim 0's rows do not divide tensor<2x5xi4> with axis 0
  %0 = nn.dequantize_weight %w, %s {axis = 0 : i64, group = 2 : i64} : (tensor<2x5xi4>, tensor<2x2xf32>) -> tensor<2x5xf32>
  func.return
}

// -----

func.func @weight_group_scales(%w: tensor<2x6xi4>, %s: tensor<2x2xf32>) {
  // CHECK: expected scales of shape [2, 3], got tensor<2x2xf32>
  %0 = nn.dequantize_weight %w, %s {axis = 0 : i64, group = 2 : i64} : (tensor<2x6xi4>, tensor<2x2xf32>) -> tensor<2x6xf32>
  func.return
}

// -----

func.func @rescale_floats(%x: tensor<4xf32>, %m: tensor<1xi32>) {
  // CHECK: a rescale goes between quantized tensors and i32, got tensor<4xf32>
  %0 = nn.rescale %x, %m, %m : (tensor<4xf32>, tensor<1xi32>, tensor<1xi32>) -> tensor<4xi32>
  func.return
}

// -----

func.func @rescale_to_i8(%x: tensor<4xi32>, %m: tensor<1xi32>) {
  // CHECK: a rescale goes between quantized tensors and i32, got tensor<4xi8>
  %0 = nn.rescale %x, %m, %m : (tensor<4xi32>, tensor<1xi32>, tensor<1xi32>) -> tensor<4xi8>
  func.return
}

// -----

func.func @rescale_multiplier(%x: tensor<4xi32>, %m: tensor<1xi8>, %s: tensor<1xi32>) {
  // CHECK: expected multiplier and shift of i32, got tensor<1xi8>
  %0 = nn.rescale %x, %m, %s : (tensor<4xi32>, tensor<1xi8>, tensor<1xi32>) -> tensor<4xi32>
  func.return
}

// -----

func.func @rescale_shape(%x: tensor<1x4xi32>, %m: tensor<2x4xi32>) {
  // CHECK: tensor<2x4xi32> does not broadcast to tensor<1x4xi32>
  %0 = nn.rescale %x, %m, %m : (tensor<1x4xi32>, tensor<2x4xi32>, tensor<2x4xi32>) -> tensor<1x4xi32>
  func.return
}

// -----

func.func @table_of_wide(%x: tensor<4x!nn.q<i32, 0.5, 0>>) {
  // CHECK: a table is of stored i8, got tensor<4x!nn.q<i32, 0.5, 0>>
  %0 = nn.table %x, <"", "t"> : tensor<4x!nn.q<i32, 0.5, 0>> to tensor<4xf32>
  func.return
}

// -----

func.func @table_to_bf16(%x: tensor<4x!nn.q<i8, 0.5, 0>>) {
  // CHECK: a table gives i8, i32, f32 or quantized elements, got tensor<4xbf16>
  %0 = nn.table %x, <"", "t"> : tensor<4x!nn.q<i8, 0.5, 0>> to tensor<4xbf16>
  func.return
}

// -----

func.func @weight_of_first_operand(%x: tensor<1x4x!nn.q<i8, 0.5, 0>>, %w: tensor<3x4xf32>) {
  // CHECK: input and weight differ in element type
  %0 = nn.linear %x, %w : (tensor<1x4x!nn.q<i8, 0.5, 0>>, tensor<3x4xf32>) -> tensor<1x3xi32>
  func.return
}
