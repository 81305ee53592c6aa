// RUN: swkpu-opt %s -p convert-df-to-kpu --verify-diagnostics --split-input-file | filecheck %s

// CHECK: 'y' has no mapping; run df-choose-mapping, or write one
func.func @unmapped(%a: tensor<64x32xbf16>, %b: tensor<16x32xbf16>) -> tensor<64x16xf32> {
  %y = df.recurrence (m = 64, n = 16 | k = 32) ins(%a[m, k] : tensor<64x32xbf16>, %b[n, k] : tensor<16x32xbf16>) mac
    epilogue(%acc: f32) { df.yield %acc : f32 } -> [m, n]
    : tensor<64x16xf32>
  func.return %y : tensor<64x16xf32>
}

// -----

// CHECK: mapping of 'y': `space` names 'z', which is not a dim of the domain (m = 64, n = 16 | k = 32)
func.func @unknown_dim(%a: tensor<64x32xbf16>, %b: tensor<16x32xbf16>) -> tensor<64x16xf32> {
  %y = df.recurrence (m = 64, n = 16 | k = 32) ins(%a[m, k] : tensor<64x32xbf16>, %b[n, k] : tensor<16x32xbf16>) mac
    epilogue(%acc: f32) { df.yield %acc : f32 } -> [m, n]
    mapping #df.mapping<result = dram, parts = [<bf16, space = {z = 2}>]>
    : tensor<64x16xf32>
  func.return %y : tensor<64x16xf32>
}

// -----

// CHECK: mapping of 'y': `l2` cuts the 32 points of 'k' into tiles of 5, not exactly
func.func @reduction_in_l2(%a: tensor<64x32xbf16>, %b: tensor<16x32xbf16>) -> tensor<64x16xf32> {
  %y = df.recurrence (m = 64, n = 16 | k = 32) ins(%a[m, k] : tensor<64x32xbf16>, %b[n, k] : tensor<16x32xbf16>) mac
    epilogue(%acc: f32) { df.yield %acc : f32 } -> [m, n]
    mapping #df.mapping<l2 = {k = 5}, result = dram, parts = [<bf16>]>
    : tensor<64x16xf32>
  func.return %y : tensor<64x16xf32>
}

// -----

// CHECK: mapping of 'y': target kpu-t64 has no tile group 'fp64'; it has int8, bf16, matrix
func.func @unknown_group(%a: tensor<64x32xbf16>, %b: tensor<16x32xbf16>) -> tensor<64x16xf32> {
  %y = df.recurrence (m = 64, n = 16 | k = 32) ins(%a[m, k] : tensor<64x32xbf16>, %b[n, k] : tensor<16x32xbf16>) mac
    epilogue(%acc: f32) { df.yield %acc : f32 } -> [m, n]
    mapping #df.mapping<result = dram, parts = [<fp64>]>
    : tensor<64x16xf32>
  func.return %y : tensor<64x16xf32>
}

// -----

// CHECK: mapping of 'y': 64 tiles over 1 dims; 'bf16' has 13, over at most 2 dims
func.func @too_many_tiles(%a: tensor<64x32xbf16>, %b: tensor<16x32xbf16>) -> tensor<64x16xf32> {
  %y = df.recurrence (m = 64, n = 16 | k = 32) ins(%a[m, k] : tensor<64x32xbf16>, %b[n, k] : tensor<16x32xbf16>) mac
    epilogue(%acc: f32) { df.yield %acc : f32 } -> [m, n]
    mapping #df.mapping<result = dram, parts = [<bf16, space = {m = 64}>]>
    : tensor<64x16xf32>
  func.return %y : tensor<64x16xf32>
}

// -----

// CHECK: mapping of 'y': 8 tiles over 3 dims; 'bf16' has 13, over at most 2 dims
func.func @too_many_space_dims(%a: tensor<64x32xbf16>, %b: tensor<16x32xbf16>) -> tensor<64x16xf32> {
  %y = df.recurrence (m = 64, n = 16 | k = 32) ins(%a[m, k] : tensor<64x32xbf16>, %b[n, k] : tensor<16x32xbf16>) mac
    epilogue(%acc: f32) { df.yield %acc : f32 } -> [m, n]
    mapping #df.mapping<result = dram, parts = [<bf16, space = {m = 2, n = 2, k = 2}>]>
    : tensor<64x16xf32>
  func.return %y : tensor<64x16xf32>
}

// -----

// CHECK: mapping of 'y': `finish` is for a reduction that is split over tiles, and `space` names no reduction dim
func.func @finish_without_split(%a: tensor<64x32xbf16>, %b: tensor<16x32xbf16>) -> tensor<64x16xf32> {
  %y = df.recurrence (m = 64, n = 16 | k = 32) ins(%a[m, k] : tensor<64x32xbf16>, %b[n, k] : tensor<16x32xbf16>) mac
    epilogue(%acc: f32) { df.yield %acc : f32 } -> [m, n]
    mapping #df.mapping<result = dram, parts = [<bf16, space = {m = 4}, finish = {n = 8}>]>
    : tensor<64x16xf32>
  func.return %y : tensor<64x16xf32>
}

// -----

// CHECK: mapping of 'y': `finish` names reduction dim 'k'; it takes parallel dims
func.func @finish_of_a_reduction(%a: tensor<64x32xbf16>, %b: tensor<16x32xbf16>) -> tensor<64x16xf32> {
  %y = df.recurrence (m = 64, n = 16 | k = 32) ins(%a[m, k] : tensor<64x32xbf16>, %b[n, k] : tensor<16x32xbf16>) mac
    epilogue(%acc: f32) { df.yield %acc : f32 } -> [m, n]
    mapping #df.mapping<result = dram, parts = [<bf16, space = {k = 4}, finish = {k = 8}>]>
    : tensor<64x16xf32>
  func.return %y : tensor<64x16xf32>
}

// -----

// CHECK: mapping of 'y': `finish` names 2 dims; a piece is cut along one
func.func @two_slices(%a: tensor<64x32xbf16>, %b: tensor<16x32xbf16>) -> tensor<64x16xf32> {
  %y = df.recurrence (m = 64, n = 16 | k = 32) ins(%a[m, k] : tensor<64x32xbf16>, %b[n, k] : tensor<16x32xbf16>) mac
    epilogue(%acc: f32) { df.yield %acc : f32 } -> [m, n]
    mapping #df.mapping<result = dram, parts = [<bf16, space = {k = 4}, finish = {m = 16, n = 4}>]>
    : tensor<64x16xf32>
  func.return %y : tensor<64x16xf32>
}

// -----

// CHECK: mapping of 'y': `finish` cuts the 16 points of 'n' in a piece into slices of 5; they are as many as divide it exactly, and no more than the 4 tiles of a group
func.func @ragged_slices(%a: tensor<64x32xbf16>, %b: tensor<16x32xbf16>) -> tensor<64x16xf32> {
  %y = df.recurrence (m = 64, n = 16 | k = 32) ins(%a[m, k] : tensor<64x32xbf16>, %b[n, k] : tensor<16x32xbf16>) mac
    epilogue(%acc: f32) { df.yield %acc : f32 } -> [m, n]
    mapping #df.mapping<result = dram, parts = [<bf16, space = {k = 4}, finish = {n = 5}>]>
    : tensor<64x16xf32>
  func.return %y : tensor<64x16xf32>
}

// -----

// CHECK: mapping of 'y': `finish` cuts the 16 points of 'n' in a piece into slices of 2; they are as many as divide it exactly, and no more than the 4 tiles of a group
func.func @too_many_slices(%a: tensor<64x32xbf16>, %b: tensor<16x32xbf16>) -> tensor<64x16xf32> {
  %y = df.recurrence (m = 64, n = 16 | k = 32) ins(%a[m, k] : tensor<64x32xbf16>, %b[n, k] : tensor<16x32xbf16>) mac
    epilogue(%acc: f32) { df.yield %acc : f32 } -> [m, n]
    mapping #df.mapping<result = dram, parts = [<bf16, space = {k = 4}, finish = {n = 2}>]>
    : tensor<64x16xf32>
  func.return %y : tensor<64x16xf32>
}

// -----

// CHECK: mapping of 'y': `space` names the reduction dims 'j' and 'k'; a reduction is split along one
func.func @two_reductions(%a: tensor<8x4x8xbf16>, %b: tensor<16x4x8xbf16>) -> tensor<8x16xf32> {
  %y = df.recurrence (m = 8, n = 16 | j = 4, k = 8) ins(%a[m, j, k] : tensor<8x4x8xbf16>, %b[n, j, k] : tensor<16x4x8xbf16>) mac
    epilogue(%acc: f32) { df.yield %acc : f32 } -> [m, n]
    mapping #df.mapping<result = dram, parts = [<bf16, space = {k = 2, j = 2}>]>
    : tensor<8x16xf32>
  func.return %y : tensor<8x16xf32>
}

// -----

// CHECK: mapping of 'y': 2 tiles of 1 pieces of 2 do not divide the 3 points of 'kh' exactly
func.func @window(%x: tensor<10x8xbf16>, %w: tensor<16x3x8xbf16>) -> tensor<8x16xf32> {
  %y = df.recurrence (m = 8, n = 16 | kh = 3, k = 8) ins(%x[m + kh, k] : tensor<10x8xbf16>, %w[n, kh, k] : tensor<16x3x8xbf16>) mac
    epilogue(%acc: f32) { df.yield %acc : f32 } -> [m, n]
    mapping #df.mapping<result = dram, parts = [<bf16, space = {kh = 2}>]>
    : tensor<8x16xf32>
  func.return %y : tensor<8x16xf32>
}

// -----

// CHECK: mapping of 'y': the shares of 'm' cover 65 points, but an L2 tile has 64
func.func @share(%a: tensor<64x32xbf16>, %b: tensor<16x32xbf16>) -> tensor<64x16xf32> {
  %y = df.recurrence (m = 64, n = 16 | k = 32) ins(%a[m, k] : tensor<64x32xbf16>, %b[n, k] : tensor<16x32xbf16>) mac
    epilogue(%acc: f32) { df.yield %acc : f32 } -> [m, n]
    mapping #df.mapping<split = m, result = dram, parts = [<bf16, share = [0, 65]>]>
    : tensor<64x16xf32>
  func.return %y : tensor<64x16xf32>
}

// -----

// CHECK: mapping of 'y': 3 tiles of 1 pieces of 11 do not divide the 32 points of 'm' exactly
func.func @not_exact(%a: tensor<64x32xbf16>, %b: tensor<16x32xbf16>) -> tensor<64x16xf32> {
  %y = df.recurrence (m = 64, n = 16 | k = 32) ins(%a[m, k] : tensor<64x32xbf16>, %b[n, k] : tensor<16x32xbf16>) mac
    epilogue(%acc: f32) { df.yield %acc : f32 } -> [m, n]
    mapping #df.mapping<l2 = {m = 32}, result = dram, parts = [<bf16, space = {m = 3}>]>
    : tensor<64x16xf32>
  func.return %y : tensor<64x16xf32>
}

// -----

// CHECK: mapping of 'y': dims k are cut into pieces but not in `order`
func.func @not_in_order(%a: tensor<64x32xbf16>, %b: tensor<16x32xbf16>) -> tensor<64x16xf32> {
  %y = df.recurrence (m = 64, n = 16 | k = 32) ins(%a[m, k] : tensor<64x32xbf16>, %b[n, k] : tensor<16x32xbf16>) mac
    epilogue(%acc: f32) { df.yield %acc : f32 } -> [m, n]
    mapping #df.mapping<result = dram, parts = [<bf16, l1 = {m = 4, k = 8}, order = [m]>]>
    : tensor<64x16xf32>
  func.return %y : tensor<64x16xf32>
}

// -----

// CHECK: mapping of 'y': reduction dims come last in `order`: an accumulator holds one block of results
func.func @reduction_first(%a: tensor<64x32xbf16>, %b: tensor<16x32xbf16>) -> tensor<64x16xf32> {
  %y = df.recurrence (m = 64, n = 16 | k = 32) ins(%a[m, k] : tensor<64x32xbf16>, %b[n, k] : tensor<16x32xbf16>) mac
    epilogue(%acc: f32) { df.yield %acc : f32 } -> [m, n]
    mapping #df.mapping<result = dram, parts = [<bf16, l1 = {m = 4, k = 8}, order = [k, m]>]>
    : tensor<64x16xf32>
  func.return %y : tensor<64x16xf32>
}

// -----

// CHECK: 'y': an access that runs backwards has no block form
func.func @backwards(%x: tensor<8xbf16>) -> tensor<8xbf16> {
  %y = df.recurrence (i = 8) none with(%x[7 - i] : tensor<8xbf16>)
    epilogue(%e: bf16) { df.yield %e : bf16 } -> [i]
    mapping #df.mapping<result = dram, parts = [<bf16, l1 = {i = 2}, order = [i]>]>
    : tensor<8xbf16>
  func.return %y : tensor<8xbf16>
}

// -----

// CHECK: mapping of 'y': 7 loops; the machine nests 6
func.func @too_deep(%x: tensor<2x2x2x2x2x2x2xbf16>) -> tensor<2x2x2x2x2x2x2xbf16> {
  %y = df.recurrence (a = 2, b = 2, c = 2, d = 2, e = 2, f = 2, g = 2)
    none with(%x[a, b, c, d, e, f, g] : tensor<2x2x2x2x2x2x2xbf16>)
    epilogue(%v: bf16) { df.yield %v : bf16 } -> [a, b, c, d, e, f, g]
    mapping #df.mapping<result = dram, parts = [
      <bf16, l1 = {a = 1, b = 1, c = 1, d = 1, e = 1, f = 1, g = 1}, order = [a, b, c, d, e, f, g]>]>
    : tensor<2x2x2x2x2x2x2xbf16>
  func.return %y : tensor<2x2x2x2x2x2x2xbf16>
}

// -----

// CHECK: nn.relu has no lowering to kpu; run convert-nn-to-df first
func.func @not_lowered(%x: tensor<8xf32>) -> tensor<8xf32> {
  %y = nn.relu %x : tensor<8xf32>
  func.return %y : tensor<8xf32>
}

// -----

// CHECK: result 0 of the function is not in DRAM
func.func @result_in_l2(%x: tensor<8xbf16>) -> tensor<8xbf16> {
  %y = df.recurrence (i = 8) none with(%x[i] : tensor<8xbf16>)
    epilogue(%e: bf16) { df.yield %e : bf16 } -> [i]
    mapping #df.mapping<result = l2, parts = [<bf16>]>
    : tensor<8xbf16>
  func.return %y : tensor<8xbf16>
}

// -----

// CHECK: df.copy with access (d0) -> (d0, d0) is not a single transfer
func.func @diagonal(%x: tensor<8x8xbf16>) -> tensor<8xbf16> {
  %y = df.copy (i = 8) %x[i, i] : tensor<8x8xbf16>
  func.return %y : tensor<8xbf16>
}

// -----

// Parts leave a gap in the split dim.
func.func @main(%x: tensor<64x32xbf16>, %w: tensor<16x32xbf16>) -> tensor<64x16xf32> {
  %y = df.recurrence (m = 64, n = 16 | k = 32)
    ins(%x[m, k] : tensor<64x32xbf16>, %w[n, k] : tensor<16x32xbf16>)
    mac epilogue(%a: f32) { df.yield %a : f32 } -> [m, n]
    mapping #df.mapping<result = dram, split = m, parts = [<bf16, share = [0, 10]>, <matrix, share = [12, 64]>]> : tensor<64x16xf32>
  func.return %y : tensor<64x16xf32>
}
// CHECK: mapping of 'y': shares of 'm' follow each other from 0 to 64; at 10 got (12, 64)

// -----

func.func @main(%x: tensor<64x32xbf16>, %w: tensor<16x32xbf16>) -> tensor<64x16xf32> {
  %y = df.recurrence (m = 64, n = 16 | k = 32)
    ins(%x[m, k] : tensor<64x32xbf16>, %w[n, k] : tensor<16x32xbf16>)
    mac epilogue(%a: f32) { df.yield %a : f32 } -> [m, n]
    mapping #df.mapping<result = dram, parts = [<bf16, order = [m, m], buffers = 5>]> : tensor<64x16xf32>
  func.return %y : tensor<64x16xf32>
}
// CHECK: mapping of 'y': `buffers` is 5; a schedule supports 1, 2, 3, 4, 6, 12
