// RUN: swkpu-opt %s | swkpu-opt | filecheck %s
// RUN: swkpu-opt %s --print-op-generic | swkpu-opt | filecheck %s

// CHECK-LABEL: func.func @unary
func.func @unary(%x: tensor<2x3xf32>, %i: tensor<2x3xi64>, %b: tensor<2x3xi1>) {
  // CHECK: nn.neg %x : tensor<2x3xf32>
  %0 = nn.neg %x : tensor<2x3xf32>
  // CHECK: nn.abs %x : tensor<2x3xf32>
  %1 = nn.abs %x : tensor<2x3xf32>
  // CHECK: nn.sign %x : tensor<2x3xf32>
  %2 = nn.sign %x : tensor<2x3xf32>
  // CHECK: nn.floor %x : tensor<2x3xf32>
  %3 = nn.floor %x : tensor<2x3xf32>
  // CHECK: nn.ceil %x : tensor<2x3xf32>
  %4 = nn.ceil %x : tensor<2x3xf32>
  // CHECK: nn.round %x : tensor<2x3xf32>
  %5 = nn.round %x : tensor<2x3xf32>
  // CHECK: nn.trunc %x : tensor<2x3xf32>
  %6 = nn.trunc %x : tensor<2x3xf32>
  // CHECK: nn.relu %x : tensor<2x3xf32>
  %7 = nn.relu %x : tensor<2x3xf32>
  // CHECK: nn.sigmoid %x : tensor<2x3xf32>
  %8 = nn.sigmoid %x : tensor<2x3xf32>
  // CHECK: nn.silu %x : tensor<2x3xf32>
  %9 = nn.silu %x : tensor<2x3xf32>
  // CHECK: nn.hardswish %x : tensor<2x3xf32>
  %10 = nn.hardswish %x : tensor<2x3xf32>
  // CHECK: nn.hardsigmoid %x : tensor<2x3xf32>
  %11 = nn.hardsigmoid %x : tensor<2x3xf32>
  // CHECK: nn.exp %x : tensor<2x3xf32>
  %12 = nn.exp %x : tensor<2x3xf32>
  // CHECK: nn.exp2 %x : tensor<2x3xf32>
  %13 = nn.exp2 %x : tensor<2x3xf32>
  // CHECK: nn.expm1 %x : tensor<2x3xf32>
  %14 = nn.expm1 %x : tensor<2x3xf32>
  // CHECK: nn.log %x : tensor<2x3xf32>
  %15 = nn.log %x : tensor<2x3xf32>
  // CHECK: nn.log2 %x : tensor<2x3xf32>
  %16 = nn.log2 %x : tensor<2x3xf32>
  // CHECK: nn.log10 %x : tensor<2x3xf32>
  %17 = nn.log10 %x : tensor<2x3xf32>
  // CHECK: nn.log1p %x : tensor<2x3xf32>
  %18 = nn.log1p %x : tensor<2x3xf32>
  // CHECK: nn.sqrt %x : tensor<2x3xf32>
  %19 = nn.sqrt %x : tensor<2x3xf32>
  // CHECK: nn.rsqrt %x : tensor<2x3xf32>
  %20 = nn.rsqrt %x : tensor<2x3xf32>
  // CHECK: nn.erf %x : tensor<2x3xf32>
  %21 = nn.erf %x : tensor<2x3xf32>
  // CHECK: nn.erfc %x : tensor<2x3xf32>
  %22 = nn.erfc %x : tensor<2x3xf32>
  // CHECK: nn.sin %x : tensor<2x3xf32>
  %23 = nn.sin %x : tensor<2x3xf32>
  // CHECK: nn.cos %x : tensor<2x3xf32>
  %24 = nn.cos %x : tensor<2x3xf32>
  // CHECK: nn.tan %x : tensor<2x3xf32>
  %25 = nn.tan %x : tensor<2x3xf32>
  // CHECK: nn.asin %x : tensor<2x3xf32>
  %26 = nn.asin %x : tensor<2x3xf32>
  // CHECK: nn.acos %x : tensor<2x3xf32>
  %27 = nn.acos %x : tensor<2x3xf32>
  // CHECK: nn.atan %x : tensor<2x3xf32>
  %28 = nn.atan %x : tensor<2x3xf32>
  // CHECK: nn.sinh %x : tensor<2x3xf32>
  %29 = nn.sinh %x : tensor<2x3xf32>
  // CHECK: nn.cosh %x : tensor<2x3xf32>
  %30 = nn.cosh %x : tensor<2x3xf32>
  // CHECK: nn.tanh %x : tensor<2x3xf32>
  %31 = nn.tanh %x : tensor<2x3xf32>
  // CHECK: nn.asinh %x : tensor<2x3xf32>
  %32 = nn.asinh %x : tensor<2x3xf32>
  // CHECK: nn.acosh %x : tensor<2x3xf32>
  %33 = nn.acosh %x : tensor<2x3xf32>
  // CHECK: nn.atanh %x : tensor<2x3xf32>
  %34 = nn.atanh %x : tensor<2x3xf32>
  // CHECK: nn.neg %i : tensor<2x3xi64>
  %35 = nn.neg %i : tensor<2x3xi64>
  // CHECK: nn.abs %i : tensor<2x3xi64>
  %36 = nn.abs %i : tensor<2x3xi64>
  // CHECK: nn.sign %i : tensor<2x3xi64>
  %37 = nn.sign %i : tensor<2x3xi64>
  // CHECK: nn.bitwise_not %i : tensor<2x3xi64>
  %38 = nn.bitwise_not %i : tensor<2x3xi64>
  // CHECK: nn.bitwise_not %b : tensor<2x3xi1>
  %39 = nn.bitwise_not %b : tensor<2x3xi1>
  // CHECK: nn.relu %i : tensor<2x3xi64>
  %40 = nn.relu %i : tensor<2x3xi64>
  // CHECK: nn.gelu %x {approximate = "none"} : tensor<2x3xf32>
  %41 = nn.gelu %x {approximate = "none"} : tensor<2x3xf32>
  // CHECK: nn.gelu %x {approximate = "tanh"} : tensor<2x3xf32>
  %42 = nn.gelu %x {approximate = "tanh"} : tensor<2x3xf32>
  // CHECK: nn.isnan %x : (tensor<2x3xf32>) -> tensor<2x3xi1>
  %43 = nn.isnan %x : (tensor<2x3xf32>) -> tensor<2x3xi1>
  // CHECK: nn.isinf %x : (tensor<2x3xf32>) -> tensor<2x3xi1>
  %44 = nn.isinf %x : (tensor<2x3xf32>) -> tensor<2x3xi1>
  func.return
}

// CHECK-LABEL: func.func @binary
func.func @binary(%x: tensor<2x3xf32>, %y: tensor<3xf32>, %i: tensor<2x3xi64>, %j: tensor<i64>, %b: tensor<2x3xi1>) {
  // CHECK: nn.add %x, %y : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  %0 = nn.add %x, %y : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  // CHECK: nn.add %i, %j : (tensor<2x3xi64>, tensor<i64>) -> tensor<2x3xi64>
  %1 = nn.add %i, %j : (tensor<2x3xi64>, tensor<i64>) -> tensor<2x3xi64>
  // CHECK: nn.sub %x, %y : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  %2 = nn.sub %x, %y : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  // CHECK: nn.sub %i, %j : (tensor<2x3xi64>, tensor<i64>) -> tensor<2x3xi64>
  %3 = nn.sub %i, %j : (tensor<2x3xi64>, tensor<i64>) -> tensor<2x3xi64>
  // CHECK: nn.mul %x, %y : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  %4 = nn.mul %x, %y : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  // CHECK: nn.mul %i, %j : (tensor<2x3xi64>, tensor<i64>) -> tensor<2x3xi64>
  %5 = nn.mul %i, %j : (tensor<2x3xi64>, tensor<i64>) -> tensor<2x3xi64>
  // CHECK: nn.div %x, %y : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  %6 = nn.div %x, %y : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  // CHECK: nn.div %i, %j : (tensor<2x3xi64>, tensor<i64>) -> tensor<2x3xi64>
  %7 = nn.div %i, %j : (tensor<2x3xi64>, tensor<i64>) -> tensor<2x3xi64>
  // CHECK: nn.floor_divide %x, %y : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  %8 = nn.floor_divide %x, %y : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  // CHECK: nn.floor_divide %i, %j : (tensor<2x3xi64>, tensor<i64>) -> tensor<2x3xi64>
  %9 = nn.floor_divide %i, %j : (tensor<2x3xi64>, tensor<i64>) -> tensor<2x3xi64>
  // CHECK: nn.fmod %x, %y : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  %10 = nn.fmod %x, %y : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  // CHECK: nn.fmod %i, %j : (tensor<2x3xi64>, tensor<i64>) -> tensor<2x3xi64>
  %11 = nn.fmod %i, %j : (tensor<2x3xi64>, tensor<i64>) -> tensor<2x3xi64>
  // CHECK: nn.remainder %x, %y : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  %12 = nn.remainder %x, %y : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  // CHECK: nn.remainder %i, %j : (tensor<2x3xi64>, tensor<i64>) -> tensor<2x3xi64>
  %13 = nn.remainder %i, %j : (tensor<2x3xi64>, tensor<i64>) -> tensor<2x3xi64>
  // CHECK: nn.maximum %x, %y : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  %14 = nn.maximum %x, %y : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  // CHECK: nn.maximum %i, %j : (tensor<2x3xi64>, tensor<i64>) -> tensor<2x3xi64>
  %15 = nn.maximum %i, %j : (tensor<2x3xi64>, tensor<i64>) -> tensor<2x3xi64>
  // CHECK: nn.minimum %x, %y : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  %16 = nn.minimum %x, %y : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  // CHECK: nn.minimum %i, %j : (tensor<2x3xi64>, tensor<i64>) -> tensor<2x3xi64>
  %17 = nn.minimum %i, %j : (tensor<2x3xi64>, tensor<i64>) -> tensor<2x3xi64>
  // CHECK: nn.pow %x, %y : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  %18 = nn.pow %x, %y : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  // CHECK: nn.atan2 %x, %y : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  %19 = nn.atan2 %x, %y : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  // CHECK: nn.copysign %x, %y : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  %20 = nn.copysign %x, %y : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  // CHECK: nn.bitwise_and %i, %j : (tensor<2x3xi64>, tensor<i64>) -> tensor<2x3xi64>
  %21 = nn.bitwise_and %i, %j : (tensor<2x3xi64>, tensor<i64>) -> tensor<2x3xi64>
  // CHECK: nn.bitwise_and %b, %b : (tensor<2x3xi1>, tensor<2x3xi1>) -> tensor<2x3xi1>
  %22 = nn.bitwise_and %b, %b : (tensor<2x3xi1>, tensor<2x3xi1>) -> tensor<2x3xi1>
  // CHECK: nn.bitwise_or %i, %j : (tensor<2x3xi64>, tensor<i64>) -> tensor<2x3xi64>
  %23 = nn.bitwise_or %i, %j : (tensor<2x3xi64>, tensor<i64>) -> tensor<2x3xi64>
  // CHECK: nn.bitwise_or %b, %b : (tensor<2x3xi1>, tensor<2x3xi1>) -> tensor<2x3xi1>
  %24 = nn.bitwise_or %b, %b : (tensor<2x3xi1>, tensor<2x3xi1>) -> tensor<2x3xi1>
  // CHECK: nn.bitwise_xor %i, %j : (tensor<2x3xi64>, tensor<i64>) -> tensor<2x3xi64>
  %25 = nn.bitwise_xor %i, %j : (tensor<2x3xi64>, tensor<i64>) -> tensor<2x3xi64>
  // CHECK: nn.bitwise_xor %b, %b : (tensor<2x3xi1>, tensor<2x3xi1>) -> tensor<2x3xi1>
  %26 = nn.bitwise_xor %b, %b : (tensor<2x3xi1>, tensor<2x3xi1>) -> tensor<2x3xi1>
  // CHECK: nn.shift_left %i, %j : (tensor<2x3xi64>, tensor<i64>) -> tensor<2x3xi64>
  %27 = nn.shift_left %i, %j : (tensor<2x3xi64>, tensor<i64>) -> tensor<2x3xi64>
  // CHECK: nn.shift_right %i, %j : (tensor<2x3xi64>, tensor<i64>) -> tensor<2x3xi64>
  %28 = nn.shift_right %i, %j : (tensor<2x3xi64>, tensor<i64>) -> tensor<2x3xi64>
  // CHECK: nn.eq %x, %y : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xi1>
  %29 = nn.eq %x, %y : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xi1>
  // CHECK: nn.eq %i, %j : (tensor<2x3xi64>, tensor<i64>) -> tensor<2x3xi1>
  %30 = nn.eq %i, %j : (tensor<2x3xi64>, tensor<i64>) -> tensor<2x3xi1>
  // CHECK: nn.eq %b, %b : (tensor<2x3xi1>, tensor<2x3xi1>) -> tensor<2x3xi1>
  %31 = nn.eq %b, %b : (tensor<2x3xi1>, tensor<2x3xi1>) -> tensor<2x3xi1>
  // CHECK: nn.ne %x, %y : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xi1>
  %32 = nn.ne %x, %y : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xi1>
  // CHECK: nn.ne %i, %j : (tensor<2x3xi64>, tensor<i64>) -> tensor<2x3xi1>
  %33 = nn.ne %i, %j : (tensor<2x3xi64>, tensor<i64>) -> tensor<2x3xi1>
  // CHECK: nn.ne %b, %b : (tensor<2x3xi1>, tensor<2x3xi1>) -> tensor<2x3xi1>
  %34 = nn.ne %b, %b : (tensor<2x3xi1>, tensor<2x3xi1>) -> tensor<2x3xi1>
  // CHECK: nn.lt %x, %y : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xi1>
  %35 = nn.lt %x, %y : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xi1>
  // CHECK: nn.lt %i, %j : (tensor<2x3xi64>, tensor<i64>) -> tensor<2x3xi1>
  %36 = nn.lt %i, %j : (tensor<2x3xi64>, tensor<i64>) -> tensor<2x3xi1>
  // CHECK: nn.lt %b, %b : (tensor<2x3xi1>, tensor<2x3xi1>) -> tensor<2x3xi1>
  %37 = nn.lt %b, %b : (tensor<2x3xi1>, tensor<2x3xi1>) -> tensor<2x3xi1>
  // CHECK: nn.le %x, %y : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xi1>
  %38 = nn.le %x, %y : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xi1>
  // CHECK: nn.le %i, %j : (tensor<2x3xi64>, tensor<i64>) -> tensor<2x3xi1>
  %39 = nn.le %i, %j : (tensor<2x3xi64>, tensor<i64>) -> tensor<2x3xi1>
  // CHECK: nn.le %b, %b : (tensor<2x3xi1>, tensor<2x3xi1>) -> tensor<2x3xi1>
  %40 = nn.le %b, %b : (tensor<2x3xi1>, tensor<2x3xi1>) -> tensor<2x3xi1>
  // CHECK: nn.gt %x, %y : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xi1>
  %41 = nn.gt %x, %y : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xi1>
  // CHECK: nn.gt %i, %j : (tensor<2x3xi64>, tensor<i64>) -> tensor<2x3xi1>
  %42 = nn.gt %i, %j : (tensor<2x3xi64>, tensor<i64>) -> tensor<2x3xi1>
  // CHECK: nn.gt %b, %b : (tensor<2x3xi1>, tensor<2x3xi1>) -> tensor<2x3xi1>
  %43 = nn.gt %b, %b : (tensor<2x3xi1>, tensor<2x3xi1>) -> tensor<2x3xi1>
  // CHECK: nn.ge %x, %y : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xi1>
  %44 = nn.ge %x, %y : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xi1>
  // CHECK: nn.ge %i, %j : (tensor<2x3xi64>, tensor<i64>) -> tensor<2x3xi1>
  %45 = nn.ge %i, %j : (tensor<2x3xi64>, tensor<i64>) -> tensor<2x3xi1>
  // CHECK: nn.ge %b, %b : (tensor<2x3xi1>, tensor<2x3xi1>) -> tensor<2x3xi1>
  %46 = nn.ge %b, %b : (tensor<2x3xi1>, tensor<2x3xi1>) -> tensor<2x3xi1>
  func.return
}

// CHECK-LABEL: func.func @selection_and_casts
func.func @selection_and_casts(%b: tensor<2x1xi1>, %x: tensor<3xbf16>, %y: tensor<bf16>) {
  // CHECK: nn.where %b, %x, %y : (tensor<2x1xi1>, tensor<3xbf16>, tensor<bf16>) -> tensor<2x3xbf16>
  %0 = nn.where %b, %x, %y : (tensor<2x1xi1>, tensor<3xbf16>, tensor<bf16>) -> tensor<2x3xbf16>
  // CHECK: nn.cast %x : tensor<3xbf16> to tensor<3xi32>
  %1 = nn.cast %x : tensor<3xbf16> to tensor<3xi32>
  // CHECK: nn.cast %b : tensor<2x1xi1> to tensor<2x1xf32>
  %2 = nn.cast %b : tensor<2x1xi1> to tensor<2x1xf32>
  func.return
}
