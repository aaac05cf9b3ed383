"""Sparse frames: the voxels kept by sparsification, with their complex values."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["SparseFrames"]


@dataclass(frozen=True)
class SparseFrames:
    """Voxels kept from frames of the correlation map.

    Parameters
    ----------
    coordinates
        (n, 4) int32: t, z, y, x, sorted lexicographically. t counts from `first_frame`.
    values
        (n,) complex64; the imaginary part is zero for real input.
    shape
        (t, z, y, x) of the dense frames.
    first_frame
        Number of the first frame in the whole acquisition.
    """

    coordinates: NDArray[np.int32]
    values: NDArray[np.complex64]
    shape: tuple[int, int, int, int]
    first_frame: int = 0

    def __post_init__(self) -> None:
        if self.coordinates.shape != (self.values.size, 4):
            raise ValueError(
                f"coordinates {self.coordinates.shape} do not match {self.values.shape} values"
            )

    def __len__(self) -> int:
        return self.values.size

    @classmethod
    def from_mask(
        cls, frames: NDArray[np.generic], mask: NDArray[np.bool_], first_frame: int = 0
    ) -> SparseFrames:
        """Keep the voxels of dense frames (t, z, y, x) where `mask`, of the same shape, is True."""
        flat = np.flatnonzero(mask)
        coordinates = np.stack(np.unravel_index(flat, frames.shape), axis=1).astype(np.int32)
        t, z, y, x = frames.shape
        return cls(
            coordinates, frames.ravel()[flat].astype(np.complex64), (t, z, y, x), first_frame
        )

    @property
    def counts(self) -> NDArray[np.int64]:
        """Number of voxels kept in each frame, (t,)."""
        return np.bincount(self.coordinates[:, 0], minlength=self.shape[0])

    @property
    def occupancy(self) -> float:
        """Fraction of all voxels that were kept."""
        return len(self) / float(np.prod(self.shape, dtype=np.float64))

    def dense(self) -> NDArray[np.complex64]:
        """The dense frames, with zeros in voxels that were not kept."""
        out = np.zeros(self.shape, np.complex64)
        out[tuple(self.coordinates.T)] = self.values
        return out
