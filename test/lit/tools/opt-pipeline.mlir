// A pipeline is written as for xdsl-opt or for mlir-opt; passes and options may have spaces around them.
// RUN: swkpu-opt %s -p 'convert-nn-to-df,df-fuse,df-choose-mapping{target=kpu-t64 profile=3W}' | filecheck %s
// RUN: swkpu-opt %s --pass-pipeline='builtin.module(convert-nn-to-df, func.func(df-fuse), df-choose-mapping{ target="kpu-t64"  profile=3W })' | filecheck %s
// RUN: swkpu-opt %s --passes='builtin.module(func.func(convert-nn-to-df,df-fuse),df-choose-mapping)' | filecheck %s
// RUN: swkpu-opt < %s -p 'builtin.module()' | filecheck %s --check-prefix=SAME
// RUN: swkpu-opt - < %s | filecheck %s --check-prefix=SAME

// The default pipeline has a name, and its passes are run, verified and named one by one.
// RUN: swkpu-opt %s -p 'swkpu-default{target=kpu-t64 precision=bf16 until=df}' --elide-weights | filecheck %s
// RUN: swkpu-opt %s -p 'swkpu-default{target=kpu-t64 precision=bf16}' --elide-weights | filecheck %s --check-prefix=PROGRAM
// RUN: swkpu-opt %s -p 'swkpu-default{until=nn}' --mlir-timing 2>&1 >/dev/null | filecheck %s --check-prefix=TIMING

// CHECK:     df.recurrence (n = 4, c = 8)
// CHECK:     mapping #df.mapping<
// SAME:      nn.relu %x : tensor<4x8xf32>
// PROGRAM:   kpu.program "main" target "kpu-t64" semaphores
// PROGRAM:   kpu.stream "dma_in"
// TIMING:    s {{.*}}% parse and verify
// TIMING-NEXT: nn-fold-constants
// TIMING-NEXT: nn-fold-batch-norm
// TIMING-NEXT: nn-quantize
// TIMING-NEXT: nn-fold-constants
// TIMING-NEXT: nn-narrow-integers
// TIMING-NEXT: print
// TIMING-NEXT: total
func.func @main(%x: tensor<4x8xf32>) -> tensor<4x8xf32> {
  %0 = nn.relu %x : tensor<4x8xf32>
  func.return %0 : tensor<4x8xf32>
}
