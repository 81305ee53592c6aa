// RUN: not swkpu-opt %s -p nn-fold-constants,df-fuze 2>&1 | filecheck %s --check-prefix=UNKNOWN
// UNKNOWN:      error: unknown pass 'df-fuze'; did you mean 'df-fuse'?
// UNKNOWN-NEXT:   nn-fold-constants,df-fuze
// UNKNOWN-NEXT: {{^ {20}\^{7}$}}

// RUN: not swkpu-opt %s -p whatever 2>&1 | filecheck %s --check-prefix=LIST
// LIST: error: unknown pass 'whatever'; --list-passes shows what there is

// RUN: not swkpu-opt %s -p 'df-choose-mapping{tarjet=kpu-t64}' 2>&1 | filecheck %s --check-prefix=OPTION
// OPTION:      error: pass df-choose-mapping has no option 'tarjet'; its options are target, profile
// OPTION-NEXT:   df-choose-mapping{tarjet=kpu-t64}
// OPTION-NEXT: {{^  \^{17}$}}

// RUN: not swkpu-opt %s -p 'df-fuse{fast}' 2>&1 | filecheck %s --check-prefix=NONE
// NONE: error: pass df-fuse has no option 'fast'; it has none

// RUN: not swkpu-opt %s -p 'nn-quantize' 2>&1 | filecheck %s --check-prefix=NEEDED
// NEEDED: error: pass nn-quantize needs option 'precision': nn-quantize{precision=...}

// RUN: not swkpu-opt %s -p 'nn-quantize{precision=bf16,fp16}' 2>&1 | filecheck %s --check-prefix=VALUE
// VALUE: error: option 'precision' of pass nn-quantize takes text, got bf16,fp16

// RUN: not swkpu-opt %s -p 'swkpu-default{until=kpi}' 2>&1 | filecheck %s --check-prefix=UNTIL
// UNTIL: error: until=kpi: expected one of nn, df, kpu

// RUN: not swkpu-opt %s -p 'df-fuse{' 2>&1 | filecheck %s --check-prefix=BRACE
// BRACE: error: pass pipeline: expected the name of an option, or '}', found the end

// RUN: not swkpu-opt %s -p 'builtin.module(df-fuse' 2>&1 | filecheck %s --check-prefix=PAREN
// PAREN:      error: pass pipeline: expected ',' or ')', found the end
// PAREN-NEXT:   builtin.module(df-fuse
// PAREN-NEXT: {{^ {24}\^$}}

// RUN: not swkpu-opt %s -p 'df-fuse df-fuse' 2>&1 | filecheck %s --check-prefix=COMMA
// COMMA: error: pass pipeline: expected ',' or the end, found 'd'

// Nothing of it reaches standard output.
// RUN: not swkpu-opt %s -p whatever > %t.out 2>/dev/null && test ! -s %t.out
func.func @main() {
  func.return
}
