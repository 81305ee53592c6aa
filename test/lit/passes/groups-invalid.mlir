// RUN: swkpu-opt %s -p convert-df-to-kpu --verify-diagnostics --split-input-file | filecheck %s

// CHECK: mapping of 's': its shares, tiles or pieces on 'int8' are not those of 'y'
func.func @other_pieces(%x: tensor<8x16xf32>) -> tensor<8x16xf32> {
  %s = df.recurrence (t = 8 | c = 16) ins(%x[t, c] : tensor<8x16xf32>) max
    epilogue(%a: f32) { df.yield %a : f32 } -> [t]
    mapping #df.mapping<result = l1, parts = [<int8, space = {t = 2}, l1 = {t = 1}, order = [t]>]> : tensor<8xf32>
  %y = df.recurrence (row = 8, col = 16) none with(%x[row, col] : tensor<8x16xf32>, %s[row] : tensor<8xf32>)
    epilogue(%a: f32, %m: f32) {
      %0 = arith.subf %a, %m : f32
      df.yield %0 : f32
    } -> [row, col]
    mapping #df.mapping<result = dram, parts = [<int8, space = {row = 2}, l1 = {row = 2}, order = [row]>]> : tensor<8x16xf32>
  func.return %y : tensor<8x16xf32>
}

// -----

// CHECK: mapping of 's': its parts are on other tile groups than those of 'y', the last of its group
func.func @other_tile_groups(%x: tensor<8x16xf32>) -> tensor<8x16xf32> {
  %s = df.recurrence (t = 8 | c = 16) ins(%x[t, c] : tensor<8x16xf32>) max
    epilogue(%a: f32) { df.yield %a : f32 } -> [t]
    mapping #df.mapping<result = l1, parts = [<bf16, space = {t = 2}, l1 = {t = 2}, order = [t]>]> : tensor<8xf32>
  %y = df.recurrence (row = 8, col = 16) none with(%x[row, col] : tensor<8x16xf32>, %s[row] : tensor<8xf32>)
    epilogue(%a: f32, %m: f32) {
      %0 = arith.subf %a, %m : f32
      df.yield %0 : f32
    } -> [row, col]
    mapping #df.mapping<result = dram, parts = [<int8, space = {row = 2}, l1 = {row = 2}, order = [row]>]> : tensor<8x16xf32>
  func.return %y : tensor<8x16xf32>
}

// -----

// CHECK: mapping of 'y': 'col' is not a dim that all of its group share (row): keep it whole
func.func @not_shared(%x: tensor<8x16xf32>) -> tensor<8x16xf32> {
  %s = df.recurrence (t = 8 | c = 16) ins(%x[t, c] : tensor<8x16xf32>) max
    epilogue(%a: f32) { df.yield %a : f32 } -> [t]
    mapping #df.mapping<result = l1, parts = [<int8>]> : tensor<8xf32>
  %y = df.recurrence (row = 8, col = 16) none with(%x[row, col] : tensor<8x16xf32>, %s[row] : tensor<8xf32>)
    epilogue(%a: f32, %m: f32) {
      %0 = arith.subf %a, %m : f32
      df.yield %0 : f32
    } -> [row, col]
    mapping #df.mapping<result = dram, parts = [<int8, l1 = {col = 8}, order = [col]>]> : tensor<8x16xf32>
  func.return %y : tensor<8x16xf32>
}

// -----

// CHECK: mapping of 's': `buffers` on 'int8' is not that of 'y', the last of its group
func.func @other_buffers(%x: tensor<8x16xf32>) -> tensor<8x16xf32> {
  %s = df.recurrence (t = 8 | c = 16) ins(%x[t, c] : tensor<8x16xf32>) max
    epilogue(%a: f32) { df.yield %a : f32 } -> [t]
    mapping #df.mapping<result = l1, parts = [<int8, space = {t = 2}, l1 = {t = 2}, order = [t], buffers = 3>]> : tensor<8xf32>
  %y = df.recurrence (row = 8, col = 16) none with(%x[row, col] : tensor<8x16xf32>, %s[row] : tensor<8xf32>)
    epilogue(%a: f32, %m: f32) {
      %0 = arith.subf %a, %m : f32
      df.yield %0 : f32
    } -> [row, col]
    mapping #df.mapping<result = dram, parts = [<int8, space = {row = 2}, l1 = {row = 2}, order = [row]>]> : tensor<8x16xf32>
  func.return %y : tensor<8x16xf32>
}

// -----

// CHECK: mapping of 's': its L2 tiles are not those of 'y', the last of its group
func.func @other_l2(%x: tensor<8x16xf32>) -> tensor<8x16xf32> {
  %s = df.recurrence (t = 8 | c = 16) ins(%x[t, c] : tensor<8x16xf32>) max
    epilogue(%a: f32) { df.yield %a : f32 } -> [t]
    mapping #df.mapping<result = l1, l2 = {t = 4}, parts = [<int8>]> : tensor<8xf32>
  %y = df.recurrence (row = 8, col = 16) none with(%x[row, col] : tensor<8x16xf32>, %s[row] : tensor<8xf32>)
    epilogue(%a: f32, %m: f32) {
      %0 = arith.subf %a, %m : f32
      df.yield %0 : f32
    } -> [row, col]
    mapping #df.mapping<result = dram, parts = [<int8>]> : tensor<8x16xf32>
  func.return %y : tensor<8x16xf32>
}

// -----

// CHECK: mapping of 'y': this group cannot be one layer: 'y' does not read the result of 's' point by point, or not all of it
func.func @another_point(%x: tensor<8x16xf32>) -> tensor<8x16xf32> {
  %s = df.recurrence (t = 8 | c = 16) ins(%x[t, c] : tensor<8x16xf32>) max
    epilogue(%a: f32) { df.yield %a : f32 } -> [t]
    mapping #df.mapping<result = l1, parts = [<int8>]> : tensor<8xf32>
  %y = df.recurrence (row = 8, col = 16) none with(%x[row, col] : tensor<8x16xf32>, %s[0] : tensor<8xf32>)
    epilogue(%a: f32, %m: f32) {
      %0 = arith.subf %a, %m : f32
      df.yield %0 : f32
    } -> [row, col]
    mapping #df.mapping<result = dram, parts = [<int8>]> : tensor<8x16xf32>
  func.return %y : tensor<8x16xf32>
}

// -----

// CHECK: mapping of 'n': `result = l1`, and nothing reads it there
func.func @nobody(%x: tensor<8x16xf32>) -> tensor<8x16xf32> {
  %s = df.recurrence (t = 8 | c = 16) ins(%x[t, c] : tensor<8x16xf32>) max
    epilogue(%a: f32) { df.yield %a : f32 } -> [t]
    mapping #df.mapping<result = l1, parts = [<int8>]> : tensor<8xf32>
  %y = df.recurrence (row = 8, col = 16) none with(%x[row, col] : tensor<8x16xf32>, %s[row] : tensor<8xf32>)
    epilogue(%a: f32, %m: f32) {
      %0 = arith.subf %a, %m : f32
      df.yield %0 : f32
    } -> [row, col]
    mapping #df.mapping<result = dram, parts = [<int8>]> : tensor<8x16xf32>
  %n = df.recurrence (t = 8) none with(%s[t] : tensor<8xf32>) epilogue(%a: f32) { df.yield %a : f32 } -> [t]
    mapping #df.mapping<result = l1, parts = [<int8>]> : tensor<8xf32>
  func.return %y : tensor<8x16xf32>
}

// -----

// CHECK: mapping of 'y': `result = l1` is for recurrences to read; func.return does not read L1
func.func @returned(%x: tensor<8x16xf32>) -> tensor<8x16xf32> {
  %s = df.recurrence (t = 8 | c = 16) ins(%x[t, c] : tensor<8x16xf32>) max
    epilogue(%a: f32) { df.yield %a : f32 } -> [t]
    mapping #df.mapping<result = l1, parts = [<int8>]> : tensor<8xf32>
  %y = df.recurrence (row = 8, col = 16) none with(%x[row, col] : tensor<8x16xf32>, %s[row] : tensor<8xf32>)
    epilogue(%a: f32, %m: f32) {
      %0 = arith.subf %a, %m : f32
      df.yield %0 : f32
    } -> [row, col]
    mapping #df.mapping<result = l1, parts = [<int8>]> : tensor<8x16xf32>
  func.return %y : tensor<8x16xf32>
}

// -----

// CHECK: mapping of 'n': a member of a group has no mapping; run df-choose-mapping, or write one
func.func @no_mapping(%x: tensor<8x16xf32>) -> tensor<8x16xf32> {
  %s = df.recurrence (t = 8 | c = 16) ins(%x[t, c] : tensor<8x16xf32>) max
    epilogue(%a: f32) { df.yield %a : f32 } -> [t]
    mapping #df.mapping<result = l1, parts = [<int8>]> : tensor<8xf32>
  %y = df.recurrence (row = 8, col = 16) none with(%x[row, col] : tensor<8x16xf32>, %s[row] : tensor<8xf32>)
    epilogue(%a: f32, %m: f32) {
      %0 = arith.subf %a, %m : f32
      df.yield %0 : f32
    } -> [row, col]
    mapping #df.mapping<result = dram, parts = [<int8>]> : tensor<8x16xf32>
  %n = df.recurrence (t = 8) none with(%s[t] : tensor<8xf32>) epilogue(%a: f32) { df.yield %a : f32 } -> [t] : tensor<8xf32>
  func.return %y : tensor<8x16xf32>
}

// -----

// CHECK: mapping of 'z': this group cannot be one layer: 'between' reads the result of 'y' before the group is done with its last member
func.func @between(%x: tensor<8xf32>) -> (tensor<8xf32>, tensor<8xf32>) {
  %s = df.recurrence (t = 8) none with(%x[t] : tensor<8xf32>) epilogue(%a: f32) { df.yield %a : f32 } -> [t]
    mapping #df.mapping<result = l1, parts = [<int8>]> : tensor<8xf32>
  %y = df.recurrence (t = 8) none with(%s[t] : tensor<8xf32>) epilogue(%a: f32) { df.yield %a : f32 } -> [t]
    mapping #df.mapping<result = l2, parts = [<int8>]> : tensor<8xf32>
  %between = df.recurrence (t = 8) none with(%y[t] : tensor<8xf32>) epilogue(%a: f32) { df.yield %a : f32 } -> [t]
    mapping #df.mapping<result = dram, parts = [<int8>]> : tensor<8xf32>
  %z = df.recurrence (t = 8) none with(%s[t] : tensor<8xf32>) epilogue(%a: f32) { df.yield %a : f32 } -> [t]
    mapping #df.mapping<result = dram, parts = [<int8>]> : tensor<8xf32>
  func.return %between, %z : tensor<8xf32>, tensor<8xf32>
}
