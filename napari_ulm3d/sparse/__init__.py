"""Sparse tensors for networks in 2, 3 and 4 dimensions: coordinates, kernel maps and layers.

The voxels kept by a sparsification form a `SparseTensor`: integer coordinates with a row of
features each. Layers process only these rows, so time and memory scale with the number of
kept voxels, not with the volume (Graham, Engelcke and van der Maaten, CVPR 2018; Choy, Gwak and
Savarese, CVPR 2019). Modules, parameters and weight files are shared by two backends: plain
PyTorch on any device, which is the reference, and spconv on CUDA.

This package imports torch; `import napari_ulm3d` does not import it.
"""

from __future__ import annotations

from napari_ulm3d.sparse.backends.backend import (
    Backend,
    convolve,
    resolve_backend,
    without_autocast,
)
from napari_ulm3d.sparse.backends.spconv_check import Convolution
from napari_ulm3d.sparse.convolution import (
    InverseConv,
    SparseConv,
    SparseTransposedConv,
    SubmanifoldConv,
)
from napari_ulm3d.sparse.coordinates import Coordinates
from napari_ulm3d.sparse.forms import tables_everywhere, uses_tables
from napari_ulm3d.sparse.kernel_maps import KernelMap, kernel_map, submanifold_map
from napari_ulm3d.sparse.normalization import (
    ELU,
    BatchNorm,
    ChannelNorm,
    Linear,
    Pointwise,
    ReLU,
    Sigmoid,
)
from napari_ulm3d.sparse.pooling import MaxPool, TimePool, prepare
from napari_ulm3d.sparse.reuse import Reuse
from napari_ulm3d.sparse.structure import add, align, concatenate, prune
from napari_ulm3d.sparse.tensor import SparseTensor

__all__ = [
    "ELU",
    "Backend",
    "BatchNorm",
    "ChannelNorm",
    "Convolution",
    "Coordinates",
    "InverseConv",
    "KernelMap",
    "Linear",
    "MaxPool",
    "Pointwise",
    "ReLU",
    "Reuse",
    "Sigmoid",
    "SparseConv",
    "SparseTensor",
    "SparseTransposedConv",
    "SubmanifoldConv",
    "TimePool",
    "add",
    "align",
    "concatenate",
    "convolve",
    "kernel_map",
    "prepare",
    "prune",
    "resolve_backend",
    "submanifold_map",
    "tables_everywhere",
    "uses_tables",
    "without_autocast",
]
