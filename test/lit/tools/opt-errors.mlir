// RUN: swkpu-opt %s --verify-diagnostics --split-input-file | filecheck %s
// RUN: not swkpu-opt %s --split-input-file 2>&1 | filecheck %s

// Positions are those of the whole file; each error shows its line, with carets.
// CHECK:      error: {{.*}}opt-errors.mlir:9:16: %y is not defined
// CHECK-NEXT:   %0 = nn.relu %y : tensor<4xf32>
// CHECK-NEXT: {{^ {15}\^\^$}}
func.func @undefined() {
  %0 = nn.relu %y : tensor<4xf32>
  func.return
}

// -----

// CHECK:      error: {{.*}}opt-errors.mlir:19:8: there is no op nn.rellu; did you mean nn.relu?
// CHECK-NEXT:   %0 = nn.rellu %x : tensor<4xf32>
// CHECK-NEXT: {{^ {7}\^{8}$}}
func.func @unregistered(%x: tensor<4xf32>) {
  %0 = nn.rellu %x : tensor<4xf32>
  func.return
}

// -----

// CHECK:      error: {{.*}}opt-errors.mlir:29:8: nn.relu takes floats or integers, got tensor<4xi1>
// CHECK-NEXT:   %0 = nn.relu %x : tensor<4xi1>
// CHECK-NEXT: {{^ {7}\^{7}$}}
func.func @invalid(%x: tensor<4xi1>) {
  %0 = nn.relu %x : tensor<4xi1>
  func.return
}

// -----

// CHECK:      error: {{.*}}opt-errors.mlir:41:37: Expected '>' after builtin parameter list
// CHECK-NEXT: func.func @unclosed(%x: tensor<4xf32
// CHECK-NEXT: {{^ {36}\^$}}
func.func @fine() {
  func.return
}
func.func @unclosed(%x: tensor<4xf32
