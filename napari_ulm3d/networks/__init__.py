"""The networks, one per file, and their weight files.

`DeepSTULM` (dense) and `SparseDeepSTULM` are the networks of Rauby et al. (arXiv 2402.09359), from
complex frames to one super-resolved volume of trajectories. `MaskCNN` selects the voxels to keep.
`BubbleNet` localizes bubbles on the input's voxels. `CompletionNet`, `SuperResolutionNet` and
`SegmentationNet` (in `volumes`) process whole vessel maps. All are built by name with
`registry.build` and loaded with `weights.load_network`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_ulm3d._lazy import lazily

if TYPE_CHECKING:
    from napari_ulm3d.networks.architecture import DeepSTULMConfig, SparseDeepSTULMConfig
    from napari_ulm3d.networks.deepstulm import DeepSTULM
    from napari_ulm3d.networks.mask_cnn import MaskCNN, MaskCNNConfig
    from napari_ulm3d.networks.memory import stored_bytes
    from napari_ulm3d.networks.registry import ARCHITECTURES, PRESETS, build, preset
    from napari_ulm3d.networks.sparse_deepstulm import SparseDeepSTULM, TrajectoryPrediction
    from napari_ulm3d.networks.weights import (
        WeightsCard,
        load_network,
        read_card,
        save_weights,
        shipped_weights,
        weights_hash,
    )

__all__ = [
    "ARCHITECTURES",
    "PRESETS",
    "DeepSTULM",
    "DeepSTULMConfig",
    "MaskCNN",
    "MaskCNNConfig",
    "SparseDeepSTULM",
    "SparseDeepSTULMConfig",
    "TrajectoryPrediction",
    "WeightsCard",
    "build",
    "load_network",
    "preset",
    "read_card",
    "save_weights",
    "shipped_weights",
    "stored_bytes",
    "weights_hash",
]

_WHERE = {
    "ARCHITECTURES": "registry",
    "PRESETS": "registry",
    "DeepSTULM": "deepstulm",
    "DeepSTULMConfig": "architecture",
    "MaskCNN": "mask_cnn",
    "MaskCNNConfig": "mask_cnn",
    "SparseDeepSTULM": "sparse_deepstulm",
    "SparseDeepSTULMConfig": "architecture",
    "TrajectoryPrediction": "sparse_deepstulm",
    "WeightsCard": "weights",
    "build": "registry",
    "load_network": "weights",
    "preset": "registry",
    "read_card": "weights",
    "save_weights": "weights",
    "shipped_weights": "weights",
    "stored_bytes": "memory",
    "weights_hash": "weights",
}


# Loaded on first use, because importing torch takes a second or two.
__getattr__ = lazily(globals(), _WHERE)
