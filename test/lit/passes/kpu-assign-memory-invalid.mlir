// RUN: swkpu-opt %s -p kpu-assign-memory --verify-diagnostics --split-input-file | filecheck %s

// CHECK: error: L1 memory exceeded: 1024KB required, {{[0-9]+}}KB available (layer 'big' on 'bf16' tiles)
kpu.program "main" target "kpu-t64" info {} {
  %x = kpu.alloc : !kpu.buffer<1024x512xbf16, l2>
  kpu.layer "big" info {} {
    %b = kpu.alloc {group = "bf16"} : !kpu.buffer<1024x512xbf16, l1>
    kpu.push %x[0, 0] to %b[0, 0] box [1024, 512] tiles bf16 [0 : 1 x 1]
      : !kpu.buffer<1024x512xbf16, l2> to !kpu.buffer<1024x512xbf16, l1>
  }
}

// -----

// CHECK: error: L2 memory exceeded: 65536KB required, {{[0-9]+}}KB available (a stream of layer 'big')
kpu.program "main" target "kpu-t64" info {} {
  %x = kpu.input "x" : !kpu.buffer<8192x4096xbf16, dram>
  kpu.layer "big" info {} {
    %b = kpu.alloc : !kpu.buffer<8192x4096xbf16, l2>
    kpu.load %x[0, 0] to %b[0, 0] box [8192, 4096]
      : !kpu.buffer<8192x4096xbf16, dram> to !kpu.buffer<8192x4096xbf16, l2>
  }
}

// -----

// CHECK: error: L2 memory exceeded: 65536KB required, {{[0-9]+}}KB available (the tensors that stay in L2 between layers)
kpu.program "main" target "kpu-t64" info {} {
  %x = kpu.input "x" : !kpu.buffer<8192x4096xbf16, dram>
  %b = kpu.alloc : !kpu.buffer<8192x4096xbf16, l2>
  kpu.layer "big" info {} {
    kpu.load %x[0, 0] to %b[0, 0] box [8192, 4096]
      : !kpu.buffer<8192x4096xbf16, dram> to !kpu.buffer<8192x4096xbf16, l2>
  }
}
