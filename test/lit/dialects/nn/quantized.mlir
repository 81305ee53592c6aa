// Quantized tensors and their ops: round trip, and in generic form.
// RUN: swkpu-opt %s | swkpu-opt | filecheck %s
// RUN: swkpu-opt %s --print-op-generic | swkpu-opt | filecheck %s
// RUN: swkpu-opt %s --print-op-generic | filecheck %s --check-prefix=GENERIC

// CHECK-LABEL: func.func @main
// CHECK-SAME: (%x: tensor<1x3x4x4xf32>, %w: tensor<2x3x1x1xi8>, %g: tensor<2x64xi4>)
// GENERIC-LABEL: func.func
func.func @main(%x: tensor<1x3x4x4xf32>, %w: tensor<2x3x1x1xi8>, %g: tensor<2x64xi4>) -> tensor<1x2x4x4xf32> {
  // CHECK-NEXT: %{{.*}} = nn.quantize %x : tensor<1x3x4x4xf32> to tensor<1x3x4x4x!nn.q<i8, 0.0235, -128>>
  // GENERIC: "nn.quantize"(%x) : (tensor<1x3x4x4xf32>) -> tensor<1x3x4x4x!nn.q<i8, 0.0235, -128>>
  %q = nn.quantize %x : tensor<1x3x4x4xf32> to tensor<1x3x4x4x!nn.q<i8, 0.0235, -128>>
  // CHECK-NEXT: nn.dequantize %{{.*}} : tensor<1x3x4x4x!nn.q<i8, 0.0235, -128>> to tensor<1x3x4x4xf32>
  // GENERIC: "nn.dequantize"(%{{.*}}) : (tensor<1x3x4x4x!nn.q<i8, 0.0235, -128>>) -> tensor<1x3x4x4xf32>
  %d = nn.dequantize %q : tensor<1x3x4x4x!nn.q<i8, 0.0235, -128>> to tensor<1x3x4x4xf32>
  // CHECK-NEXT: nn.constant
  %s = nn.constant dense<[0.5, 0.25]> : tensor<2xf32> : tensor<2xf32>
  // CHECK-NEXT: nn.dequantize_weight %w, %{{.*}} {axis = 0 : i64} : (tensor<2x3x1x1xi8>, tensor<2xf32>) -> tensor<2x3x1x1xf32>
  // GENERIC: "nn.dequantize_weight"(%w, %{{.*}}) <{axis = 0 : i64}> : (tensor<2x3x1x1xi8>, tensor<2xf32>) -> tensor<2x3x1x1xf32>
  %r = nn.dequantize_weight %w, %s {axis = 0 : i64} : (tensor<2x3x1x1xi8>, tensor<2xf32>) -> tensor<2x3x1x1xf32>
  // CHECK-NEXT: nn.constant
  %sg = nn.constant dense<[[0.5, 0.25], [1.0, 2.0]]> : tensor<2x2xf32> : tensor<2x2xf32>
  // CHECK-NEXT: nn.dequantize_weight %g, %{{.*}} {axis = 0 : i64, group = 32 : i64} : (tensor<2x64xi4>, tensor<2x2xf32>) -> tensor<2x64xf32>
  // GENERIC: "nn.dequantize_weight"(%g, %{{.*}}) <{axis = 0 : i64, group = 32 : i64}> : (tensor<2x64xi4>, tensor<2x2xf32>) -> tensor<2x64xf32>
  %rg = nn.dequantize_weight %g, %sg {axis = 0 : i64, group = 32 : i64} : (tensor<2x64xi4>, tensor<2x2xf32>) -> tensor<2x64xf32>
  // CHECK-NEXT: nn.conv2d {{.*}} : (tensor<1x3x4x4x!nn.q<i8, 0.0235, -128>>, tensor<2x3x1x1xi8>) -> tensor<1x2x4x4xi32>
  %c = nn.conv2d %q, %w stride [1, 1] padding [0, 0, 0, 0] dilation [1, 1] groups [1] : (tensor<1x3x4x4x!nn.q<i8, 0.0235, -128>>, tensor<2x3x1x1xi8>) -> tensor<1x2x4x4xi32>
  // CHECK-COUNT-2: nn.constant
  %m = nn.constant dense<[[[1073741824]], [[2147483647]]]> : tensor<2x1x1xi32> : tensor<2x1x1xi32>
  %h = nn.constant dense<[[[36]], [[2]]]> : tensor<2x1x1xi32> : tensor<2x1x1xi32>
  // CHECK-NEXT: nn.rescale %{{.*}}, %{{.*}}, %{{.*}} : (tensor<1x2x4x4xi32>, tensor<2x1x1xi32>, tensor<2x1x1xi32>) -> tensor<1x2x4x4x!nn.q<i8, 1.0e-09, 3>>
  // GENERIC: "nn.rescale"(%{{.*}}, %{{.*}}, %{{.*}}) : (tensor<1x2x4x4xi32>, tensor<2x1x1xi32>, tensor<2x1x1xi32>) -> tensor<1x2x4x4x!nn.q<i8, 1.0e-09, 3>>
  %y = nn.rescale %c, %m, %h : (tensor<1x2x4x4xi32>, tensor<2x1x1xi32>, tensor<2x1x1xi32>) -> tensor<1x2x4x4x!nn.q<i8, 1.0e-09, 3>>
  // CHECK-NEXT: nn.table %{{.*}}, <"net.safetensors", "exp"> : tensor<1x2x4x4x!nn.q<i8, 1.0e-09, 3>> to tensor<1x2x4x4x!nn.q<i32, 2.0, 0>>
  // GENERIC: "nn.table"(%{{.*}}) <{table = #nn.weight<"net.safetensors", "exp">}> : (tensor<1x2x4x4x!nn.q<i8, 1.0e-09, 3>>) -> tensor<1x2x4x4x!nn.q<i32, 2.0, 0>>
  %t = nn.table %y, <"net.safetensors", "exp"> : tensor<1x2x4x4x!nn.q<i8, 1.0e-09, 3>> to tensor<1x2x4x4x!nn.q<i32, 2.0, 0>>
  // CHECK-NEXT: nn.table %{{.*}}, <"net.safetensors", "real"> : tensor<1x2x4x4x!nn.q<i8, 1.0e-09, 3>> to tensor<1x2x4x4xf32>
  %f = nn.table %y, <"net.safetensors", "real"> : tensor<1x2x4x4x!nn.q<i8, 1.0e-09, 3>> to tensor<1x2x4x4xf32>
  func.return %f : tensor<1x2x4x4xf32>
}
