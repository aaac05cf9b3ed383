"""Gaussian smoothing of maps over the occupied part of the grid.

Counts are convolved directly, which preserves their sum. Means (speed, axial velocity) are
averaged over the tracks within reach of the Gaussian: sums and counts are convolved separately,
then divided (normalized convolution; Knutsson & Westin, CVPR 1993), so that empty voxels
do not pull the border of a vessel towards zero.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.volumes import VesselMap

__all__ = ["smooth_counts", "smooth_maps", "smooth_means"]

# The Gaussian is truncated after this many standard deviations.
_REACH = 3.0
# Beyond this many standard deviations from a single straight track, a smoothed map is empty.
_KEPT_WITHIN = 2.0
_VOXELS_AT_ONCE = 1 << 24


def smooth_maps(maps: dict[str, VesselMap], sigma_um: float) -> dict[str, VesselMap]:
    """Smooth vessel maps with a Gaussian; 0 returns them unchanged.

    Parameters
    ----------
    maps
        ``density``, and any of ``speed``, ``velocity_z`` (means over the tracks in a voxel)
        and ``direction`` (signed counts), on one grid. Other maps are not changed.
    sigma_um
        Standard deviation, micrometres.
    """
    if sigma_um <= 0 or "density" not in maps:
        return maps
    density = maps["density"]
    out = dict(maps)
    for name in ("density", "direction"):
        if name in maps:
            out[name] = smooth_counts(maps[name], sigma_um)
    for name in ("speed", "velocity_z"):
        if name in maps:
            out[name] = smooth_means(maps[name], density, sigma_um)
    return out


def smooth_counts(counts: VesselMap, sigma_um: float) -> VesselMap:
    """Convolve counts, or signed counts, with a Gaussian of standard deviation `sigma_um`.

    Voxels further than two standard deviations from every track stay empty; axes with one
    voxel are not smoothed.
    """
    sigma = _sigma_voxels(counts, sigma_um)
    # Signed counts can cancel; their magnitude shows where tracks were.
    magnitude = (
        VesselMap(counts.name, counts.grid, counts.index, np.abs(counts.values))
        if (counts.values < 0).any()
        else counts
    )
    return _gathered(counts, _convolved((counts, magnitude), sigma), sigma, mean=False)


def smooth_means(mean: VesselMap, counts: VesselMap, sigma_um: float) -> VesselMap:
    """Smooth the means over each voxel's tracks, weighted by the number of tracks.

    Parameters
    ----------
    mean
        If it is empty in a voxel of `counts`, the mean is zero.
    counts
        Number of tracks in each voxel, on the same grid.
    sigma_um
        Standard deviation, micrometres.
    """
    if mean.grid != counts.grid:
        raise ValueError("means and counts must share one grid")
    sigma = _sigma_voxels(mean, sigma_um)
    weight = counts.values[np.searchsorted(counts.index, mean.index)]
    sums = VesselMap(mean.name, mean.grid, mean.index, mean.values * weight)
    return _gathered(mean, _convolved((sums, counts), sigma), sigma, mean=True)


def _sigma_voxels(vessel_map: VesselMap, sigma_um: float) -> list[float]:
    grid = vessel_map.grid
    return [
        sigma_um / s if n > 1 else 0.0 for s, n in zip(grid.spacing_um, grid.shape, strict=True)
    ]


_Convolved = Iterator[tuple[NDArray[np.int64], NDArray[np.float32], NDArray[np.float32]]]


def _gathered(like: VesselMap, parts: _Convolved, sigma: list[float], *, mean: bool) -> VesselMap:
    """The voxels close to a track, as a map named like another one."""
    index, values = [np.empty(0, np.int64)], [np.empty(0, np.float32)]
    least = _least(sigma)
    for first, top, bottom in parts:
        there = bottom >= least
        index.append(first[there])
        values.append(top[there] / bottom[there] if mean else top[there])
    return replace(like, index=np.concatenate(index), values=np.concatenate(values))


def _least(sigma: list[float]) -> np.float32:
    """Value of a smoothed single straight track at `_KEPT_WITHIN` standard deviations from it."""
    resolved = [s for s in sigma if s > 0]
    across = len(resolved) - 1
    peak = np.prod([1 / (np.sqrt(2 * np.pi) * max(s, 0.4)) for s in resolved[:across]])
    return np.float32(np.exp(-(_KEPT_WITHIN**2) / 2) * peak)


def _convolved(pair: tuple[VesselMap, VesselMap], sigma: list[float]) -> _Convolved:
    """Convolve two maps within the bounding box of the second, some planes at a time.

    Yields flat indices, ascending, and both values of each voxel.
    """
    from scipy.ndimage import gaussian_filter

    def smoothed(vessel_map: VesselMap, cut: slice, inner: slice) -> NDArray[np.float32]:
        part = vessel_map.slab(cut.start, cut.stop)[:, *across]
        return gaussian_filter(part, sigma, mode="constant", truncate=_REACH)[inner].ravel()

    support = pair[1]
    if not support.index.size:
        return
    shape = support.shape
    reach = [int(_REACH * s + 0.5) for s in sigma]
    place = np.unravel_index(support.index, shape)
    low = [max(int(at.min()) - r, 0) for at, r in zip(place, reach, strict=True)]
    high = [min(int(at.max()) + r + 1, n) for at, r, n in zip(place, reach, shape, strict=True)]
    across = (slice(low[1], high[1]), slice(low[2], high[2]))
    depth = max(1, _VOXELS_AT_ONCE // (shape[1] * shape[2]))
    for start in range(low[0], high[0], depth):
        stop = min(start + depth, high[0])
        above, below = max(start - reach[0], 0), min(stop + reach[0], shape[0])
        cut, inner = slice(above, below), slice(start - above, stop - above)
        bottom = smoothed(support, cut, inner)
        top = bottom if pair[0] is support else smoothed(pair[0], cut, inner)
        z, y, x = (
            np.arange(a, b) for a, b in ((start, stop), *zip(low[1:], high[1:], strict=True))
        )
        flat = (z[:, None, None] * shape[1] + y[:, None]) * shape[2] + x
        yield flat.ravel().astype(np.int64), top, bottom
