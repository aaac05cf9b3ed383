"""Alternatives to the network: smoothing, closing, gap bridging and a vesselness filter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from skimage import filters, morphology

__all__ = ["RIVALS", "Rival"]

Volume = NDArray[Any]
#: Name, response to a density map, thresholds to try.
Rival = tuple[str, Callable[[Volume], Volume], tuple[float, ...]]


def _gaussian(sigma: float) -> Callable[[Volume], Volume]:
    return lambda d: ndimage.gaussian_filter(np.log1p(d), sigma)


def closed(radius: int) -> Callable[[Volume], Volume]:
    def response(d: Volume) -> Volume:
        """The largest density threshold at which the closing fills each voxel (or pixel)."""
        round_element = morphology.ball if d.ndim == 3 else morphology.disk
        out = np.zeros(d.shape)
        for least in (1, 2, 3, 4):
            wide = np.pad(d >= least, radius)
            filled = morphology.closing(wide, round_element(radius))
            out[filled[(slice(radius, -radius),) * d.ndim]] = least
        return out

    return response


def _bridged(d: Volume) -> Volume:
    """Bridge gaps of up to 50 um along centrelines: close the skeleton with a ball of 25 um."""
    out = np.zeros(d.shape)
    for least in (1, 2, 3, 4):
        mask = d >= least
        thin = morphology.skeletonize(mask)
        bridges = morphology.skeletonize(ndimage.binary_closing(thin, morphology.ball(2), 1))
        out[mask | bridges] = least
    return out


def _frangi(d: Volume) -> Volume:
    return filters.frangi(np.log1p(d), sigmas=(1.0, 1.5, 2.0), black_ridges=False)


_COUNTS = (1, 2, 3, 4, 6, 8)
_DENSITIES = (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.0)

RIVALS: tuple[Rival, ...] = (
    ("the map itself", lambda d: d, _COUNTS),
    ("Gaussian of 6 um", _gaussian(0.6), _DENSITIES),
    ("Gaussian of 10 um", _gaussian(1.0), _DENSITIES),
    ("Gaussian of 20 um", _gaussian(2.0), _DENSITIES),
    ("closing, 1 voxel", closed(1), (1, 2, 3, 4)),
    ("closing, 2 voxels", closed(2), (1, 2, 3, 4)),
    ("gaps bridged", _bridged, (1, 2, 3, 4)),
    ("Frangi", _frangi, (1e-6, 1e-5, 1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.2)),
)
