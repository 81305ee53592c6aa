// Tensors become the integers they are stored as; the host keeps the scales of inputs and outputs.
// RUN: swkpu-opt %s -p convert-nn-to-df | filecheck %s

// CHECK:      builtin.module attributes {nn.input_types = [!nn.q<i8, 0.5, -3>, i8], nn.output_types = [!nn.q<i8, 0.25, 4>, !nn.q<i8, 0.25, 4>, f32, !nn.q<i8, 0.25, 4>]} {
// CHECK-NEXT:   func.func @main(%x: tensor<2x4xi8>, %w: tensor<3x4xi8>) -> (tensor<2x3xi8>, tensor<2x4xi8>, tensor<2x4xf32>, tensor<2x4xi8>) {
func.func @main(%x: tensor<2x4x!nn.q<i8, 0.5, -3>>, %w: tensor<3x4xi8>) -> (tensor<2x3x!nn.q<i8, 0.25, 4>>, tensor<2x4x!nn.q<i8, 0.25, 4>>, tensor<2x4xf32>, tensor<2x4x!nn.q<i8, 0.25, 4>>) {
  // CHECK:      %p = df.recurrence (n = 2, o = 3 | i = 4)
  // CHECK-NEXT:     ins(%x[n, i] pad -3.0 : tensor<2x4xi8>, %w[o, i] : tensor<3x4xi8>)
  // CHECK-NEXT:     mac
  // CHECK:          -> [n, o] {op = "linear"} : tensor<2x3xi32>
  %p = nn.linear %x, %w : (tensor<2x4x!nn.q<i8, 0.5, -3>>, tensor<3x4xi8>) -> tensor<2x3xi32>
  %m = nn.constant dense<1073741824> : tensor<1xi32> : tensor<1xi32>
  %s = nn.constant dense<33> : tensor<1xi32> : tensor<1xi32>
  // CHECK:      %r = df.recurrence
  // CHECK:          %[[M:.*]] = arith.constant 1073741824 : i32
  // CHECK-NEXT:     %[[S:.*]] = arith.constant 33 : i32
  // CHECK-NEXT:     df.rescale %{{.*}}, %[[M]], %[[S]] zero_points[0, 4] : i32 -> i8
  // CHECK:          : tensor<2x3xi8>
  %r = nn.rescale %p, %m, %s : (tensor<2x3xi32>, tensor<1xi32>, tensor<1xi32>) -> tensor<2x3x!nn.q<i8, 0.25, 4>>
  // CHECK:      %t = df.recurrence
  // CHECK:          df.table %{{.*}}, #nn.weight<"net.safetensors", "exp"> : i8 -> i8
  %t = nn.table %x, <"net.safetensors", "exp"> : tensor<2x4x!nn.q<i8, 0.5, -3>> to tensor<2x4x!nn.q<i8, 0.25, 4>>
  // CHECK:      %d = df.recurrence
  // CHECK:          %[[F:.*]] = arith.sitofp %{{.*}} : i8 to f32
  // CHECK-NEXT:     %[[Z:.*]] = arith.constant -3.000000e+00 : f32
  // CHECK-NEXT:     %[[C:.*]] = arith.subf %[[F]], %[[Z]] : f32
  // CHECK-NEXT:     %[[K:.*]] = arith.constant 5.000000e-01 : f32
  // CHECK-NEXT:     arith.mulf %[[C]], %[[K]] : f32
  %d = nn.dequantize %x : tensor<2x4x!nn.q<i8, 0.5, -3>> to tensor<2x4xf32>
  // CHECK:      %q = df.recurrence
  // CHECK:          %[[R:.*]] = math.roundeven %{{.*}} : f32
  // CHECK-NEXT:     %[[W:.*]] = arith.fptosi %[[R]] : f32 to i32
  // CHECK:          df.rescale %[[W]], %{{.*}}, %{{.*}} zero_points[0, 4] : i32 -> i8
  %q = nn.quantize %d : tensor<2x4xf32> to tensor<2x4x!nn.q<i8, 0.25, 4>>
  func.return %r, %t, %d, %q : tensor<2x3x!nn.q<i8, 0.25, 4>>, tensor<2x4x!nn.q<i8, 0.25, 4>>, tensor<2x4xf32>, tensor<2x4x!nn.q<i8, 0.25, 4>>
}
