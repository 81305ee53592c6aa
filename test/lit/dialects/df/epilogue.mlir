// RUN: swkpu-opt %s | swkpu-opt | filecheck %s
// RUN: swkpu-opt %s --print-op-generic | filecheck %s --check-prefix=GENERIC
// RUN: swkpu-opt %s --print-op-generic | swkpu-opt | filecheck %s

// An int8 convolution: bias, a scale per channel, and a function by table.
// CHECK-LABEL: func.func @conv
func.func @conv(%x: tensor<6x4xi8>, %w: tensor<16x4xi8>, %b: tensor<16xi32>, %m: tensor<16xi32>, %s: tensor<16xi32>) -> tensor<6x16xi8> {
  // CHECK:      %sum = arith.addi %acc, %bias : i32
  // CHECK-NEXT: %q = df.rescale %sum, %multiplier, %shift zero_points[0, -128] : i32 -> i8
  // CHECK-NEXT: %f = df.table %q, #nn.weight<"net.safetensors", "sigmoid"> : i8 -> i8
  // GENERIC:      %q = "df.rescale"(%sum, %multiplier, %shift) <{input_zero_point = 0 : i32, output_zero_point = -128 : i32}> : (i32, i32, i32) -> i8
  // GENERIC-NEXT: %f = "df.table"(%q) <{table = #nn.weight<"net.safetensors", "sigmoid">}> : (i8) -> i8
  %y = df.recurrence (m = 6, n = 16 | k = 4) ins(%x[m, k] : tensor<6x4xi8>, %w[n, k] : tensor<16x4xi8>)
    mac with(%b[n] : tensor<16xi32>, %m[n] : tensor<16xi32>, %s[n] : tensor<16xi32>)
    epilogue(%acc: i32, %bias: i32, %multiplier: i32, %shift: i32) {
      %sum = arith.addi %acc, %bias : i32
      %q = df.rescale %sum, %multiplier, %shift zero_points[0, -128] : i32 -> i8
      %f = df.table %q, #nn.weight<"net.safetensors", "sigmoid"> : i8 -> i8
      df.yield %f : i8
    } -> [m, n] : tensor<6x16xi8>
  func.return %y : tensor<6x16xi8>
}

// From i8, to i32 and by table to f32; attributes stand before the types.
// CHECK-LABEL: func.func @types
func.func @types(%x: tensor<6xi8>, %m: tensor<1xi32>) -> tensor<6xf32> {
  // CHECK:      %wide = df.rescale %q, %scale, %scale zero_points[127, 2147483647] {note} : i8 -> i32
  // CHECK-NEXT: %f = df.table %q, #nn.weight<"", "entries"> : i8 -> f32
  %y = df.recurrence (m = 6) none with(%x[m] : tensor<6xi8>, %m[0] : tensor<1xi32>)
    epilogue(%q: i8, %scale: i32) {
      %wide = df.rescale %q, %scale, %scale zero_points[127, 2147483647] {note} : i8 -> i32
      %f = df.table %q, #nn.weight<"", "entries"> : i8 -> f32
      df.yield %f : f32
    } -> [m] : tensor<6xf32>
  func.return %y : tensor<6xf32>
}
