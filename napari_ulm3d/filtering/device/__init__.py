"""The steps before a network on frames that lie on a PyTorch device, without waiting for it.

Each does what its counterpart for NumPy arrays does, to rounding; on a CPU those are faster.
"""

from __future__ import annotations

from napari_ulm3d.filtering.device.clutter import leading_components, remove_leading
from napari_ulm3d.filtering.device.correlation import correlation_map
from napari_ulm3d.filtering.device.noise import noise_level

__all__ = ["correlation_map", "leading_components", "noise_level", "remove_leading"]
