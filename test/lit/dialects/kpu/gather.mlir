// RUN: swkpu-opt %s | swkpu-opt | filecheck %s
// RUN: swkpu-opt %s -p 'kpu-assign-memory{target=kpu-t64},kpu-schedule{target=kpu-t64}' | filecheck %s --check-prefix=SCHEDULED

// Rows of a table that indices choose: seen from a box of 2 x 3 x 8, the table does not depend on the first two dims,
// the indices do not depend on the last.

// CHECK-LABEL: kpu.program "main"
kpu.program "main" target "kpu-t64" info {} {
  %table = kpu.input "table" : !kpu.buffer<50x8xf32, dram>
  %ids = kpu.input "ids" : !kpu.buffer<2x3xi32, dram>
  %y = kpu.alloc : !kpu.buffer<2x3x8xf32, dram>
  %rows = kpu.view %table from 0 strides [8, 0, 0, 1] : !kpu.buffer<50x8xf32, dram> to !kpu.buffer<50x2x3x8xf32, dram>
  %each = kpu.view %ids from 0 strides [3, 1, 0] : !kpu.buffer<2x3xi32, dram> to !kpu.buffer<2x3x8xi32, dram>
  kpu.layer "embedding" info {} {
    kpu.for i0 = 2 {
      // CHECK: %[[B:.*]] = kpu.alloc {buffers = 2 : i64} : !kpu.buffer<1x3x8xf32, l2>
      %b = kpu.alloc {buffers = 2 : i64} : !kpu.buffer<1x3x8xf32, l2>
      // CHECK-NEXT: kpu.gather %rows[0, 0, 0, 0] dim 0 by %each[i0, 0, 0] to %[[B]][0, 0, 0] box [1, 3, 8] : !kpu.buffer<50x2x3x8xf32, dram>, !kpu.buffer<2x3x8xi32, dram> to !kpu.buffer<1x3x8xf32, l2>
      kpu.gather %rows[0, 0, 0, 0] dim 0 by %each[i0, 0, 0] to %b[0, 0, 0] box [1, 3, 8] : !kpu.buffer<50x2x3x8xf32, dram>, !kpu.buffer<2x3x8xi32, dram> to !kpu.buffer<1x3x8xf32, l2>
      kpu.store %b[0, 0, 0] to %y[i0, 0, 0] box [1, 3, 8] : !kpu.buffer<1x3x8xf32, l2> to !kpu.buffer<2x3x8xf32, dram>
    }
  }
  kpu.output "y" %y : !kpu.buffer<2x3x8xf32, dram>
}

// The gather is dma_in's, and fills one of two slots.
// SCHEDULED: kpu.stream "dma_in"
// SCHEDULED: kpu.gather %rows[0, 0, 0, 0] dim 0 by %each[i0, 0, 0] to %{{.*}}[i0, 0, 0, 0] box [1, 3, 8] release {{.*}} layer "embedding"
// SCHEDULED: kpu.stream "dma_out"
// SCHEDULED: kpu.store %{{.*}}[i0, 0, 0, 0] to %y[i0, 0, 0]
