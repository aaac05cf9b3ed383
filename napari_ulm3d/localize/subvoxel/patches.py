"""Windows around maxima for localizers that treat one bubble at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d._caches import njit
from napari_ulm3d.config import LocalizeConfig
from napari_ulm3d.localize.detect import Candidates
from napari_ulm3d.localize.rejections import Rejections
from napari_ulm3d.localize.subvoxel.fits import Fits

__all__ = ["BAD", "EDGE", "FINE", "collect", "symmetric_half"]

FINE, EDGE, BAD = 0, 1, 2


@njit(cache=True, nogil=True)
def symmetric_half(shape, voxel, half, out):  # type: ignore[no-untyped-def]
    """Half width of the window along each axis, reduced so that it stays centred in the volume.

    A window clipped on one side only would bias the position. False if
    nothing is left along an axis, that is, at the border.
    """
    for axis in range(3):
        at, n = voxel[axis], shape[axis]
        out[axis] = min(half[axis], at, n - 1 - at)
        if n > 1 and half[axis] > 0 and out[axis] < 1:
            return False
    return True


def collect(
    candidates: Candidates,
    kernel: Callable[[NDArray[np.float64], NDArray[np.int8]], None],
    config: LocalizeConfig,
) -> Fits:
    """Run a localizer's kernel and sort its results into fits and rejections.

    Parameters
    ----------
    kernel
        Fills shift (n, 3) with voxels relative to the maximum, and state (n,) with
        FINE, EDGE or BAD.

    Notes
    -----
    `Fits.quality` is 1 - mean / peak: the share of the peak above the mean of its patch.
    """
    shift = np.zeros((len(candidates), 3))
    state = np.zeros(len(candidates), np.int8)
    if len(candidates):
        kernel(shift, state)
    far = (state == FINE) & ~(np.abs(shift) <= config.max_shift).all(axis=1)
    fine = (state == FINE) & ~far
    kept = candidates.keep(fine)
    contrast = kept.contrast.astype(np.float64)
    return Fits(
        frame=kept.frame,
        voxel=kept.voxel,
        position=kept.voxel + shift[fine],
        contrast=contrast,
        quality=np.clip(1.0 - 1.0 / np.maximum(contrast, 1e-30), 0.0, 1.0),
        sigma=None,
        rejections=Rejections(
            edge=int((state == EDGE).sum()), failed=int((state == BAD).sum()), far=int(far.sum())
        ),
    )
