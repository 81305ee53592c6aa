// Where the cycles of a program go: in all, and layer by layer. What the mapper found next best travels in the program.
// RUN: swkpu-translate --mlir-to-kpu %s -o %t.kpu
// RUN: swkpu explain %t.kpu | filecheck %s
// RUN: swkpu explain %t.kpu --top 0 | filecheck %s --check-prefix=TOP
// RUN: swkpu explain %t.kpu --layer y --json - | filecheck %s --check-prefix=JSON
// RUN: not swkpu explain %t.kpu --layer z 2>&1 | filecheck %s --check-prefix=ERROR
// RUN: swkpu-translate --kpu-to-asm %t.kpu | filecheck %s --check-prefix=ASM
// RUN: swkpu-opt %s -p convert-df-to-kpu | swkpu-opt | filecheck %s --check-prefix=KPU

// CHECK:      main on kpu-t64 (6W, 850 MHz), fp32, batch 1
// CHECK-NEXT: cycles
// CHECK-NEXT: bound
// CHECK-NEXT: lost
// CHECK-NEXT: estimate
// CHECK-NEXT: layers
// CHECK-NEXT: without their waits for weights
// CHECK:      where they go               cycles  of all   most of it in
// CHECK-NEXT: fill and drain
// CHECK-NEXT:   array_fill {{.*}} y
// CHECK:      y   mac
// CHECK-NEXT:   cycles     {{.*}}; mostly {{.*}}busiest compute
// CHECK-NEXT:   estimate   5,000 against
// CHECK-NEXT:   mapping    L2 loops n=32, result in DRAM
// CHECK-NEXT:              bf16  os  rows m cols n  space m=4 n=2  L1 m=16 n=16  order m  2 buffers
// CHECK-NEXT:   next best  5,100: L2 loops n=64, result in DRAM; bf16 os rows m cols n space m=4 L1 m=16 order m 2 buffers
// CHECK-NEXT:              6,000: no L2 loops, result in DRAM; matrix m 0:64 os rows m cols n space m=4 L1 m=16 order m 1 buffers; bf16 m 64:256 os
// CHECK-NEXT:   lost

// TOP:     where they go
// TOP-NOT: mapping

// JSON: "lost": {
// JSON: "estimate": {
// JSON: "differences": {
// JSON: "name": "y"
// JSON: "alternatives": [
// JSON-NEXT: {
// JSON-NEXT: "cycles": 5100,

// ERROR: error: the program has no layer 'z'; its layers are y

// KPU: kpu.layer "y" info {{.*}} alternatives = [#df.mapping<l2 = {n = 64}, result = dram, cycles = 5100, parts = [<bf16,

// ASM: .layer 0 name="y" {{.*}} alternatives=[{"cycles": 5100, "l2": {"n": 64}
func.func @main(%x: tensor<256x512xbf16>, %w: tensor<128x512xbf16>) -> tensor<256x128xbf16> {
  %y = df.recurrence (m = 256, n = 128 | k = 512)
      ins(%x[m, k] : tensor<256x512xbf16>, %w[n, k] : tensor<128x512xbf16>)
      mac epilogue(%acc: f32) {
        %rounded = arith.truncf %acc : f32 to bf16
        df.yield %rounded : bf16
      }
      -> [m, n]
      mapping #df.mapping<
        l2 = {n = 32}, result = dram, cycles = 5000,
        parts = [<bf16, space = {m = 4, n = 2}, l1 = {m = 16, n = 16}, order = [m],
                  rows = [m], cols = [n], os, buffers = 2>]>
      {alternatives = [
        #df.mapping<l2 = {n = 64}, result = dram, cycles = 5100,
          parts = [<bf16, space = {m = 4}, l1 = {m = 16}, order = [m], rows = [m], cols = [n], os, buffers = 2>]>,
        #df.mapping<result = dram, split = m, cycles = 6000,
          parts = [<matrix, share = [0, 64], space = {m = 4}, l1 = {m = 16}, order = [m], rows = [m], cols = [n], os, buffers = 1>,
                   <bf16, share = [64, 256], space = {m = 4}, l1 = {m = 16}, order = [m], rows = [m], cols = [n], os, buffers = 1>]>]}
      : tensor<256x128xbf16>
  func.return %y : tensor<256x128xbf16>
}
