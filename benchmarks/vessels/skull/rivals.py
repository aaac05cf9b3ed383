"""Filling holes without a network: closing, and the mirror image of the other side."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, optimize

from benchmarks.vessels.skull.volume import LATERAL, Mask, block_means

__all__ = ["closed", "mirror_image", "symmetry_plane"]

_COARSE, _BLUR = 4, 1.0
_TILT = 0.1  # radians


def closed(mask: Mask, radius: float) -> Mask:
    """Closing with a ball, by distances."""
    wide = int(np.ceil(radius)) + 1
    near = ndimage.distance_transform_edt(~np.pad(mask, wide)) <= radius
    inner = ndimage.distance_transform_edt(near) > radius
    return np.asarray(inner[(slice(wide, -wide),) * 3])


def symmetry_plane(mask: Mask) -> NDArray[np.float64]:
    """(4,) unit normal and offset (voxels) of the plane about which the mask is most symmetric."""
    coarse = block_means(mask, _COARSE)
    smooth = ndimage.gaussian_filter(coarse.astype(np.float64), _BLUR)
    middle = np.asarray(ndimage.center_of_mass(coarse))

    def unlike(p: NDArray[np.float64]) -> float:
        normal = _normal(p)
        image = _reflected(smooth, normal, float(normal @ middle + p[2]))
        # Interpolation blurs: what counts is the shape, not the level.
        return -float((smooth * image).sum() / np.sqrt((smooth**2).sum() * (image**2).sum()))

    # None is zero: there, an image on the voxels of its source has a maximum of its own.
    tilts = np.linspace(-_TILT, _TILT, 6)
    starts = [np.array([a, b, 0.0]) for a in tilts for b in tilts]
    start = min(starts, key=unlike)
    simplex = start + np.concatenate([np.zeros((1, 3)), np.diag([0.03, 0.03, 1.0])])
    settings = {"initial_simplex": simplex, "xatol": 1e-3, "fatol": 1e-5}
    best = optimize.minimize(unlike, start, method="Nelder-Mead", options=settings).x
    normal = _normal(best)
    # The centre of coarse voxel k lies at 4 k + 1.5.
    offset = _COARSE * float(normal @ middle + best[2]) + (_COARSE - 1) / 2 * float(normal.sum())
    return np.append(normal, offset)


def mirror_image(mask: Mask, plane: NDArray[np.float64]) -> Mask:
    """The mask reflected in a plane."""
    return np.asarray(_reflected(mask.astype(np.float32), plane[:3], float(plane[3])) > 0.5)


def _normal(p: NDArray[np.float64]) -> NDArray[np.float64]:
    normal = np.insert(np.tan(p[:2]), LATERAL, 1.0)
    return np.asarray(normal / np.linalg.norm(normal))


def _reflected(
    volume: NDArray[np.floating], normal: NDArray[np.float64], offset: float
) -> NDArray[np.floating]:
    """Trilinear interpolation at x - 2 (x . n - offset) n."""
    matrix = np.eye(3) - 2 * np.outer(normal, normal)
    return np.asarray(
        ndimage.affine_transform(volume, matrix, 2 * offset * normal, order=1, cval=0.0)
    )
