// RUN: not swkpu-opt %s -p 'nn-annotate-ranges{file="%S/Inputs/ranges.json"}' 2>&1 | filecheck %s
// RUN: not swkpu-opt %s -p 'nn-annotate-ranges{file=missing.json}' 2>&1 | filecheck %s --check-prefix=MISSING
// RUN: not swkpu-opt %s -p 'nn-annotate-ranges{file="%s"}' 2>&1 | filecheck %s --check-prefix=BROKEN
// RUN: not swkpu-opt %s -p nn-annotate-ranges 2>&1 | filecheck %s --check-prefix=OPTION
// RUN: not swkpu-opt %s -p 'swkpu-default{precision=int8 calibration=missing.json}' 2>&1 | filecheck %s --check-prefix=MISSING

// CHECK: error: the calibration names values that the module does not have: "relu" (near: rleu), "relu_1"
// CHECK-SAME: it was made for another model, or for another version of it
// CHECK-NEXT: note: in pass nn-annotate-ranges
// MISSING: error: there is no calibration file missing.json
// BROKEN: nn-annotate-ranges-invalid.mlir:1:1: Expecting value
// OPTION: pass nn-annotate-ranges needs option 'file': nn-annotate-ranges{file=...}
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %rleu = nn.relu %x : tensor<4xf32>
  func.return %rleu : tensor<4xf32>
}
