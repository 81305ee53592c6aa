// RUN: swkpu-opt %s --verify-diagnostics --split-input-file | filecheck %s

// CHECK: a rescale is from i8 or i32 to i8 or i32, got input f32
func.func @rescale_of_floats(%x: f32, %m: i32) {
  %0 = df.rescale %x, %m, %m zero_points[0, 0] : f32 -> i8
  func.return
}

// -----

// CHECK: a rescale is from i8 or i32 to i8 or i32, got output i64
func.func @rescale_to_i64(%x: i32, %m: i32) {
  %0 = df.rescale %x, %m, %m zero_points[0, 0] : i32 -> i64
  func.return
}

// -----

// CHECK: input zero point 128 of a rescale is outside -128..127, the range of i8
func.func @input_zero_point(%x: i8, %m: i32) {
  %0 = df.rescale %x, %m, %m zero_points[128, 0] : i8 -> i32
  func.return
}

// -----

// CHECK: output zero point -129 of a rescale is outside -128..127, the range of i8
func.func @output_zero_point(%x: i32, %m: i32) {
  %0 = df.rescale %x, %m, %m zero_points[0, -129] : i32 -> i8
  func.return
}

// -----

// CHECK: operand 'multiplier' at position 1 does not verify:
// CHECK: Expected attribute i32 but got i8
func.func @multiplier(%x: i32, %m: i8, %s: i32) {
  %0 = "df.rescale"(%x, %m, %s) <{input_zero_point = 0 : i32, output_zero_point = 0 : i32}> : (i32, i8, i32) -> i8
  func.return
}

// -----

// CHECK: operand 'shift' at position 2 does not verify:
// CHECK: Expected attribute i32 but got i8
func.func @shift(%x: i32, %m: i32, %s: i8) {
  %0 = "df.rescale"(%x, %m, %s) <{input_zero_point = 0 : i32, output_zero_point = 0 : i32}> : (i32, i32, i8) -> i8
  func.return
}

// -----

// CHECK: operand 'value' at position 0 does not verify:
// CHECK: Expected attribute i8 but got i32
func.func @table_of_i32(%x: i32) {
  %0 = "df.table"(%x) <{table = #nn.weight<"net", "entries">}> : (i32) -> i8
  func.return
}

// -----

// CHECK: a table gives i8, i32 or f32, got bf16
func.func @table_to_bf16(%x: i8) {
  %0 = df.table %x, #nn.weight<"net", "entries"> : i8 -> bf16
  func.return
}
