// New weights need a file: `-o X.mlir` writes X.safetensors beside it, and --weights-out names one.
// RUN: mkdir -p %t && swkpu-opt %s -p nn-fold-constants -o %t/folded.mlir
// RUN: filecheck %s --check-prefix=FILE --input-file %t/folded.mlir
// RUN: swkpu-opt %s -p nn-fold-constants --weights-out %t/out.safetensors | filecheck %s --check-prefix=OUT
// RUN: not swkpu-opt %s -p nn-fold-constants 2>&1 | filecheck %s --check-prefix=NEED
// RUN: swkpu-opt %s -p nn-fold-constants --elide-weights | filecheck %s --check-prefix=ELIDED
// FILE:   nn.constant #nn.weight<"folded.safetensors", "sha256-[[KEY:[0-9a-f]+]]"> : tensor<17xf32>
// OUT:    nn.constant #nn.weight<"out.safetensors", "sha256-
// NEED:   error: the module has 1 new weight (such as "sha256-{{.*}}"), which need a file: give --weights-out FILE.safetensors or -o FILE.mlir (or --elide-weights, to see their names only)
// ELIDED: nn.constant #nn.weight<"", "sha256-

// What is in a file is found again, wherever one stands: beside the module.
// RUN: swkpu-opt %t/folded.mlir -p nn-fold-constants | filecheck %s --check-prefix=FILE
// RUN: swkpu-opt %t/folded.mlir -p convert-nn-to-df -o %t/lowered.mlir
// RUN: filecheck %s --check-prefix=LOWERED --input-file %t/lowered.mlir
// LOWERED: df.constant #nn.weight<"folded.safetensors", "sha256-

// A module in another folder takes its weights along.
// RUN: mkdir -p %t/sub && swkpu-opt %t/folded.mlir -o %t/sub/moved.mlir
// RUN: filecheck %s --check-prefix=MOVED --input-file %t/sub/moved.mlir
// RUN: cmp %t/folded.safetensors %t/sub/moved.safetensors
// MOVED: #nn.weight<"moved.safetensors", "sha256-

// Weights that nobody reads need not be there; those that a pass reads must.
// RUN: cp %t/folded.mlir %t/sub/alone.mlir
// RUN: swkpu-opt %t/sub/alone.mlir | filecheck %s --check-prefix=FILE
// RUN: not swkpu-opt %t/sub/alone.mlir -p convert-nn-to-df,df-fuse --weights-out %t/x.safetensors 2>&1 | filecheck %s --check-prefix=GONE
// GONE: error: cannot read weights from {{.*}}sub/folded.safetensors: No such file or directory

func.func @main(%x: tensor<17xf32>) -> tensor<17xf32> {
  %a = "nn.constant"() <{value = dense<1.0> : tensor<17xf32>}> : () -> tensor<17xf32>
  %b = "nn.constant"() <{value = dense<1.0> : tensor<f32>}> : () -> tensor<f32>
  %c = nn.add %a, %b : (tensor<17xf32>, tensor<f32>) -> tensor<17xf32>
  %y = nn.add %x, %c : (tensor<17xf32>, tensor<17xf32>) -> tensor<17xf32>
  func.return %y : tensor<17xf32>
}
