"""A smooth displacement field over a volume: tensor-product B-splines with few control points."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

__all__ = ["Deformation", "Deformed", "control_points", "spline_knots", "spline_weights"]

#: Control points along an axis of at least so many voxels.
_CONTROL_POINTS = ((60, 4), (20, 3), (8, 2))
#: Points along each axis at which the root mean square is evaluated.
_SAMPLES = 5


@dataclass(frozen=True)
class Deformation:
    """Local displacement of the tissue, in addition to that of the whole volume.

    Attributes
    ----------
    shape
        (z, y, x) of the frames; the splines span their voxels.
    control_um
        (t, a, b, c, 3) control points of the displacement along z, y, x.
    """

    shape: tuple[int, int, int]
    control_um: NDArray[np.float32]

    def at(self, index: NDArray[np.float64], row: NDArray[np.intp]) -> NDArray[np.float64]:
        """Displacement (n, 3) um at voxel coordinates (n, 3), in frames of the block (n,)."""
        z, y, x = (
            spline_weights(index[:, axis], self.shape[axis], self.control_um.shape[1 + axis])
            for axis in range(3)
        )
        return np.einsum("na,nb,nc,nabck->nk", z, y, x, self.control_um[row], optimize=True)

    def rms_um(self) -> NDArray[np.float64]:
        """(t,) root mean square displacement over the volume."""
        z, y, x = (
            spline_weights(np.linspace(0.1 * (n - 1), 0.9 * (n - 1), _SAMPLES), n, m)
            for n, m in zip(self.shape, self.control_um.shape[1:4], strict=True)
        )
        field = np.einsum("za,yb,xc,tabck->tzyxk", z, y, x, self.control_um, optimize=True)
        return np.sqrt((field**2).sum(axis=-1).mean(axis=(1, 2, 3)))

    def plus(self, control_um: NDArray[np.float64]) -> Deformation:
        """With a constant field (a, b, c, 3) added to all frames."""
        return replace(self, control_um=(self.control_um + control_um).astype(np.float32))


@dataclass(frozen=True)
class Deformed:
    """The deformation in a block.

    Attributes
    ----------
    deformation
        Smoothed over time, one field per frame.
    image
        (z, y, x) mean of the warped images; None if not needed.
    before, after
        Mean correlation of the images with their mean, without and with the deformation.
    noise_um
        Standard deviation of the field before smoothing, over volume and axes.
    """

    deformation: Deformation
    image: NDArray[np.float32] | None
    before: float
    after: float
    noise_um: float


def control_points(shape: tuple[int, int, int]) -> tuple[int, int, int]:
    """Number of control points along each axis: 1 (no variation) to 4, by its length."""
    a, b, c = (next((m for least, m in _CONTROL_POINTS if n >= least), 1) for n in shape)
    return (a, b, c)


def spline_weights(index: NDArray[np.float64], n_voxels: int, n_points: int) -> NDArray[np.float64]:
    """(n, n_points) B-spline basis at voxel coordinates, constant beyond the volume.

    Clamped, of the highest degree up to 3 that the control points allow.
    """
    from scipy.interpolate import BSpline

    index = np.clip(np.asarray(index, np.float64), -0.5, n_voxels - 0.5)
    knots, degree = spline_knots(n_voxels, n_points)
    return np.asarray(BSpline.design_matrix(index, np.array(knots), degree).toarray())


@lru_cache(maxsize=32)
def spline_knots(n_voxels: int, n_points: int) -> tuple[tuple[float, ...], int]:
    """Clamped, even knots over the voxels of an axis, and the degree of the splines."""
    degree = min(n_points - 1, 3)
    inner = np.linspace(-0.5, n_voxels - 0.5, n_points - degree + 1).tolist()
    return (*[inner[0]] * degree, *inner, *[inner[-1]] * degree), degree
