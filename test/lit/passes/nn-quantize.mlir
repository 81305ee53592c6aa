// RUN: swkpu-opt %s -p 'nn-quantize{precision=bf16}' | filecheck %s
// RUN: swkpu-opt %s -p 'nn-quantize{precision=fp16}' | filecheck %s --check-prefix=FP16
// RUN: swkpu-opt %s -p 'nn-quantize{precision=fp32}' | filecheck %s --check-prefix=FP32

// Conv, bias, residual and relu round once, at their end. The weight is rounded, the bias stays f32.
// CHECK-LABEL: func.func @residual(%x: tensor<1x1x4x4xbf16>) -> tensor<1x1x4x4xf32> {
// CHECK-NEXT:    %w = nn.constant dense<1.000000e+00> : tensor<1x1x1x1xbf16>
// CHECK-NEXT:    %b = nn.constant dense<1.0039{{[0-9]*}}{{(e\+00)?}}> : tensor<1x1x1x1xf32>
// CHECK-NEXT:    %c = nn.conv2d %x, %w {{.*}} : (tensor<1x1x4x4xbf16>, tensor<1x1x1x1xbf16>) -> tensor<1x1x4x4xf32>
// CHECK-NEXT:    %cb = nn.add %c, %b {{.*}} -> tensor<1x1x4x4xf32>
// CHECK-NEXT:    %x_1 = nn.cast %x : tensor<1x1x4x4xbf16> to tensor<1x1x4x4xf32>
// CHECK-NEXT:    %s = nn.add %cb, %x_1
// CHECK-NEXT:    %r = nn.relu %s : tensor<1x1x4x4xf32>
// CHECK-NEXT:    %r_1 = nn.cast %r : tensor<1x1x4x4xf32> to tensor<1x1x4x4xbf16>
// CHECK-NEXT:    %d = nn.conv2d %r_1, %w
// CHECK-NEXT:    func.return %d : tensor<1x1x4x4xf32>
// FP16-LABEL: func.func @residual(%x: tensor<1x1x4x4xf16>) -> tensor<1x1x4x4xf32> {
// FP16-NEXT:    %w = nn.constant dense<1.0039{{[0-9]*}}{{(e\+00)?}}> : tensor<1x1x1x1xf16>
// FP32-LABEL: func.func @residual(%x: tensor<1x1x4x4xf32>) -> tensor<1x1x4x4xf32> {
// FP32-NOT:     nn.cast
func.func @residual(%x: tensor<1x1x4x4xf32>) -> tensor<1x1x4x4xf32> {
  %w = "nn.constant"() <{value = dense<1.00390625> : tensor<1x1x1x1xf32>}> : () -> tensor<1x1x1x1xf32>
  %b = "nn.constant"() <{value = dense<1.00390625> : tensor<1x1x1x1xf32>}> : () -> tensor<1x1x1x1xf32>
  %c = nn.conv2d %x, %w stride [1, 1] padding [0, 0, 0, 0] dilation [1, 1] groups [1] : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
  %cb = nn.add %c, %b : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
  %s = nn.add %cb, %x : (tensor<1x1x4x4xf32>, tensor<1x1x4x4xf32>) -> tensor<1x1x4x4xf32>
  %r = nn.relu %s : tensor<1x1x4x4xf32>
  %d = nn.conv2d %r, %w stride [1, 1] padding [0, 0, 0, 0] dilation [1, 1] groups [1] : (tensor<1x1x4x4xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x4x4xf32>
  func.return %d : tensor<1x1x4x4xf32>
}

// Of two branches, the later one is absorbed by the add; the earlier one is stored, so it is rounded.
// CHECK-LABEL: func.func @two_branches
// CHECK:         %a = nn.linear %x, %w
// CHECK-NEXT:    %a_1 = nn.cast %a : tensor<2x2xf32> to tensor<2x2xbf16>
// CHECK-NEXT:    %b = nn.linear %x, %w
// CHECK-NEXT:    %a_2 = nn.cast %a_1 : tensor<2x2xbf16> to tensor<2x2xf32>
// CHECK-NEXT:    %s = nn.add %a_2, %b
// CHECK-NEXT:    func.return %s
func.func @two_branches(%x: tensor<2x2xf32>, %w: tensor<2x2xf32>) -> tensor<2x2xf32> {
  %a = nn.linear %x, %w : (tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<2x2xf32>
  %b = nn.linear %x, %w : (tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<2x2xf32>
  %s = nn.add %a, %b : (tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<2x2xf32>
  func.return %s : tensor<2x2xf32>
}

// A value with two uses is stored once, and each f32 use casts it back.
// CHECK-LABEL: func.func @two_uses
// CHECK:         %a = nn.linear %x, %w
// CHECK-NEXT:    %a_1 = nn.cast %a : tensor<2x2xf32> to tensor<2x2xbf16>
// CHECK-NEXT:    %a_2 = nn.cast %a_1 : tensor<2x2xbf16> to tensor<2x2xf32>
// CHECK-NEXT:    %r = nn.relu %a_2
// CHECK-NEXT:    %a_3 = nn.cast %a_1 : tensor<2x2xbf16> to tensor<2x2xf32>
// CHECK-NEXT:    func.return %r, %a_3
func.func @two_uses(%x: tensor<2x2xf32>, %w: tensor<2x2xf32>) -> (tensor<2x2xf32>, tensor<2x2xf32>) {
  %a = nn.linear %x, %w : (tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<2x2xf32>
  %r = nn.relu %a : tensor<2x2xf32>
  func.return %r, %a : tensor<2x2xf32>, tensor<2x2xf32>
}

// A producer that is broadcast is not absorbed.
// CHECK-LABEL: func.func @gate
// CHECK:         %m = nn.mean %x dims [1] {keepdim = true} : (tensor<2x4xbf16>) -> tensor<2x1xf32>
// CHECK-NEXT:    %g = nn.sigmoid %m
// CHECK-NEXT:    %g_1 = nn.cast %g : tensor<2x1xf32> to tensor<2x1xbf16>
// CHECK-NEXT:    %x_1 = nn.cast %x
// CHECK-NEXT:    %g_2 = nn.cast %g_1 : tensor<2x1xbf16> to tensor<2x1xf32>
// CHECK-NEXT:    %y = nn.mul %x_1, %g_2
func.func @gate(%x: tensor<2x4xf32>) -> tensor<2x4xf32> {
  %m = nn.mean %x dims [1] {keepdim = true} : (tensor<2x4xf32>) -> tensor<2x1xf32>
  %g = nn.sigmoid %m : tensor<2x1xf32>
  %y = nn.mul %x, %g : (tensor<2x4xf32>, tensor<2x1xf32>) -> tensor<2x4xf32>
  func.return %y : tensor<2x4xf32>
}

// Max pools and movement pick elements: they work on the storage type and round nothing.
// CHECK-LABEL: func.func @selections
// CHECK-NEXT:    %p = nn.max_pool2d %x {{.*}} : (tensor<1x2x4x4xbf16>) -> tensor<1x2x2x2xbf16>
// CHECK-NEXT:    %f = nn.reshape %p : tensor<1x2x2x2xbf16> to tensor<1x8xbf16>
// CHECK-NEXT:    %f_1 = nn.cast %f : tensor<1x8xbf16> to tensor<1x8xf32>
// CHECK-NEXT:    func.return %f_1 : tensor<1x8xf32>
func.func @selections(%x: tensor<1x2x4x4xf32>) -> tensor<1x8xf32> {
  %p = nn.max_pool2d %x kernel [2, 2] stride [2, 2] padding [0, 0, 0, 0] dilation [1, 1] {ceil_mode = false} : (tensor<1x2x4x4xf32>) -> tensor<1x2x2x2xf32>
  %f = nn.reshape %p : tensor<1x2x2x2xf32> to tensor<1x8xf32>
  func.return %f : tensor<1x8xf32>
}

// What is not f32 is left alone.
// CHECK-LABEL: func.func @integers(%i: tensor<4xi64>, %h: tensor<4xf16>)
// CHECK-NEXT:    %r = nn.reshape %i : tensor<4xi64> to tensor<2x2xi64>
// CHECK-NEXT:    func.return %r, %h : tensor<2x2xi64>, tensor<4xf16>
func.func @integers(%i: tensor<4xi64>, %h: tensor<4xf16>) -> (tensor<2x2xi64>, tensor<4xf16>) {
  %r = nn.reshape %i : tensor<4xi64> to tensor<2x2xi64>
  func.return %r, %h : tensor<2x2xi64>, tensor<4xf16>
}
