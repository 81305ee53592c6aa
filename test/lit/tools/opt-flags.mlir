// RUN: swkpu-opt %s --mlir-print-op-generic | filecheck %s --check-prefix=GENERIC
// GENERIC: "nn.relu"(%x) : (tensor<4xf32>) -> tensor<4xf32>

// Locations are printed where they are asked for, and to files where there are any.
// RUN: swkpu-opt %s | filecheck %s --check-prefix=PLAIN
// RUN: swkpu-opt %s --mlir-print-debuginfo | filecheck %s --check-prefix=DEBUGINFO
// RUN: swkpu-opt %s -o %t.mlir > %t.out && test ! -s %t.out
// RUN: filecheck %s --check-prefix=DEBUGINFO --input-file %t.mlir
// RUN: swkpu-opt %s --no-mlir-print-debuginfo -o %t.mlir
// RUN: filecheck %s --check-prefix=PLAIN --input-file %t.mlir
// PLAIN: {{^}}    %0 = nn.relu %x : tensor<4xf32>{{$}}
// DEBUGINFO: %0 = nn.relu %x : tensor<4xf32> loc("layer1.relu"("model.py":12:0))

// The module between passes, and timing, go to standard error; standard output is the module only.
// RUN: swkpu-opt %s -p convert-nn-to-df,df-fuse --print-ir-before-all --print-ir-after-all --mlir-timing 2>%t.err | filecheck %s --check-prefix=OUT
// RUN: filecheck %s --check-prefix=DUMPS --input-file %t.err
// OUT-NOT: IR dump
// OUT: df.recurrence
// DUMPS: // -----// IR dump before convert-nn-to-df //----- //
// DUMPS: nn.relu
// DUMPS: // -----// IR dump after convert-nn-to-df //----- //
// DUMPS: df.recurrence
// DUMPS: // -----// IR dump before df-fuse //----- //
// DUMPS: // -----// IR dump after df-fuse //----- //
// DUMPS: total

// RUN: not swkpu-opt %s --allow-unregistered-dialect -p nope 2>&1 | filecheck %s --check-prefix=PASS
// PASS: error: unknown pass 'nope'
// RUN: echo '"other.op"() : () -> ()' | swkpu-opt --allow-unregistered-dialect | filecheck %s --check-prefix=OTHER
// RUN: echo '"other.op"() : () -> ()' | not swkpu-opt 2>&1 | filecheck %s --check-prefix=NOT-OTHER
// OTHER: "other.op"() : () -> ()
// NOT-OTHER: error: <stdin>:1:{{[0-9]+}}: there is no op other.op

// RUN: swkpu-opt --list-passes | filecheck %s --check-prefix=PASSES
// PASSES:      df-fuse
// PASSES-NEXT:     Move elementwise recurrences into the epilogue
// PASSES:      df-choose-mapping
// PASSES:          target=  text, default kpu-t64
// PASSES-NEXT:     profile=  text, optional
// PASSES-NOT: not available

// RUN: swkpu-opt --help | filecheck %s --check-prefix=HELP
// HELP: usage: swkpu-opt
// HELP: examples:
// HELP:   swkpu-opt model.mlir -p
// RUN: swkpu-opt --version | filecheck %s --check-prefix=VERSION
// VERSION: swkpu-opt {{[0-9.]+}} (xDSL 0.74{{.*}})
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %0 = nn.relu %x : tensor<4xf32> loc("layer1.relu"("model.py":12:0))
  func.return %0 : tensor<4xf32>
}
