// RUN: swkpu-opt %s | swkpu-opt | filecheck %s
// RUN: swkpu-opt %s --print-op-generic | swkpu-opt | filecheck %s

// The scheduled form: one stream per engine, semaphores on loops and commands, slots as a leading dim.
// CHECK-LABEL: kpu.program "copy" target "kpu-t64" semaphores [0, 12] info {} {
kpu.program "copy" target "kpu-t64" semaphores [0, 12] info {} {
  // CHECK-NEXT: %x = kpu.input "x" at 0 : !kpu.buffer<64x32xbf16, dram>
  %x = kpu.input "x" at 0 : !kpu.buffer<64x32xbf16, dram>
  %y = kpu.alloc {address = 4096 : i64} : !kpu.buffer<64x32xbf16, dram>
  // CHECK: %b = kpu.alloc {slots = 2 : i64, address = 0 : i64} : !kpu.buffer<2x16x32xbf16, l2>
  %b = kpu.alloc {slots = 2 : i64, address = 0 : i64} : !kpu.buffer<2x16x32xbf16, l2>
  // CHECK-NEXT: kpu.layer "copy" info {op = "copy"} {
    // CHECK-NEXT: }
  kpu.layer "copy" info {op = "copy"} {
  ^bb0:
  }
  // CHECK-NEXT: kpu.stream "dma_in" {
  kpu.stream "dma_in" {
    // CHECK-NEXT: kpu.for i0 = 4 acquire [1 * 1] release [0 * 2, 1 * 3] layer "copy" {
    kpu.for i0 = 4 acquire [1 * 1] release [0 * 2, 1 * 3] layer "copy" {
      // CHECK-NEXT: kpu.load %x[16*i0, 0] to %b[i0, 0, 0] box [16, 32] acquire [1 * 6] release [0 * 1] layer "copy" : !kpu.buffer<64x32xbf16, dram> to !kpu.buffer<2x16x32xbf16, l2>
      kpu.load %x[16*i0, 0] to %b[i0, 0, 0] box [16, 32] acquire [1 * 6] release [0 * 1] layer "copy"
        : !kpu.buffer<64x32xbf16, dram> to !kpu.buffer<2x16x32xbf16, l2>
    }
  }
  kpu.stream "dma_out" {
    kpu.for i0 = 4 layer "copy" {
      kpu.store %b[i0, 0, 0] to %y[16*i0, 0] box [16, 32] acquire [0 * 1] release [1 * 6] layer "copy"
        : !kpu.buffer<2x16x32xbf16, l2> to !kpu.buffer<64x32xbf16, dram>
    }
  }
  // CHECK: kpu.stream "fabric" group "bf16" {
  kpu.stream "fabric" group "bf16" {
  ^bb0:
  }
  kpu.output "output" %y : !kpu.buffer<64x32xbf16, dram>
}
