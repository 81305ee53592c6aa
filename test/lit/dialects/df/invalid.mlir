// RUN: swkpu-opt %s --verify-diagnostics --split-input-file | filecheck %s

// CHECK: unknown combiner 'product', expected one of none, mac, add, mul, max, min
func.func @unknown_combiner(%a: tensor<4x8xf32>, %b: tensor<2x8xf32>) {
  %0 = "df.recurrence"(%a, %b) <{domain = #df.domain(m = 4, n = 2 | k = 8), combiner = "product",
      maps = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>],
      pads = [0.0 : f64, 0.0 : f64], operandSegmentSizes = array<i32: 2, 0, 0>}> ({
  ^bb0(%acc: f32):
    df.yield %acc : f32
  }) : (tensor<4x8xf32>, tensor<2x8xf32>) -> tensor<4x2xf32>
  func.return
}

// -----

// CHECK: combiner 'max' reads 1 inputs, got 2
func.func @inputs_of_combiner(%a: tensor<4x8xf32>, %b: tensor<2x8xf32>) {
  %0 = df.recurrence (m = 4, n = 2 | k = 8) ins(%a[m, k] : tensor<4x8xf32>, %b[n, k] : tensor<2x8xf32>) max
      epilogue(%acc: f32) { df.yield %acc : f32 } -> [m, n] : tensor<4x2xf32>
  func.return
}

// -----

// CHECK: a recurrence that combines nothing has no reduction dims
func.func @none_reduces(%a: tensor<4x8xf32>, %b: tensor<2x8xf32>) {
  %0 = df.recurrence (m = 4, n = 2 | k = 8) none with(%a[m, 0] : tensor<4x8xf32>)
      epilogue(%acc: f32) { df.yield %acc : f32 } -> [m, n] : tensor<4x2xf32>
  func.return
}

// -----

// CHECK: expected one access map per operand and one for the result
func.func @too_few_maps(%a: tensor<4x8xf32>, %b: tensor<2x8xf32>) {
  %0 = "df.recurrence"(%a, %b) <{domain = #df.domain(m = 4, n = 2 | k = 8), combiner = "mac",
      maps = [affine_map<(d0, d1, d2) -> (d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>],
      pads = [0.0 : f64, 0.0 : f64], operandSegmentSizes = array<i32: 2, 0, 0>}> ({
  ^bb0(%acc: f32):
    df.yield %acc : f32
  }) : (tensor<4x8xf32>, tensor<2x8xf32>) -> tensor<4x2xf32>
  func.return
}

// -----

// CHECK: expected one pad value per input
func.func @too_few_pads(%a: tensor<4x8xf32>, %b: tensor<2x8xf32>) {
  %0 = "df.recurrence"(%a, %b) <{domain = #df.domain(m = 4, n = 2 | k = 8), combiner = "mac",
      maps = [affine_map<(d0, d1, d2) -> (d0, d2)>, affine_map<(d0, d1, d2) -> (d1, d2)>, affine_map<(d0, d1, d2) -> (d0, d1)>],
      pads = [0.0 : f64], operandSegmentSizes = array<i32: 2, 0, 0>}> ({
  ^bb0(%acc: f32):
    df.yield %acc : f32
  }) : (tensor<4x8xf32>, tensor<2x8xf32>) -> tensor<4x2xf32>
  func.return
}

// -----

// CHECK: access map (d0, d1, d2) -> (d2) does not take the domain's 3 dims to the dims of tensor<4x8xf32>
func.func @rank_of_access(%a: tensor<4x8xf32>, %b: tensor<2x8xf32>) {
  %0 = df.recurrence (m = 4, n = 2 | k = 8) ins(%a[k] : tensor<4x8xf32>, %b[n, k] : tensor<2x8xf32>) mac
      epilogue(%acc: f32) { df.yield %acc : f32 } -> [m, n] : tensor<4x2xf32>
  func.return
}

// -----

// CHECK: is not linear in the domain's dims
func.func @access_not_linear(%a: tensor<4x8xf32>, %b: tensor<2x8xf32>) {
  %0 = df.recurrence (m = 4, n = 2 | k = 8) ins(%a[m, k mod 4] : tensor<4x8xf32>, %b[n, k] : tensor<2x8xf32>) mac
      epilogue(%acc: f32) { df.yield %acc : f32 } -> [m, n] : tensor<4x2xf32>
  func.return
}

// -----

// CHECK: access to dim 0 of tensor<4x2xf32> covers 1..4, outside 0..3
func.func @epilogue_operand_outside(%a: tensor<4x8xf32>, %b: tensor<2x8xf32>, %c: tensor<4x2xf32>) {
  %0 = df.recurrence (m = 4, n = 2 | k = 8) ins(%a[m, k] : tensor<4x8xf32>, %b[n, k] : tensor<2x8xf32>) mac with(%c[m + 1, n] : tensor<4x2xf32>)
      epilogue(%acc: f32, %e: f32) { df.yield %acc : f32 } -> [m, n] : tensor<4x2xf32>
  func.return
}

// -----

// CHECK: an epilogue operand is read once per result element, but (d0, d1, d2) -> (d0, d2) uses a reduction dim
func.func @epilogue_operand_reduces(%a: tensor<4x8xf32>, %b: tensor<2x8xf32>) {
  %0 = df.recurrence (m = 4, n = 2 | k = 8) ins(%a[m, k] : tensor<4x8xf32>, %b[n, k] : tensor<2x8xf32>) mac with(%a[m, k] : tensor<4x8xf32>)
      epilogue(%acc: f32, %e: f32) { df.yield %acc : f32 } -> [m, n] : tensor<4x2xf32>
  func.return
}

// -----

// CHECK: every parallel dim belongs on one axis of tensor<4x2xf32>, without overlap; got (d0, d1, d2) -> (d0, d0)
func.func @result_map(%a: tensor<4x8xf32>, %b: tensor<2x8xf32>) {
  %0 = df.recurrence (m = 4, n = 2 | k = 8) ins(%a[m, k] : tensor<4x8xf32>, %b[n, k] : tensor<2x8xf32>) mac
      epilogue(%acc: f32) { df.yield %acc : f32 } -> [m, m] : tensor<4x2xf32>
  func.return
}

// -----

// CHECK: every parallel dim belongs on one axis of tensor<4x8xf32>, without overlap; got (d0, d1, d2) -> (d0, d2)
func.func @result_map_reduces(%a: tensor<4x8xf32>, %b: tensor<2x8xf32>) {
  %0 = df.recurrence (m = 4, n = 2 | k = 8) ins(%a[m, k] : tensor<4x8xf32>, %b[n, k] : tensor<2x8xf32>) mac
      epilogue(%acc: f32) { df.yield %acc : f32 } -> [m, k] : tensor<4x8xf32>
  func.return
}

// -----

// CHECK: the write to dim 1 of tensor<4x2xf32> covers 0..3
func.func @result_shape(%a: tensor<4x8xf32>, %b: tensor<2x8xf32>) {
  %0 = df.recurrence (m = 4, n = 2 | k = 8) ins(%a[m, k] : tensor<4x8xf32>, %b[n, k] : tensor<2x8xf32>) mac
      epilogue(%acc: f32) { df.yield %acc : f32 } -> [n, m] : tensor<4x2xf32>
  func.return
}

// -----

// CHECK: the epilogue takes (f32): the accumulator, then an element of each epilogue operand; got (bf16)
func.func @epilogue_arguments(%a: tensor<4x8xbf16>, %b: tensor<2x8xbf16>) {
  %0 = df.recurrence (m = 4, n = 2 | k = 8) ins(%a[m, k] : tensor<4x8xbf16>, %b[n, k] : tensor<2x8xbf16>) mac
      epilogue(%acc: bf16) { df.yield %acc : bf16 } -> [m, n] : tensor<4x2xbf16>
  func.return
}

// -----

// CHECK: the epilogue must end in df.yield
func.func @no_yield(%a: tensor<4x8xf32>, %b: tensor<2x8xf32>) {
  %0 = df.recurrence (m = 4, n = 2 | k = 8) ins(%a[m, k] : tensor<4x8xf32>, %b[n, k] : tensor<2x8xf32>) mac
      epilogue(%acc: f32) { %1 = arith.negf %acc : f32 } -> [m, n] : tensor<4x2xf32>
  func.return
}

// -----

// CHECK: the epilogue yields f32 for a result of bf16
func.func @yield_type(%a: tensor<4x8xf32>, %b: tensor<2x8xf32>) {
  %0 = df.recurrence (m = 4, n = 2 | k = 8) ins(%a[m, k] : tensor<4x8xf32>, %b[n, k] : tensor<2x8xf32>) mac
      epilogue(%acc: f32) { df.yield %acc : f32 } -> [m, n] : tensor<4x2xbf16>
  func.return
}

// -----

// CHECK: dim 'm' is named twice
func.func @named_twice(%a: tensor<4x8xf32>, %b: tensor<2x8xf32>) {
  %0 = df.recurrence (m = 4, m = 2 | k = 8) ins(%a[m, k] : tensor<4x8xf32>, %b[n, k] : tensor<2x8xf32>) mac
      epilogue(%acc: f32) { df.yield %acc : f32 } -> [m, n] : tensor<4x2xf32>
  func.return
}

// -----

// CHECK: an extent must be at least 1
func.func @empty_dim(%a: tensor<4x8xf32>, %b: tensor<2x8xf32>) {
  %0 = df.recurrence (m = 4, n = 0 | k = 8) ins(%a[m, k] : tensor<4x8xf32>, %b[n, k] : tensor<2x8xf32>) mac
      epilogue(%acc: f32) { df.yield %acc : f32 } -> [m, n] : tensor<4x2xf32>
  func.return
}

// -----

// CHECK: 'z' is not a dim; the dims here are m, n, k
func.func @unknown_dim(%a: tensor<4x8xf32>, %b: tensor<2x8xf32>) {
  %0 = df.recurrence (m = 4, n = 2 | k = 8) ins(%a[m, z] : tensor<4x8xf32>, %b[n, k] : tensor<2x8xf32>) mac
      epilogue(%acc: f32) { df.yield %acc : f32 } -> [m, n] : tensor<4x2xf32>
  func.return
}

// -----

// CHECK: an affine expression can only be multiplied by a constant
func.func @not_affine(%a: tensor<4x8xf32>, %b: tensor<2x8xf32>) {
  %0 = df.recurrence (m = 4, n = 2 | k = 8) ins(%a[m, k * n] : tensor<4x8xf32>, %b[n, k] : tensor<2x8xf32>) mac
      epilogue(%acc: f32) { df.yield %acc : f32 } -> [m, n] : tensor<4x2xf32>
  func.return
}

// -----

// CHECK: unknown field 'l3' of #df.mapping
func.func @mapping_field(%a: tensor<4x8xf32>, %b: tensor<2x8xf32>) {
  %0 = df.recurrence (m = 4, n = 2 | k = 8) ins(%a[m, k] : tensor<4x8xf32>, %b[n, k] : tensor<2x8xf32>) mac
      epilogue(%acc: f32) { df.yield %acc : f32 } -> [m, n] mapping #df.mapping<l3 = {m = 2}> : tensor<4x2xf32>
  func.return
}

// -----

// CHECK: unknown field 'depth' of a mapping's part
func.func @mapping_part_field(%a: tensor<4x8xf32>, %b: tensor<2x8xf32>) {
  %0 = df.recurrence (m = 4, n = 2 | k = 8) ins(%a[m, k] : tensor<4x8xf32>, %b[n, k] : tensor<2x8xf32>) mac
      epilogue(%acc: f32) { df.yield %acc : f32 } -> [m, n] mapping #df.mapping<parts = [<bf16, depth = 2>]> : tensor<4x2xf32>
  func.return
}

// -----

// CHECK: #df.mapping needs at least one part
func.func @mapping_without_parts(%a: tensor<4x8xf32>, %b: tensor<2x8xf32>) {
  %0 = df.recurrence (m = 4, n = 2 | k = 8) ins(%a[m, k] : tensor<4x8xf32>, %b[n, k] : tensor<2x8xf32>) mac
      epilogue(%acc: f32) { df.yield %acc : f32 } -> [m, n] mapping #df.mapping<result = l2> : tensor<4x2xf32>
  func.return
}

// -----

// CHECK: a size must be at least 1
func.func @mapping_size(%a: tensor<4x8xf32>, %b: tensor<2x8xf32>) {
  %0 = df.recurrence (m = 4, n = 2 | k = 8) ins(%a[m, k] : tensor<4x8xf32>, %b[n, k] : tensor<2x8xf32>) mac
      epilogue(%acc: f32) { df.yield %acc : f32 } -> [m, n] mapping #df.mapping<parts = [<bf16, space = {m = 0}>]> : tensor<4x2xf32>
  func.return
}

// -----

// CHECK: expected a #df.mapping, got "fast"
func.func @not_a_mapping(%a: tensor<4x8xf32>, %b: tensor<2x8xf32>) {
  %0 = df.recurrence (m = 4, n = 2 | k = 8) ins(%a[m, k] : tensor<4x8xf32>, %b[n, k] : tensor<2x8xf32>) mac
      epilogue(%acc: f32) { df.yield %acc : f32 } -> [m, n] mapping "fast" : tensor<4x2xf32>
  func.return
}

// -----

// CHECK: [0, 0] is not a permutation of the dims of tensor<4x8xf32>
func.func @packing() {
  %0 = df.constant #nn.weight<"", "w"> permuted [0, 0] : tensor<4x8xf32>
  func.return
}

// -----

// CHECK: a copy has no reduction dims
func.func @copy_reduces(%a: tensor<4x8xf32>) {
  %0 = df.copy (m = 4 | k = 8) %a[m, k] : tensor<4x8xf32>
  func.return
}

// -----

// CHECK: the domain implies a result of shape (4, 8), got tensor<8x4xf32>
func.func @copy_result(%a: tensor<4x8xf32>) {
  %0 = "df.copy"(%a) <{domain = #df.domain(m = 4, k = 8), map = affine_map<(d0, d1) -> (d0, d1)>}> : (tensor<4x8xf32>) -> tensor<8x4xf32>
  func.return
}

// -----

// CHECK: access map (d0) -> (d0) does not take the domain to the dims of tensor<4x8xf32>
func.func @copy_rank(%a: tensor<4x8xf32>) {
  %0 = df.copy (m = 4) %a[m] : tensor<4x8xf32>
  func.return
}

// -----

// CHECK: is not linear
func.func @copy_not_linear(%a: tensor<4x8xf32>) {
  %0 = df.copy (m = 4, k = 16) %a[m, k floordiv 2] : tensor<4x8xf32>
  func.return
}

// -----

// CHECK: tensor<4x8xf32> and tensor<31xf32> have different numbers of elements
func.func @reshape_size(%a: tensor<4x8xf32>) {
  %0 = df.reshape %a : tensor<4x8xf32> to tensor<31xf32>
  func.return
}

// -----

// CHECK: the write to dim 0 of tensor<8xf32> covers 3..8
func.func @write_outside(%a: tensor<6xf32>) {
  %e = df.empty : tensor<8xf32>
  %0 = df.copy (i = 6) %a[i] into %e[i + 3] : tensor<6xf32> into tensor<8xf32>
  func.return
}

// -----

// CHECK: every parallel dim belongs on one axis of tensor<8xf32>, without overlap
func.func @write_overlaps(%a: tensor<2x3xf32>) {
  %e = df.empty : tensor<8xf32>
  %0 = df.copy (i = 2, j = 3) %a[i, j] into %e[2*i + j] : tensor<2x3xf32> into tensor<8xf32>
  func.return
}

// -----

// CHECK: a write into tensor<8xf32> gives the same type, got tensor<8xi32>
func.func @write_type(%a: tensor<6xf32>) {
  %e = df.empty : tensor<8xf32>
  %0 = "df.copy"(%a, %e) <{domain = #df.domain(i = 6), map = affine_map<(d0) -> (d0)>, write_map = affine_map<(d0) -> (d0)>}> : (tensor<6xf32>, tensor<8xf32>) -> tensor<8xi32>
  func.return
}

// -----

// CHECK: the domain has 6 results and tensor<8xf32> 8 elements
func.func @write_too_little(%a: tensor<6xf32>) {
  %0 = df.recurrence (i = 6) none with(%a[i] : tensor<6xf32>)
    epilogue(%v: f32) { df.yield %v : f32 } -> [i] : tensor<8xf32>
  func.return
}

// -----

// CHECK: axis 2 is not a dim of tensor<10x4xf32>
func.func @gather_axis(%t: tensor<10x4xf32>, %i: tensor<2xi32>) {
  %g = df.gather (a = 2, b = 4) %t[0, b] axis 2 by %i[a] : tensor<10x4xf32>, tensor<2xi32>
  func.return
}
