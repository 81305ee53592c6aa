// RUN: swkpu-opt %s --verify-diagnostics --split-input-file | filecheck %s

func.func @any_of_floats(%x: tensor<4xf32>) {
  // CHECK: nn.any takes i1, got tensor<4xf32>
  %0 = nn.any %x dims [0] {keepdim = false} : (tensor<4xf32>) -> tensor<f32>
  func.return
}

// -----

func.func @argmax_dim(%x: tensor<4xf32>) {
  // CHECK: dim must be within a tensor of rank 1, got 1
  %0 = nn.argmax %x dim 1 {keepdim = true} : (tensor<4xf32>) -> tensor<4xi64>
  func.return
}

// -----

func.func @softmax_of_integers(%x: tensor<4xi32>) {
  // CHECK: nn.softmax takes floats, got tensor<4xi32>
  %0 = nn.softmax %x dim 0 : (tensor<4xi32>) -> tensor<4xf32>
  func.return
}

// -----

func.func @layer_norm_weight(%x: tensor<2x4xf32>, %w: tensor<2xf32>) {
  // CHECK: expected weight and bias of shape (4,), got tensor<2xf32>
  %0 = nn.layer_norm %x dims 1 weight %w : tensor<2xf32> {eps = 1.0e-3 : f32} : tensor<2x4xf32> to tensor<2x4xf32>
  func.return
}

// -----

func.func @layer_norm_dims(%x: tensor<2x4xf32>) {
  // CHECK: expected 1 to 2 trailing dims of tensor<2x4xf32>, got 3
  %0 = nn.layer_norm %x dims 3 {eps = 1.0e-3 : f32} : tensor<2x4xf32> to tensor<2x4xf32>
  func.return
}

// -----

func.func @groups(%x: tensor<2x4x5xf32>) {
  // CHECK: cannot cut the channels (dim 1) of tensor<2x4x5xf32> into 3 groups
  %0 = nn.group_norm %x groups 3 {eps = 1.0e-3 : f32} : tensor<2x4x5xf32> to tensor<2x4x5xf32>
  func.return
}

// -----

func.func @attention(%q: tensor<5x8xf32>, %k: tensor<7x4xf32>) {
  // CHECK: expected [..., L, E], [..., S, E] and [..., S, Ev], got tensor<5x8xf32>, tensor<7x4xf32> and tensor<7x4xf32>
  %0 = nn.sdpa %q, %k, %k {scale = 1.0 : f32, causal = false} : (tensor<5x8xf32>, tensor<7x4xf32>, tensor<7x4xf32>) -> tensor<5x4xf32>
  func.return
}

// -----

func.func @attention_mask(%q: tensor<5x8xf32>, %m: tensor<2x5x5xf32>) {
  // CHECK: a mask of tensor<2x5x5xf32> does not broadcast to (5, 5)
  %0 = nn.sdpa %q, %q, %q mask %m {scale = 1.0 : f32, causal = false} : (tensor<5x8xf32>, tensor<5x8xf32>, tensor<5x8xf32>, tensor<2x5x5xf32>) -> tensor<5x8xf32>
  func.return
}
