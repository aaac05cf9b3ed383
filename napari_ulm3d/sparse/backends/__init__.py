"""What computes a sparse convolution: PyTorch, tables of neighbours on a GPU, or spconv."""
