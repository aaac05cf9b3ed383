"""Tubes and networks with flow, and the tracks of bubbles in them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import LinkConfig, MapConfig
from napari_ulm3d.maps import accumulate
from napari_ulm3d.simulate.flow import FlowConfig, solve_flow
from napari_ulm3d.simulate.tracks import observed_tracks
from napari_ulm3d.simulate.vasculature import VesselNetwork, procedural_network, read_swc, smoothed
from napari_ulm3d.tables import Tracks
from napari_ulm3d.volumes import VesselMap

__all__ = ["curved", "grid_of", "grown", "observed", "straight", "traced", "y_shape"]

_VOXEL_UM = 98.56
RATE_HZ = 260.0
_MM_S_UM2 = 0.06


def grid_of(size_um: float) -> Grid:
    """A cubic grid with the voxels of a 15 MHz acquisition."""
    n = max(3, int(np.ceil(size_um / _VOXEL_UM)))
    return Grid((n, n, n), (_VOXEL_UM,) * 3)


def _tubes(
    paths: list[NDArray[np.float64]], diameters: list[float], speeds: list[float]
) -> VesselNetwork:
    """Tubes around polylines, joined at common points."""
    points = np.concatenate(paths)
    places, index = np.unique(points.round(6), axis=0, return_inverse=True)
    index = index.ravel()
    segments, radius, flow, start = [], [], [], 0
    for path, diameter, speed in zip(paths, diameters, speeds, strict=True):
        at = index[start : start + len(path)]
        start += len(path)
        segments.append(np.stack([at[:-1], at[1:]], axis=1))
        radius += [diameter / 2] * (len(path) - 1)
        flow += [speed * np.pi * (diameter / 2) ** 2 * _MM_S_UM2] * (len(path) - 1)
    return VesselNetwork(places, np.concatenate(segments), np.array(radius), np.array(flow))


def straight(diameter: float, speed: float, size: float) -> VesselNetwork:
    """One straight tube, oblique to the voxels."""
    a, b = np.array([0.1, 0.3, 0.35]) * size, np.array([0.85, 0.6, 0.55]) * size
    return _tubes([np.linspace(a, b, 60)], [diameter], [speed])


def curved(diameter: float, speed: float, size: float) -> VesselNetwork:
    """One and a half turns of a helix."""
    t = np.linspace(0, 3 * np.pi, 160)
    turn = max(0.2 * size, 1.2 * diameter)
    path = np.stack(
        [(0.1 + 0.75 * t / t[-1]) * size, size / 2 + turn * np.cos(t), size / 2 + turn * np.sin(t)],
        axis=1,
    )
    return _tubes([path], [diameter], [speed])


def y_shape(diameter: float, speed: float, size: float) -> VesselNetwork:
    """A tube that divides into two of 0.85 and 0.73 of its diameter (Murray: r^3 is conserved)."""
    fork = np.array([0.42, 0.5, 0.5]) * size
    ends = [np.array(p) * size for p in ((0.08, 0.5, 0.5), (0.88, 0.25, 0.4), (0.88, 0.78, 0.6))]
    shares = 0.85**3, 1 - 0.85**3
    narrow = [diameter * s ** (1 / 3) for s in shares]
    speeds = [speed * s * diameter**2 / d**2 for s, d in zip(shares, narrow, strict=True)]
    paths = [np.linspace(ends[0], fork, 40), *(np.linspace(fork, e, 40) for e in ends[1:])]
    return _tubes(paths, [diameter, *narrow], [speed, *speeds])


def grown(grid: Grid, seed: int = 4) -> VesselNetwork:
    """A grown cortex at its own scale; seed 3 and the tree seg4 are reserved for choosing settings."""
    return solve_flow(procedural_network(grid, seed), None, FlowConfig(max_speed_mm_s=15.0))


def traced(path: Path, grid: Grid) -> VesselNetwork:
    """A tree traced in two-photon stacks, scaled to cover the grid."""
    tree = smoothed(read_swc(path), 8.0).fitted_to(grid, "cover").largest_component()
    return solve_flow(tree, None, FlowConfig(max_speed_mm_s=15.0))


def observed(
    network: VesselNetwork, grid: Grid, n_bubbles: float, n_frames: int, seed: int = 0
) -> tuple[Tracks, VesselMap]:
    """Tracks and density map of bubbles localized with errors.

    In each frame 5 % of bubbles are missed and 2 % of localizations are false; linking is that of
    the package.
    """
    tracks = observed_tracks(
        network, grid, n_bubbles=n_bubbles, n_frames=n_frames, rate_hz=RATE_HZ,
        config=LinkConfig(min_length_frames=9), seed=seed,
    )  # fmt: skip
    return tracks, accumulate(tracks, grid, MapConfig(fsc=False))["density"]
