"""Correctness and speed on a GPU, or of the GPU's code on a CPU."""
