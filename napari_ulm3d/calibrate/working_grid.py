"""The working grid: finely sampled data, low-pass filtered and thinned to what the PSF needs.

The image of a bubble of width w (full width at half maximum) has almost no content above the
spatial frequency 1 / w: for a Gaussian exp(-pi^2 / (4 ln 2)), -31 dB. Two voxels per width
therefore suffice. More would cost time, spread a bubble over more voxels than detection and
networks expect, and admit noise outside the bubbles' bandwidth.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.filtering import one_blas_thread

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["WorkingGrid", "thinning_for"]

_LOBES = 3  # lobes of the windowed sinc on either side


def thinning_for(
    fwhm_voxels: tuple[float, float, float],
    shape: tuple[int, int, int],
    voxels_per_width: float = 2.0,
    tolerance: float = 0.0,
) -> tuple[int, int, int]:
    """Integer factors along z, y, x that leave at least `voxels_per_width` voxels per width.

    1 along an axis sampled less than twice as finely as that, or with a single voxel. Where it would
    be 1, 2 may leave up to a share `tolerance` less: all voxels would be almost twice too many.
    """

    def factor(width: float) -> int:
        whole = int(width / voxels_per_width + 1e-6)
        return 2 if whole == 1 and width >= 2 * (1 - tolerance) * voxels_per_width else whole

    z, y, x = (
        max(1, min(factor(width), n)) if n > 1 else 1
        for width, n in zip(fwhm_voxels, shape, strict=True)
    )
    return (z, y, x)


@dataclass(frozen=True)
class WorkingGrid:
    """Resampling from the acquisition's grid to a coarser one over the same field of view.

    Attributes
    ----------
    full
        The acquisition's grid.
    thinning
        Ratio of the coarse spacing to the full one along z, y, x.
    carrier_rad
        Axial phase step of the data per voxel of `full`: centre of the band that is kept.
    """

    full: Grid
    thinning: tuple[int, int, int] = (1, 1, 1)
    carrier_rad: float = 0.0

    def __post_init__(self) -> None:
        if min(self.thinning) < 1:
            raise ValueError(
                f"calibrate.thinning must be three whole numbers of at least 1, not {self.thinning}"
            )

    @property
    def is_full(self) -> bool:
        """Whether no axis is thinned."""
        return self.thinning == (1, 1, 1)

    @cached_property
    def grid(self) -> Grid:
        """The coarse grid, in the same coordinates (micrometres) as the full one.

        It is centred on the full grid.
        """
        if self.is_full:
            return self.full
        centres = [self._centres(axis) for axis in range(3)]
        nz, ny, nx = (c.size for c in centres)
        sz, sy, sx = (s * k for s, k in zip(self.full.spacing_um, self.thinning, strict=True))
        z, y, x = self.full.to_um([c[0] for c in centres]).tolist()
        return Grid((nz, ny, nx), (sz, sy, sx), (z, y, x))

    def frames(self, frames: NDArray[Any]) -> NDArray[Any]:
        """Resample frames (t, z, y, x) to the coarse grid, same dtype; a new array if thinned.

        The low-pass filter is a windowed sinc (Lanczos, three lobes) with the bandwidth of the
        coarse grid, centred on the carrier along z. At the borders the weights are renormalized.
        """
        if self.is_full:
            return frames
        out = np.empty((len(frames), *self.grid.shape), frames.dtype)
        z, y, x = (matrix.astype(frames.dtype) for matrix in self._matrices(frames.dtype.kind))
        # One frame at a time: the largest intermediate array is a frame thinned along x.
        along_x = np.ascontiguousarray(x.T)
        with one_blas_thread():  # small products: threads would only wait for each other
            for frame, into in zip(frames, out, strict=True):
                thin = y @ (frame @ along_x)
                np.matmul(z, thin.reshape(len(thin), -1), out=into.reshape(len(into), -1))
        return out

    def resident(self, frames: Tensor) -> Tensor:
        """Like `frames`, for a (t, z, y, x) complex64 or float32 tensor, on its device."""
        import torch

        kind = "c" if frames.is_complex() else "f"
        z, y, x = (
            torch.from_numpy(matrix).to(frames.device, frames.dtype)
            for matrix in self._matrices(kind)
        )
        thin = y @ (frames @ x.T)
        return (z @ thin.flatten(2)).unflatten(2, thin.shape[2:])

    def valid(self, valid: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
        """Coarse voxels that contain data: at least half of their weight is on valid voxels."""
        if valid is None or self.is_full:
            return valid
        share = valid.astype(np.float32)
        for axis, matrix in enumerate(self._matrices("f")):
            weight = np.abs(matrix)
            weight /= weight.sum(axis=1, keepdims=True)
            share = np.moveaxis(np.tensordot(weight, share, axes=(1, axis)), 0, axis)
        return np.asarray(share >= 0.5)

    def widths(self, fwhm_voxels: tuple[float, float, float]) -> tuple[float, float, float]:
        """Convert widths from voxels of the full grid to voxels of the coarse one."""
        z, y, x = (width / k for width, k in zip(fwhm_voxels, self.thinning, strict=True))
        return (z, y, x)

    def _centres(self, axis: int) -> NDArray[np.float64]:
        """Centres of the coarse voxels, in voxels of the full grid."""
        n, k = self.full.shape[axis], self.thinning[axis]
        count = -(-n // k)
        return np.asarray((n - 1) / 2 + (np.arange(count) - (count - 1) / 2) * k, np.float64)

    def _matrices(self, kind: str) -> list[NDArray[Any]]:
        """For each axis, (coarse, full) weights of the full voxels in each coarse one."""
        out = []
        for axis, k in enumerate(self.thinning):
            offset = np.arange(self.full.shape[axis]) - self._centres(axis)[:, None]
            if k == 1:
                weight = (offset == 0).astype(float)
            else:
                weight = np.sinc(offset / k) * np.sinc(offset / (_LOBES * k))
                weight[np.abs(offset) >= _LOBES * k] = 0.0
                weight /= weight.sum(axis=1, keepdims=True)
            if axis == 0 and kind == "c" and self.carrier_rad:
                weight = weight * np.exp(-1j * self.carrier_rad * offset)
            out.append(weight)
        return out
