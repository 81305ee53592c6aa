// RUN: swkpu-opt %s --verify-diagnostics --split-input-file | filecheck %s

func.func @dynamic(%x: tensor<?x4xf32>) {
  // CHECK: expected tensors of static shape, got tensor<?x4xf32>
  %0 = nn.relu %x : tensor<?x4xf32>
  func.return
}
