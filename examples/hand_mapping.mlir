// relu(x · wᵀ + b) as one recurrence, with a mapping written by hand for kpu-t64.
//
//   swkpu-opt examples/hand_mapping.mlir -p convert-df-to-kpu                the loops and transfers it asks for
//   swkpu-translate --mlir-to-kpu examples/hand_mapping.mlir -o hand.kpu     the program
//
// Things to try: other sizes in `l1`; other tile counts in `space`; `k` in `order`; `ws` instead of `os`;
// another group (matrix has 7 tiles); remove the mapping and run df-choose-mapping.
func.func @main(%x: tensor<256x512xbf16>, %w: tensor<128x512xbf16>, %b: tensor<128xf32>) -> tensor<256x128xbf16> {
  %y = df.recurrence (m = 256, n = 128 | k = 512)
      ins(%x[m, k] : tensor<256x512xbf16>, %w[n, k] : tensor<128x512xbf16>)
      mac with(%b[n] : tensor<128xf32>)
      epilogue(%acc: f32, %bias: f32) {
        %sum = arith.addf %acc, %bias : f32
        %zero = arith.constant 0.0 : f32
        %positive = arith.maximumf %sum, %zero : f32
        %rounded = arith.truncf %positive : f32 to bf16
        df.yield %rounded : bf16
      }
      -> [m, n]
      mapping #df.mapping<
        // through L2 in blocks of 32 output features; the result goes back to DRAM
        l2 = {n = 32}, result = dram,
        // on 8 tiles of group bf16: 4 along m, 2 along n; each handles its 64 rows in pieces of 16
        parts = [<bf16, space = {m = 4, n = 2}, l1 = {m = 16, n = 16}, order = [m],
                  rows = [m], cols = [n], os, buffers = 2>]>
      : tensor<256x128xbf16>
  func.return %y : tensor<256x128xbf16>
}
