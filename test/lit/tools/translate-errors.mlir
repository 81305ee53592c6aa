// RUN: not swkpu-translate %s 2>&1 | filecheck %s --check-prefix=DIRECTION
// RUN: not swkpu-translate --asm-to-kpu %s 2>&1 | filecheck %s --check-prefix=PLANNED
// RUN: not swkpu-translate --mlir-to-kpu 2>&1 | filecheck %s --check-prefix=INPUT
// RUN: not swkpu-translate --mlir-to-kpu %s 2>&1 | filecheck %s --check-prefix=OUTPUT
// RUN: not swkpu-translate --mlir-to-kpu %s -o %t.kpu 2>&1 | filecheck %s --check-prefix=EMPTY
// RUN: not swkpu-translate --mlir-to-asm %s --target kpu-9 2>&1 | filecheck %s --check-prefix=TARGET
// RUN: not swkpu-translate --kpu-to-asm %s 2>&1 | filecheck %s --check-prefix=BINARY
// RUN: not swkpu-translate --kpu-to-asm %t.nothing.kpu 2>&1 | filecheck %s --check-prefix=MISSING
// RUN: not swkpu-translate --import-torch resnet19 2>&1 | filecheck %s --check-prefix=MODEL
// RUN: not swkpu-translate --import-torch resnet18 --input-shape 1,3,a 2>&1 | filecheck %s --check-prefix=SHAPE
// RUN: not swkpu-translate --kpu-to-asm --mlir-to-kpu %s 2>&1 | filecheck %s --check-prefix=TWO

// DIRECTION: error: give a direction: --import-torch, --mlir-to-kpu, --mlir-to-asm, --kpu-to-asm
// PLANNED: error: --asm-to-kpu does not exist yet; there are --import-torch, --mlir-to-kpu, --mlir-to-asm, --kpu-to-asm
// INPUT: error: --mlir-to-kpu needs an input
// OUTPUT: error: --mlir-to-kpu writes a binary file: give -o OUT.kpu
// EMPTY: error: {{.*}}translate-errors.mlir has no nn, df or kpu ops to translate
// TARGET: error: unknown target 'kpu-9'
// BINARY: error: {{.*}}translate-errors.mlir: not a .kpu program
// MISSING: error: {{.*}}nothing.kpu: no such file
// MODEL: error: unknown model "resnet19"; did you mean resnet18?
// SHAPE: error: --input-shape 1,3,a: expected numbers, such as 1,3,224,224
// TWO: error: argument --mlir-to-kpu: not allowed with argument --kpu-to-asm
func.func @main() {
  func.return
}
