// A module at any level becomes a program: the passes that it still needs are run.
// RUN: swkpu-translate --mlir-to-kpu %s --precision bf16 --target kpu-t64 -o %t.kpu > %t.out && test ! -s %t.out
// RUN: swkpu-translate --kpu-to-asm %t.kpu | filecheck %s
// RUN: swkpu-translate --kpu-to-asm - < %t.kpu | filecheck %s
// RUN: swkpu-translate --mlir-to-asm %s --precision bf16 | filecheck %s

// The way there makes no difference.
// RUN: swkpu-opt %s -p 'swkpu-default{until=nn precision=bf16}' -o %t.nn.mlir
// RUN: swkpu-translate --mlir-to-kpu %t.nn.mlir -o %t.2.kpu && cmp %t.kpu %t.2.kpu
// RUN: swkpu-opt %s -p 'swkpu-default{until=df precision=bf16}' -o %t.df.mlir
// RUN: swkpu-translate --mlir-to-kpu %t.df.mlir -o %t.2.kpu && cmp %t.kpu %t.2.kpu
// RUN: swkpu-opt %t.df.mlir -p convert-df-to-kpu -o %t.kpu.mlir
// RUN: swkpu-translate --mlir-to-kpu %t.kpu.mlir -o %t.2.kpu && cmp %t.kpu %t.2.kpu
// RUN: swkpu-opt %t.kpu.mlir -p kpu-assign-memory -o %t.kpu.mlir
// RUN: swkpu-translate --mlir-to-kpu %t.kpu.mlir -o %t.2.kpu && cmp %t.kpu %t.2.kpu
// RUN: swkpu-opt %t.kpu.mlir -p kpu-schedule -o %t.kpu.mlir
// RUN: swkpu-translate --mlir-to-kpu %t.kpu.mlir -o %t.2.kpu && cmp %t.kpu %t.2.kpu

// CHECK: .target "kpu-t64"
// CHECK: .layer {{.*}}op="linear"
// CHECK: .stream dma_in
// CHECK:   load
func.func @main(%x: tensor<4x32xf32>, %w: tensor<8x32xf32>) -> tensor<4x8xf32> {
  %0 = nn.linear %x, %w : (tensor<4x32xf32>, tensor<8x32xf32>) -> tensor<4x8xf32>
  %1 = nn.relu %0 : tensor<4x8xf32>
  func.return %1 : tensor<4x8xf32>
}
