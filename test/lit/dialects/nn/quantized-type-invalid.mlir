// RUN: swkpu-opt %s --parsing-diagnostics --split-input-file | filecheck %s

// CHECK: expected a storage type of i8 or i32, got i16
func.func private @storage(tensor<4x!nn.q<i16, 0.5, 0>>)

// -----

// CHECK: expected a storage type of i8 or i32, got f32
func.func private @floats(tensor<4x!nn.q<f32, 0.5, 0>>)

// -----

// CHECK: expected a positive, finite scale, got 0.0
func.func private @no_scale(tensor<4x!nn.q<i8, 0.0, 0>>)

// -----

// CHECK: expected a positive, finite scale, got -0.5
func.func private @negative_scale(tensor<4x!nn.q<i8, -0.5, 0>>)

// -----

// CHECK: zero point 128 is outside i8: -128 to 127
func.func private @zero_point(tensor<4x!nn.q<i8, 0.5, 128>>)

// -----

// CHECK: zero point 2147483648 is outside i32: -2147483648 to 2147483647
func.func private @wide_zero_point(tensor<4x!nn.q<i32, 0.5, 2147483648>>)

// -----

// CHECK: Expected ','
func.func private @parts(tensor<4x!nn.q<i8, 0.5>>)
