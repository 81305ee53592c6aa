// RUN: swkpu-opt %s -p kpu-schedule --verify-diagnostics --split-input-file | filecheck %s

// CHECK: error: a buffer has no address; run kpu-assign-memory first
// CHECK-NEXT: note: in pass kpu-schedule
kpu.program "main" target "kpu-t64" info {} {
  %x = kpu.input "x" : !kpu.buffer<64xbf16, dram>
  %t = kpu.alloc : !kpu.buffer<64xbf16, l2>
  kpu.layer "one" info {} {
    kpu.load %x[0] to %t[0] box [64] : !kpu.buffer<64xbf16, dram> to !kpu.buffer<64xbf16, l2>
  }
}

// -----

// CHECK: error: the program is scheduled already
kpu.program "main" target "kpu-t64" info {} {
  kpu.stream "dma_in" {
  ^bb0:
  }
}
