"""Backends of sparse convolutions: PyTorch, tables of neighbours on a GPU, or spconv."""
