"""The steps before a network for frames on a PyTorch device, without synchronization.

Each agrees with its NumPy counterpart to rounding errors; on a CPU the latter is faster.
"""

from __future__ import annotations

from napari_ulm3d.filtering.device.clutter import leading_components, remove_leading
from napari_ulm3d.filtering.device.correlation import correlation_map
from napari_ulm3d.filtering.device.noise import noise_level

__all__ = ["correlation_map", "leading_components", "noise_level", "remove_leading"]
