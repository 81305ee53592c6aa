// Weights of i4 from nn to the program, and where an i4 may not stand.
// RUN: swkpu-opt %s -p 'convert-nn-to-df,df-choose-layout' --elide-weights --split-input-file --verify-diagnostics | filecheck %s --check-prefix=DF
// RUN: swkpu-translate --mlir-to-asm %S/Inputs/int4.mlir --target kpu-t64 --precision fp32 | filecheck %s --check-prefix=ASM

// DF-LABEL: func.func @conv
// DF:      df.constant #nn.weight<"", "sha256-{{.*}}"> permuted [0, 2, 3, 1] : tensor<2x1x1x3xi4>
// DF:      ins(%{{.*}}[n, oh + kh, ow + kw, ic] : tensor<1x4x4x3xi8>, %{{.*}}[oc, kh, kw, ic] : tensor<2x1x1x3xi4>)
// DF-NEXT: mac
// DF-NEXT: epilogue(%{{.*}}: i32)
func.func @conv(%x: tensor<1x3x4x4xi8>) -> tensor<1x2x4x4xi32> {
  %w = nn.constant dense<[[[[-8]], [[7]], [[1]]], [[[0]], [[-1]], [[3]]]]> : tensor<2x3x1x1xi4> : tensor<2x3x1x1xi4>
  %y = nn.conv2d %x, %w stride [1, 1] padding [0, 0, 0, 0] dilation [1, 1] groups [1] : (tensor<1x3x4x4xi8>, tensor<2x3x1x1xi4>) -> tensor<1x2x4x4xi32>
  func.return %y : tensor<1x2x4x4xi32>
}

// -----

func.func @first(%x: tensor<2x4xi4>, %w: tensor<3x4xi8>) {
  // DF: error: {{.*}}'nn.linear' op input and weight differ in element type: i4 and i8
  %y = nn.linear %x, %w : (tensor<2x4xi4>, tensor<3x4xi8>) -> tensor<2x3xi32>
  func.return
}

// -----

func.func @elementwise(%x: tensor<4xi4>) {
  // DF: error: {{.*}}only the second input of a mac with an i8 is i4; input 0 is
  %y = df.recurrence (i = 4) none with(%x[i] : tensor<4xi4>)
    epilogue(%a: i4) { %b = arith.extsi %a : i4 to i8 df.yield %b : i8 } -> [i] : tensor<4xi8>
  func.return
}

// Two to a byte: rows of three elements begin at half bytes. Addresses of i4 maps count half bytes, those of segments bytes.
// ASM: .layer 0 {{.*}} mac_type="i4"
// ASM: .segment 0 address=64 offset=0 size=8
// ASM: .map m2 space=dram base=128 dtype=i4 extents=[5, 3] strides=[3, 1] moduli=[5, 3]
// ASM: load src=m2[0, 0] dst=m3[0, 0] box=[5, 3]
