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

// CHECK: error: 5 buffers: a schedule supports 1, 2, 3, 4, 6 or 12
kpu.program "main" target "kpu-t64" info {} {
  %x = kpu.input "x" at 0 : !kpu.buffer<64xbf16, dram>
  %y = kpu.alloc {address = 4096 : i64} : !kpu.buffer<64xbf16, dram>
  kpu.layer "one" info {} {
    kpu.for i0 = 8 {
      %t = kpu.alloc {buffers = 5 : i64, address = 0 : i64} : !kpu.buffer<8xbf16, l2>
      kpu.load %x[8*i0] to %t[0] box [8] : !kpu.buffer<64xbf16, dram> to !kpu.buffer<8xbf16, l2>
      kpu.store %t[0] to %y[8*i0] box [8] : !kpu.buffer<8xbf16, l2> to !kpu.buffer<64xbf16, dram>
    }
  }
}

// -----

// CHECK: error: the program is scheduled already
kpu.program "main" target "kpu-t64" info {} {
  kpu.stream "dma_in" {
  ^bb0:
  }
}
