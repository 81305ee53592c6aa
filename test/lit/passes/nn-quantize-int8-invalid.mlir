// RUN: not swkpu-opt %s -p 'nn-quantize{precision=int8}' 2>&1 | filecheck %s
// RUN: not swkpu-opt %s -p 'nn-quantize{precision=int4}' 2>&1 | filecheck %s
// RUN: not swkpu-opt %s -p 'nn-quantize{precision=fp8}' 2>&1 | filecheck %s --check-prefix=UNKNOWN

// CHECK: nn-quantize: value r has no range; calibrate the model (nn-annotate-ranges writes what calibration found on the values)
// UNKNOWN: nn-quantize: unknown precision "fp8"; available are fp32, bf16, fp16, int8, int4
func.func @main(%x: tensor<2x4xf32> {nn.range = #nn.range<-1.0, 1.0>}, %w: tensor<4x4xf32>) -> tensor<2x4xf32> {
  %r = nn.relu %x : tensor<2x4xf32>
  %c = nn.constant dense<1.0> : tensor<4x4xf32> : tensor<4x4xf32>
  %y = nn.linear %r, %c : (tensor<2x4xf32>, tensor<4x4xf32>) -> tensor<2x4xf32>
  func.return %y : tensor<2x4xf32>
}
