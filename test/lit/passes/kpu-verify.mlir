// RUN: swkpu-opt %s -p kpu-verify --verify-diagnostics --split-input-file | filecheck %s

// A program without fault is left as it is.
// CHECK: kpu.store %b[0, 0] to %y[0, 0] box [16, 32] acquire [0 * 1] layer "copy"
kpu.program "right" target "kpu-t64" semaphores [0] info {} {
  %x = kpu.input "x" at 0 : !kpu.buffer<16x32xbf16, dram>
  %y = kpu.alloc {address = 4096 : i64} : !kpu.buffer<16x32xbf16, dram>
  %b = kpu.alloc {address = 0 : i64} : !kpu.buffer<16x32xbf16, l2>
  kpu.layer "copy" info {} {
  ^bb0:
  }
  kpu.stream "dma_in" {
    kpu.load %x[0, 0] to %b[0, 0] box [16, 32] release [0 * 1] layer "copy"
      : !kpu.buffer<16x32xbf16, dram> to !kpu.buffer<16x32xbf16, l2>
  }
  kpu.stream "dma_out" {
    kpu.store %b[0, 0] to %y[0, 0] box [16, 32] acquire [0 * 1] layer "copy"
      : !kpu.buffer<16x32xbf16, l2> to !kpu.buffer<16x32xbf16, dram>
  }
  kpu.output "output" %y : !kpu.buffer<16x32xbf16, dram>
}

// -----

// Nothing orders the store after the load.
// CHECK: error: race in L2: dma_out command 0 (store, layer 'copy') reads memory that dma_in command 0 (load, layer 'copy') uses, and no semaphore orders them
// CHECK-NEXT: note: in pass kpu-verify
kpu.program "race" target "kpu-t64" semaphores [] info {} {
  %x = kpu.input "x" at 0 : !kpu.buffer<16x32xbf16, dram>
  %y = kpu.alloc {address = 4096 : i64} : !kpu.buffer<16x32xbf16, dram>
  %b = kpu.alloc {address = 0 : i64} : !kpu.buffer<16x32xbf16, l2>
  kpu.layer "copy" info {} {
  ^bb0:
  }
  kpu.stream "dma_in" {
    kpu.load %x[0, 0] to %b[0, 0] box [16, 32] layer "copy"
      : !kpu.buffer<16x32xbf16, dram> to !kpu.buffer<16x32xbf16, l2>
  }
  kpu.stream "dma_out" {
    kpu.store %b[0, 0] to %y[0, 0] box [16, 32] layer "copy"
      : !kpu.buffer<16x32xbf16, l2> to !kpu.buffer<16x32xbf16, dram>
  }
  kpu.output "output" %y : !kpu.buffer<16x32xbf16, dram>
}

// -----

// Each waits for the other.
// CHECK: error: the program deadlocks: dma_in command 0 (load) waits for semaphore 1; dma_out command 0 (store) waits for semaphore 0
kpu.program "deadlock" target "kpu-t64" semaphores [0, 0] info {} {
  %x = kpu.input "x" at 0 : !kpu.buffer<16x32xbf16, dram>
  %y = kpu.alloc {address = 4096 : i64} : !kpu.buffer<16x32xbf16, dram>
  %b = kpu.alloc {address = 0 : i64} : !kpu.buffer<16x32xbf16, l2>
  kpu.layer "copy" info {} {
  ^bb0:
  }
  kpu.stream "dma_in" {
    kpu.load %x[0, 0] to %b[0, 0] box [16, 32] acquire [1 * 1] release [0 * 1] layer "copy"
      : !kpu.buffer<16x32xbf16, dram> to !kpu.buffer<16x32xbf16, l2>
  }
  kpu.stream "dma_out" {
    kpu.store %b[0, 0] to %y[0, 0] box [16, 32] acquire [0 * 1] release [1 * 1] layer "copy"
      : !kpu.buffer<16x32xbf16, l2> to !kpu.buffer<16x32xbf16, dram>
  }
  kpu.output "output" %y : !kpu.buffer<16x32xbf16, dram>
}

// -----

// CHECK: error: map 1: bytes 1000000000 to 1000001024 of L2, which has 4194304
kpu.program "outside" target "kpu-t64" semaphores [0] info {} {
  %x = kpu.input "x" at 0 : !kpu.buffer<16x32xbf16, dram>
  %b = kpu.alloc {address = 1000000000 : i64} : !kpu.buffer<16x32xbf16, l2>
  kpu.layer "copy" info {} {
  ^bb0:
  }
  kpu.stream "dma_in" {
    kpu.load %x[0, 0] to %b[0, 0] box [16, 32] layer "copy"
      : !kpu.buffer<16x32xbf16, dram> to !kpu.buffer<16x32xbf16, l2>
  }
}

// -----

// CHECK: error: the program is not scheduled; run kpu-schedule before translating it to a binary
kpu.program "sequential" target "kpu-t64" info {} {
  kpu.layer "copy" info {} {
  ^bb0:
  }
}

// -----

// CHECK: error: the program was made for target kpu-t256, not kpu-t64
kpu.program "other" target "kpu-t256" info {} {
^bb0:
}
