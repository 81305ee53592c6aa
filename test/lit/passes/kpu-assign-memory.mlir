// RUN: swkpu-opt %s -p kpu-assign-memory | filecheck %s
// RUN: not swkpu-opt %s -p 'kpu-assign-memory{target=kpu-sim}' 2>&1 | filecheck %s --check-prefix=GROUP

// GROUP: error: the program was lowered for target kpu-t64, not kpu-sim
// GROUP-NEXT: note: in pass kpu-assign-memory{target="kpu-sim"}

// CHECK: kpu.program "main" target "kpu-t64" info {peak_dram_bytes = 8192 : i64, peak_l2_bytes = 8192 : i64, peak_l1_bytes = 4096 : i64, resident_l2_bytes = 8192 : i64, resident_l2_bound_bytes = 8192 : i64} {
kpu.program "main" target "kpu-t64" info {} {
  kpu.fabric @copy (m = 64, n = 32) none() with([m, n]) accumulate bf16
    epilogue(%e: bf16) { df.yield %e : bf16 } -> [m, n] rows [] cols [] os
  // DRAM: one after the other.
  // CHECK: %x = kpu.input "x" at 0 : !kpu.buffer<64x32xbf16, dram>
  // CHECK-NEXT: %y = kpu.alloc {address = 4096 : i64} : !kpu.buffer<64x32xbf16, dram>
  %x = kpu.input "x" : !kpu.buffer<64x32xbf16, dram>
  %y = kpu.alloc : !kpu.buffer<64x32xbf16, dram>
  // L2: %t0 lives in layers a and b, %t1 in b and c, %t2 in c and d, where %t0 was.
  // CHECK-NEXT: %t0 = kpu.alloc {address = [[T0:[0-9]+]] : i64} : !kpu.buffer<64x32xbf16, l2>
  // CHECK-NEXT: %t1 = kpu.alloc {address = {{[0-9]+}} : i64} : !kpu.buffer<64x32xbf16, l2>
  // CHECK-NEXT: %t2 = kpu.alloc {address = [[T0]] : i64} : !kpu.buffer<64x32xbf16, l2>
  %t0 = kpu.alloc : !kpu.buffer<64x32xbf16, l2>
  %t1 = kpu.alloc : !kpu.buffer<64x32xbf16, l2>
  %t2 = kpu.alloc : !kpu.buffer<64x32xbf16, l2>
  kpu.layer "a" info {} {
    kpu.load %x[0, 0] to %t0[0, 0] box [64, 32] : !kpu.buffer<64x32xbf16, dram> to !kpu.buffer<64x32xbf16, l2>
  }
  // L1: those of the next layer lie where none of this layer does, so that they can be filled while it runs.
  // CHECK: kpu.layer "b"
  kpu.layer "b" info {} {
    kpu.for i0 = 4 {
      // CHECK: %i = kpu.alloc {buffers = 2 : i64, group = "bf16", address = 0 : i64} : !kpu.buffer<16x32xbf16, l1>
      // CHECK-NEXT: %o = kpu.alloc {buffers = 2 : i64, group = "bf16", address = 2048 : i64} : !kpu.buffer<16x32xbf16, l1>
      %i = kpu.alloc {buffers = 2 : i64, group = "bf16"} : !kpu.buffer<16x32xbf16, l1>
      %o = kpu.alloc {buffers = 2 : i64, group = "bf16"} : !kpu.buffer<16x32xbf16, l1>
      kpu.push %t0[16*i0, 0] to %i[0, 0] box [16, 32] tiles bf16 [0 : 1 x 1]
        : !kpu.buffer<64x32xbf16, l2> to !kpu.buffer<16x32xbf16, l1>
      kpu.exec @copy(%i[0, 0]) -> %o[0, 0] box [16, 32] tiles bf16 [0 : 1 x 1]
        : !kpu.buffer<16x32xbf16, l1>, !kpu.buffer<16x32xbf16, l1>
      kpu.pull %o[0, 0] to %t1[16*i0, 0] box [16, 32] tiles bf16 [0 : 1 x 1]
        : !kpu.buffer<16x32xbf16, l1> to !kpu.buffer<64x32xbf16, l2>
    }
  }
  // CHECK: kpu.layer "c"
  kpu.layer "c" info {} {
    // CHECK-NEXT: {{%.*}} = kpu.alloc {group = "bf16", address = {{[1-9][0-9]+}} : i64} : !kpu.buffer<64x32xbf16, l1>
    %b = kpu.alloc {group = "bf16"} : !kpu.buffer<64x32xbf16, l1>
    kpu.push %t1[0, 0] to %b[0, 0] box [64, 32] tiles bf16 [0 : 1 x 1]
      : !kpu.buffer<64x32xbf16, l2> to !kpu.buffer<64x32xbf16, l1>
    kpu.pull %b[0, 0] to %t2[0, 0] box [64, 32] tiles bf16 [0 : 1 x 1]
      : !kpu.buffer<64x32xbf16, l1> to !kpu.buffer<64x32xbf16, l2>
  }
  kpu.layer "d" info {} {
    kpu.store %t2[0, 0] to %y[0, 0] box [64, 32] : !kpu.buffer<64x32xbf16, l2> to !kpu.buffer<64x32xbf16, dram>
  }
  kpu.output "output" %y : !kpu.buffer<64x32xbf16, dram>
}
