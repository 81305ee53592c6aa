// RUN: not swkpu-opt %s -p 'nn-quantize{precision=int8}' 2>&1 | filecheck %s
// RUN: not swkpu-opt %s -p 'nn-quantize{precision=fp8}' 2>&1 | filecheck %s --check-prefix=UNKNOWN

// CHECK: nn-quantize: int8 needs the value ranges that calibration finds, and this version has no calibration; available are fp32, bf16, fp16
// UNKNOWN: nn-quantize: unknown precision "fp8"; available are fp32, bf16, fp16
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  func.return %x : tensor<4xf32>
}
