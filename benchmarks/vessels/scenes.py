"""Scenes not used in training: maps of a share of an acquisition, with ground truth."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.config import MapConfig
from napari_ulm3d.maps import accumulate
from napari_ulm3d.tables import Tracks
from napari_ulm3d.train.volumes.config import VolumeDataConfig
from napari_ulm3d.train.volumes.scenes import draw_flow_scene, turning
from napari_ulm3d.train.volumes.windows import VolumeWindow, cut_window, place_window
from napari_ulm3d.volumes import VesselMap

__all__ = ["DATA", "TEST", "VALIDATION", "Scene", "scenes"]

VALIDATION, TEST = 8_600_000_000, 9_000_500_000
DATA = VolumeDataConfig(flat_share=0.0)


@dataclass(frozen=True)
class Scene:
    """A map with its ground truth.

    Attributes
    ----------
    share
        Share of the acquisition in the map.
    maps
        Maps by name.
    true
        Lumen voxels visited in the whole acquisition, 2^doublings times as fine as the map.
    window
        The same as a training window.
    tracks, paths
        Measured and true positions.
    """

    share: float
    maps: Mapping[str, VesselMap]
    true: NDArray[np.bool_]
    window: VolumeWindow
    tracks: Tracks
    paths: Tracks


def scenes(
    first: int,
    count: int,
    trees: Sequence[str],
    shares: Sequence[float],
    side: int = 64,
    edge_um: float = 10.0,
    doublings: int = 0,
    data: VolumeDataConfig = DATA,
) -> list[Scene]:
    """Each scene at each share of its acquisition."""
    out = []
    for k in range(count):
        scene = draw_flow_scene(first + k, data, trees if k % 2 == 0 else ())
        for share in shares:
            rng = np.random.default_rng(first + k)
            matrix = turning(rng, data.upright)
            grid, network, tracks, paths = place_window(scene, share, matrix, edge_um, side, rng)
            maps = accumulate(tracks, grid, MapConfig(resolution_factor=1.0, fsc=False))
            window = cut_window(network, tracks, paths, grid, doublings)
            true = np.zeros(window.fine.shape, bool)
            true.ravel()[window.target] = True
            if true.any():
                out.append(Scene(share, maps, true, window, tracks, paths))
    return out
