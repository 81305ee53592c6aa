// RUN: swkpu-opt %s | swkpu-opt | filecheck %s
// RUN: swkpu-opt %s --print-op-generic | swkpu-opt | filecheck %s

// The sequential form: layers of loops over commands, which mean what they say from top to bottom.
// CHECK-LABEL: kpu.program "main" target "kpu-t64" info {profile = "6W"} {
kpu.program "main" target "kpu-t64" info {profile = "6W"} {
  // CHECK-NEXT: kpu.fabric @f0 (m = 64, n = 16 | k = 32)
  // CHECK-NEXT:     mac([m, k], [n, k]) with([n]) accumulate f32
  // CHECK-NEXT:     epilogue(%acc: f32, %bias: f32) {
  // CHECK-NEXT:       %sum = arith.addf %acc, %bias : f32
  // CHECK-NEXT:       df.yield %sum : f32
  // CHECK-NEXT:     }
  // CHECK-NEXT:     -> [m, n] rows [m] cols [n] ws
  kpu.fabric @f0 (m = 64, n = 16 | k = 32)
    mac([m, k], [n, k]) with([n]) accumulate f32
    epilogue(%acc: f32, %bias: f32) {
      %sum = arith.addf %acc, %bias : f32
      df.yield %sum : f32
    } -> [m, n] rows [m] cols [n] ws
  // CHECK-NEXT: %x = kpu.input "x" : !kpu.buffer<64x32xbf16, dram>
  %x = kpu.input "x" : !kpu.buffer<64x32xbf16, dram>
  // CHECK-NEXT: %w = kpu.constant #nn.weight<"", "w"> permuted [1, 0] : !kpu.buffer<16x32xbf16, dram>
  %w = kpu.constant #nn.weight<"", "w"> permuted [1, 0] : !kpu.buffer<16x32xbf16, dram>
  // CHECK-NEXT: %b = kpu.constant #nn.weight<"", "b"> at 4096 : !kpu.buffer<16xf32, dram>
  %b = kpu.constant #nn.weight<"", "b"> at 4096 : !kpu.buffer<16xf32, dram>
  // CHECK-NEXT: %y = kpu.alloc : !kpu.buffer<64x16xf32, dram>
  %y = kpu.alloc : !kpu.buffer<64x16xf32, dram>
  // CHECK-NEXT: kpu.layer "fc" info {op = "linear"} {
  kpu.layer "fc" info {op = "linear"} {
    // CHECK-NEXT: %w2 = kpu.alloc {address = 128 : i64} : !kpu.buffer<16x32xbf16, l2>
    %w2 = kpu.alloc {address = 128 : i64} : !kpu.buffer<16x32xbf16, l2>
    // CHECK-NEXT: kpu.load %w[0, 0] to %w2[0, 0] box [16, 32] axes [1, 0] steps [2, 1] within [16, 30] pad 1.5 : !kpu.buffer<16x32xbf16, dram> to !kpu.buffer<16x32xbf16, l2>
    kpu.load %w[0, 0] to %w2[0, 0] box [16, 32] axes [1, 0] steps [2, 1] within [16, 30] pad 1.5
      : !kpu.buffer<16x32xbf16, dram> to !kpu.buffer<16x32xbf16, l2>
    %b2 = kpu.alloc : !kpu.buffer<16xf32, l2>
    kpu.load %b[0] to %b2[0] box [16] : !kpu.buffer<16xf32, dram> to !kpu.buffer<16xf32, l2>
    // CHECK: kpu.for i0 = 4 {
    kpu.for i0 = 4 {
      // CHECK-NEXT: %x2 = kpu.alloc {buffers = 2 : i64} : !kpu.buffer<16x32xbf16, l2>
      %x2 = kpu.alloc {buffers = 2 : i64} : !kpu.buffer<16x32xbf16, l2>
      // CHECK-NEXT: kpu.load %x[16*i0, 0] to %x2[0, 0] box [16, 32] : !kpu.buffer<64x32xbf16, dram> to !kpu.buffer<16x32xbf16, l2>
      kpu.load %x[16*i0, 0] to %x2[0, 0] box [16, 32] : !kpu.buffer<64x32xbf16, dram> to !kpu.buffer<16x32xbf16, l2>
      %y2 = kpu.alloc {buffers = 2 : i64} : !kpu.buffer<16x16xf32, l2>
      // CHECK:      %y1 = kpu.alloc {group = "bf16"} : !kpu.buffer<4x16xf32, l1>
      %y1 = kpu.alloc {group = "bf16"} : !kpu.buffer<4x16xf32, l1>
      %sums = kpu.alloc {group = "bf16"} : !kpu.buffer<4x16xf32, l1>
      %b1 = kpu.alloc {group = "bf16"} : !kpu.buffer<16xf32, l1>
      kpu.push %b2[0] to %b1[0] box [16] tiles bf16 [0 : 4 x 1] : !kpu.buffer<16xf32, l2> to !kpu.buffer<16xf32, l1>
      // CHECK: kpu.for i1 = 2 {
      kpu.for i1 = 2 {
        %x1 = kpu.alloc {buffers = 2 : i64, group = "bf16"} : !kpu.buffer<4x16xbf16, l1>
        %w1 = kpu.alloc {buffers = 2 : i64, group = "bf16"} : !kpu.buffer<16x16xbf16, l1>
        // CHECK: kpu.push %x2[4*t0 - 1, 16*i1] to %x1[0, 0] box [4, 16] pad min tiles bf16 [0 : 4 x 1] : !kpu.buffer<16x32xbf16, l2> to !kpu.buffer<4x16xbf16, l1>
        kpu.push %x2[4*t0 - 1, 16*i1] to %x1[0, 0] box [4, 16] pad min tiles bf16 [0 : 4 x 1]
          : !kpu.buffer<16x32xbf16, l2> to !kpu.buffer<4x16xbf16, l1>
        kpu.push %w2[0, 16*i1] to %w1[0, 0] box [16, 16] tiles bf16 [0 : 4 x 1]
          : !kpu.buffer<16x32xbf16, l2> to !kpu.buffer<16x16xbf16, l1>
        // CHECK: kpu.exec @f0(%x1[0, 0], %w1[0, 0], %b1[0]) -> %y1[0, 0] box [4, 16, 16] clip [0: 16*i0 + 4*t0 < 62, 2: 16*i1 < 30] accumulate %sums[0, 0] over [1] tiles bf16 [0 : 4 x 1] : !kpu.buffer<4x16xbf16, l1>, !kpu.buffer<16x16xbf16, l1>, !kpu.buffer<16xf32, l1>, !kpu.buffer<4x16xf32, l1>, !kpu.buffer<4x16xf32, l1>
        kpu.exec @f0(%x1[0, 0], %w1[0, 0], %b1[0]) -> %y1[0, 0] box [4, 16, 16]
          clip [0: 16*i0 + 4*t0 < 62, 2: 16*i1 < 30] accumulate %sums[0, 0] over [1] tiles bf16 [0 : 4 x 1]
          : !kpu.buffer<4x16xbf16, l1>, !kpu.buffer<16x16xbf16, l1>, !kpu.buffer<16xf32, l1>,
            !kpu.buffer<4x16xf32, l1>, !kpu.buffer<4x16xf32, l1>
      // CHECK-NEXT: }
      }
      // CHECK-NEXT: kpu.pull %y1[0, 0] to %y2[4*t0, 0] box [4, 16] tiles bf16 [0 : 4 x 1] : !kpu.buffer<4x16xf32, l1> to !kpu.buffer<16x16xf32, l2>
      kpu.pull %y1[0, 0] to %y2[4*t0, 0] box [4, 16] tiles bf16 [0 : 4 x 1]
        : !kpu.buffer<4x16xf32, l1> to !kpu.buffer<16x16xf32, l2>
      // CHECK-NEXT: kpu.store %y2[0, 0] to %y[16*i0, 0] box [16, 16] : !kpu.buffer<16x16xf32, l2> to !kpu.buffer<64x16xf32, dram>
      kpu.store %y2[0, 0] to %y[16*i0, 0] box [16, 16] : !kpu.buffer<16x16xf32, l2> to !kpu.buffer<64x16xf32, dram>
    }
  }
  // CHECK: %z = kpu.alias %y : !kpu.buffer<64x16xf32, dram> to !kpu.buffer<1024xf32, dram>
  %z = kpu.alias %y : !kpu.buffer<64x16xf32, dram> to !kpu.buffer<1024xf32, dram>
  // CHECK-NEXT: kpu.output "output" %z : !kpu.buffer<1024xf32, dram>
  kpu.output "output" %z : !kpu.buffer<1024xf32, dram>
}
