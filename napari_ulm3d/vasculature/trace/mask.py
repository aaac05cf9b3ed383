"""Segment the vessel voxels of a map: smoothing and hysteresis thresholding, slab by slab."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.config import VesselConfig
from napari_ulm3d.errors import ResultsError
from napari_ulm3d.vasculature.trace.components import Components
from napari_ulm3d.volumes import VesselMap

__all__ = ["Thresholds", "is_mask", "vessel_mask"]

_REACH = 3.0
# Voxels per slab: smoothing needs three float32 arrays of this size.
_SLAB_VOXELS = 1 << 24
_SAMPLED = 200_000
# Cavities of up to this many voxels inside a vessel are assumed to be missed by tracks by chance.
_CAVITY_VOXELS = 512
# In a track density, a voxel below this share of the maximum within three standard deviations of
# the smoothing is the blurred flank of a vessel, however many tracks it has.
_FLANK = 0.1


@dataclass(frozen=True)
class Thresholds:
    """The thresholds applied, in the unit of the smoothed map."""

    low: float
    high: float
    smoothing_um: float


def is_mask(map_: VesselMap) -> bool:
    """Whether all non-empty voxels have the same value, as in a segmentation."""
    return bool(map_.values.size) and bool((map_.values == map_.values[0]).all())


def vessel_mask(
    map_: VesselMap, config: VesselConfig, *, labels: bool = False
) -> tuple[NDArray[np.bool_], Thresholds]:
    """Vessel voxels, (z, y, x) bool, and the thresholds used.

    Parameters
    ----------
    map_
        A density map, any other map or image in which vessels are bright, or a segmentation.
    config
        Smoothing and thresholds.
    labels
        The values are segment labels: all but 0 is vessel.

    Raises
    ------
    ResultsError
        The map is empty, or no voxel exceeds the upper threshold.
    """
    if not (map_.values.size and np.isfinite(map_.values).all() and map_.values.max() > 0):
        raise ResultsError(
            f"The map '{map_.name}' holds no voxel above 0, so there is no vessel to measure. "
            "Give a density map, an image with bright vessels, or a segmentation."
        )
    if labels or is_mask(map_):
        return _filled(map_.dense() != 0), Thresholds(0.0, 0.0, 0.0)
    sigma_um = config.smoothing_um
    if sigma_um is None:
        sigma_um = min(s for s, n in zip(map_.grid.spacing_um, map_.shape, strict=True) if n > 1)
    low, high = _thresholds(map_, sigma_um, config)
    counted = map_.unit == "tracks" and config.threshold_low is None
    above_low = np.zeros(map_.shape, bool)
    above_high = np.zeros(map_.shape, bool)
    for start, smooth in _smoothed(map_, sigma_um):
        above = smooth > low
        if counted:
            above &= ~_flanks(smooth, above, _sigmas(map_, sigma_um))
        above_low[start : start + len(smooth)] = above
        above_high[start : start + len(smooth)] = above & (smooth > high)
    if not above_high.any():
        raise ResultsError(
            f"No voxel of the map '{map_.name}' is above the upper threshold {high:g}. "
            "Lower vessels.threshold_high."
        )
    return _filled(_touched(above_low, above_high)), Thresholds(low, high, sigma_um)


def _flanks(
    smooth: NDArray[np.float32], above: NDArray[np.bool_], sigma: tuple[float, ...]
) -> NDArray[np.bool_]:
    """Voxels on the flanks of a vessel, which contain tracks only because of localization errors.

    Counts grow with the duration of an acquisition, so a fixed threshold would include ever more
    of the flanks, until neighbouring vessels merge.
    """
    from scipy import ndimage

    if not above.any() or _FLANK * smooth.max() <= smooth[above].min():
        return np.zeros_like(above)
    size = [2 * int(np.ceil(_REACH * s)) + 1 for s in sigma]
    most = ndimage.maximum_filter(smooth, size, mode="constant")
    return np.asarray(above & (smooth < _FLANK * most))


def _touched(low: NDArray[np.bool_], high: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The connected components of `low` that contain a voxel of `high`."""
    parts = Components.of(low)
    out = np.zeros_like(low)
    parts.paint(out, parts.containing(np.flatnonzero(high)))
    return out


def _filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Fill small cavities of the mask, in place (in a plane: holes)."""
    outside = Components.of(mask, background=True)
    if outside.count < 2:
        return mask
    size = outside.sizes()
    small = size <= _CAVITY_VOXELS
    small[np.argmax(size)] = False
    outside.paint(mask, small)
    return mask


def _sigmas(map_: VesselMap, sigma_um: float) -> tuple[float, ...]:
    return tuple(
        sigma_um / s if n > 1 else 0.0
        for s, n in zip(map_.grid.spacing_um, map_.shape, strict=True)
    )


def _smoothed(map_: VesselMap, sigma_um: float):  # type: ignore[no-untyped-def]
    """Yield the smoothed map slab by slab, as (first plane, planes)."""
    from scipy import ndimage

    sigma = _sigmas(map_, sigma_um)
    margin = int(np.ceil(_REACH * sigma[0]))
    plane = map_.shape[1] * map_.shape[2]
    depth = max(_SLAB_VOXELS // plane, 4 * margin, 1)
    for start in range(0, map_.shape[0], depth):
        stop = min(start + depth, map_.shape[0])
        first, last = max(start - margin, 0), min(stop + margin, map_.shape[0])
        slab = map_.slab(first, last)
        if any(sigma):
            slab = ndimage.gaussian_filter(slab, sigma, truncate=_REACH, mode="constant")
        yield start, slab[start - first : slab.shape[0] - (last - stop)]


def _thresholds(map_: VesselMap, sigma_um: float, config: VesselConfig) -> tuple[float, float]:
    low, high = config.threshold_low, config.threshold_high
    if low is not None and high is not None:
        return low, high
    auto_low, auto_high = _automatic(map_, sigma_um)
    if low is None:
        low = auto_low if high is None else min(auto_low, high)
    return low, max(auto_high, low) if high is None else high


def _automatic(map_: VesselMap, sigma_um: float) -> tuple[float, float]:
    """Thresholds from the map: from the density of a few tracks, or by Otsu's method."""
    sigma = [s for s in _sigmas(map_, sigma_um) if s > 0]
    if map_.unit == "tracks":
        # A single smoothed track peaks at 1 / (sqrt(2 pi) sigma) for each perpendicular axis.
        single = float(np.prod([1 / (np.sqrt(2 * np.pi) * s) for s in sigma[1:]])) if sigma else 1.0
        return 1.5 * single, 4.0 * single
    from skimage.filters import threshold_otsu

    step = max(1, map_.values.size // _SAMPLED)
    values = map_.values[::step]
    values = values[values > 0]
    if not np.ptp(values) > 0:
        return 0.0, 0.0
    # The edge of a blurred vessel is at half its height; its core is higher.
    split = values > threshold_otsu(values)
    inside = float(values[split].mean())
    low = (float(values[~split].mean()) + inside) / 2
    return low, (low + inside) / 2
