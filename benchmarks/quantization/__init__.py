"""How accurate quantized models are, ours beside PyTorch's and onnxruntime's."""
