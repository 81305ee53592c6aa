// RUN: swkpu-opt %s -p kpu-schedule | filecheck %s
// RUN: swkpu-opt %s -p kpu-schedule,kpu-verify | filecheck %s

// A tensor on its way through L2 and L1 in two nested loops, then out of L2. Every engine gets its commands and the loops
// around them. A channel per pair of engines: the producer takes a share of the `free` tokens per buffer (6 here, for 2 and 3 copies) and gives one
// `full`; the consumer the reverse; a command that stands in a deeper loop acts through that loop.

// CHECK: kpu.program "main" target "kpu-t64" semaphores [0, 6, 0, 6, 0] info {} {
kpu.program "main" target "kpu-t64" info {} {
  %x = kpu.input "x" at 0 : !kpu.buffer<64x32xbf16, dram>
  %t = kpu.alloc {address = 8192 : i64} : !kpu.buffer<64x32xbf16, l2>
  %y = kpu.alloc {address = 4096 : i64} : !kpu.buffer<64x32xbf16, dram>
  // The copies of a buffer become a leading dim, which commands index by iteration.
  // CHECK: %b = kpu.alloc {slots = 2 : i64, address = 0 : i64} : !kpu.buffer<2x16x32xbf16, l2>
  // CHECK: %c = kpu.alloc {slots = 3 : i64, group = "bf16", address = 0 : i64} : !kpu.buffer<3x8x32xbf16, l1>
  kpu.layer "one" info {} {
    kpu.for i0 = 4 {
      %b = kpu.alloc {buffers = 2 : i64, address = 0 : i64} : !kpu.buffer<16x32xbf16, l2>
      kpu.load %x[16*i0, 0] to %b[0, 0] box [16, 32] : !kpu.buffer<64x32xbf16, dram> to !kpu.buffer<16x32xbf16, l2>
      kpu.for i1 = 2 {
        %c = kpu.alloc {buffers = 3 : i64, group = "bf16", address = 0 : i64} : !kpu.buffer<8x32xbf16, l1>
        kpu.push %b[8*i1, 0] to %c[0, 0] box [8, 32] tiles bf16 [0 : 1 x 1]
          : !kpu.buffer<16x32xbf16, l2> to !kpu.buffer<8x32xbf16, l1>
        kpu.pull %c[0, 0] to %t[16*i0 + 8*i1, 0] box [8, 32] tiles bf16 [0 : 1 x 1]
          : !kpu.buffer<8x32xbf16, l1> to !kpu.buffer<64x32xbf16, l2>
      }
    }
  }
  kpu.layer "two" info {} {
    kpu.store %t[0, 0] to %y[0, 0] box [64, 32] : !kpu.buffer<64x32xbf16, l2> to !kpu.buffer<64x32xbf16, dram>
  }
  kpu.output "output" %y : !kpu.buffer<64x32xbf16, dram>
}

// CHECK:      kpu.stream "dma_in" {
// CHECK-NEXT:   kpu.for i0 = 4 layer "one" {
// CHECK-NEXT:     kpu.load %x[16*i0, 0] to %b[i0, 0, 0] box [16, 32] acquire [1 * 3] release [0 * 1] layer "one"
// CHECK-NEXT:   }
// CHECK-NEXT: }
// Layer "two" waits for the whole of layer "one" in this stream: a timeline, semaphore 4.
// CHECK-NEXT: kpu.stream "dma_out" {
// CHECK-NEXT:   kpu.store %t[0, 0] to %y[0, 0] box [64, 32] acquire [4 * 1] layer "two"
// CHECK-NEXT: }
// CHECK-NEXT: kpu.stream "bm_in" group "bf16" {
// CHECK-NEXT:   kpu.for i0 = 4 layer "one" {
// CHECK-NEXT:     kpu.for i1 = 2 acquire [0 * 1] release [1 * 3] layer "one" {
// CHECK-NEXT:       kpu.push %b[i0, 8*i1, 0] to %c[2*i0 + i1, 0, 0] box [8, 32] tiles bf16 [0 : 1 x 1] acquire [3 * 2] release [2 * 1] layer "one"
// CHECK-NEXT:     }
// CHECK-NEXT:   }
// CHECK-NEXT: }
// CHECK-NEXT: kpu.stream "bm_out" group "bf16" {
// CHECK-NEXT:   kpu.for i0 = 4 release [4 * 1] layer "one" {
// CHECK-NEXT:     kpu.for i1 = 2 layer "one" {
// CHECK-NEXT:       kpu.pull %c[2*i0 + i1, 0, 0] to %t[16*i0 + 8*i1, 0] box [8, 32] tiles bf16 [0 : 1 x 1] acquire [2 * 1] release [3 * 2] layer "one"
// CHECK-NEXT:     }
// CHECK-NEXT:   }
// CHECK-NEXT: }
// CHECK-NEXT: kpu.output "output" %y
