"""From Q/DQ form to integers: what each operator of floats is on quantized tensors."""
