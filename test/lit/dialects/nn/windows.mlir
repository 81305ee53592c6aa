// RUN: swkpu-opt %s | swkpu-opt | filecheck %s
// RUN: swkpu-opt %s --print-op-generic | swkpu-opt | filecheck %s

// CHECK-LABEL: func.func @pools
func.func @pools(%x: tensor<1x4x5x9x9xf16>, %y: tensor<1x4x9x7xi8>) {
  // CHECK: nn.max_pool3d %x kernel [2, 3, 3] stride [1, 2, 2] padding [0, 0, 1, 1, 1, 1] dilation [1, 1, 1] {ceil_mode = false} : (tensor<1x4x5x9x9xf16>) -> tensor<1x4x4x5x5xf16>
  %0 = nn.max_pool3d %x kernel [2, 3, 3] stride [1, 2, 2] padding [0, 0, 1, 1, 1, 1] dilation [1, 1, 1] {ceil_mode = false} : (tensor<1x4x5x9x9xf16>) -> tensor<1x4x4x5x5xf16>
  // CHECK: nn.avg_pool3d %x kernel [2, 2, 2] stride [2, 2, 2] padding [0, 0, 0, 0, 0, 0] dilation [1, 1, 1] {ceil_mode = true, count_include_pad = true, divisor = 3 : i64} : (tensor<1x4x5x9x9xf16>) -> tensor<1x4x3x5x5xf32>
  %1 = nn.avg_pool3d %x kernel [2, 2, 2] stride [2, 2, 2] padding [0, 0, 0, 0, 0, 0] dilation [1, 1, 1] {ceil_mode = true, count_include_pad = true, divisor = 3 : i64} : (tensor<1x4x5x9x9xf16>) -> tensor<1x4x3x5x5xf32>
  // CHECK: nn.adaptive_avg_pool2d %y size [4, 2] : (tensor<1x4x9x7xi8>) -> tensor<1x4x4x2xi32>
  %2 = nn.adaptive_avg_pool2d %y size [4, 2] : (tensor<1x4x9x7xi8>) -> tensor<1x4x4x2xi32>
  // CHECK: nn.adaptive_max_pool2d %y size [4, 2] : (tensor<1x4x9x7xi8>) -> tensor<1x4x4x2xi8>
  %3 = nn.adaptive_max_pool2d %y size [4, 2] : (tensor<1x4x9x7xi8>) -> tensor<1x4x4x2xi8>
  // CHECK: nn.adaptive_avg_pool3d %x size [2, 4, 4] : (tensor<1x4x5x9x9xf16>) -> tensor<1x4x2x4x4xf32>
  %4 = nn.adaptive_avg_pool3d %x size [2, 4, 4] : (tensor<1x4x5x9x9xf16>) -> tensor<1x4x2x4x4xf32>
  // CHECK: nn.adaptive_max_pool3d %x size [2, 4, 4] : (tensor<1x4x5x9x9xf16>) -> tensor<1x4x2x4x4xf16>
  %5 = nn.adaptive_max_pool3d %x size [2, 4, 4] : (tensor<1x4x5x9x9xf16>) -> tensor<1x4x2x4x4xf16>
  func.return
}

// CHECK-LABEL: func.func @resize
func.func @resize(%x: tensor<1x4x6x8xbf16>) {
  // CHECK: nn.resize %x mode "nearest" size [12, 16] {align_corners = false} : (tensor<1x4x6x8xbf16>) -> tensor<1x4x12x16xbf16>
  %0 = nn.resize %x mode "nearest" size [12, 16] {align_corners = false} : (tensor<1x4x6x8xbf16>) -> tensor<1x4x12x16xbf16>
  // CHECK: nn.resize %x mode "nearest-exact" size [9, 3] {align_corners = false} : (tensor<1x4x6x8xbf16>) -> tensor<1x4x9x3xbf16>
  %1 = nn.resize %x mode "nearest-exact" size [9, 3] {align_corners = false} : (tensor<1x4x6x8xbf16>) -> tensor<1x4x9x3xbf16>
  // CHECK: nn.resize %x mode "linear" size [12, 16] {align_corners = true} : (tensor<1x4x6x8xbf16>) -> tensor<1x4x12x16xf32>
  %2 = nn.resize %x mode "linear" size [12, 16] {align_corners = true} : (tensor<1x4x6x8xbf16>) -> tensor<1x4x12x16xf32>
  // CHECK: nn.resize %x mode "cubic" size [15, 20] {align_corners = false, scales = array<f64: 2.600000e+00, 2.500000e+00>} : (tensor<1x4x6x8xbf16>) -> tensor<1x4x15x20xf32>
  %3 = nn.resize %x mode "cubic" size [15, 20] {align_corners = false, scales = array<f64: 2.600000e+00, 2.500000e+00>} : (tensor<1x4x6x8xbf16>) -> tensor<1x4x15x20xf32>
  func.return
}
