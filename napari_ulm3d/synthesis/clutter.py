"""The part of the bubbles that the clutter filter removed, computed where there are bubbles."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from napari_ulm3d._caches import njit
from napari_ulm3d.filtering._chunks import one_blas_thread

__all__ = ["Removal"]

_CHUNK = 512
"""Voxels that are projected at once: over all frames, they fit into the processor's cache."""


class Removal:
    """The projection of a residual on the time courses that the filter removed.

    Parameters
    ----------
    removed
        (t, n) orthonormal temporal vectors.
    shape
        Of a frame.

    Notes
    -----
    The filtered frames have no part in these vectors, so only voxels in which an image was
    subtracted need to be projected.
    """

    def __init__(self, removed: NDArray[Any], shape: tuple[int, int, int]) -> None:
        self._basis = np.ascontiguousarray(removed, np.complex64)
        self._adjoint = np.ascontiguousarray(self._basis.conj().T)
        self._seen = np.zeros(shape, np.bool_)

    def restart(self) -> None:
        """Forget in which voxels an image was subtracted."""
        self._seen[:] = False

    def subtract(
        self, left: NDArray[np.complex64], place: NDArray[np.float64], half: NDArray[np.int64]
    ) -> None:
        """Subtract from the residual (t, z, y, x) its projection, in all windows since `restart`."""
        _cover(self._seen, place, half)
        columns = np.flatnonzero(self._seen)
        with one_blas_thread():
            _subtract(left.reshape(len(left), -1), columns, self._basis, self._adjoint)


@njit(cache=True, nogil=True)
def _cover(seen, place, half):  # type: ignore[no-untyped-def]
    """Mark the windows of all positions."""
    low, stop = np.zeros(3, np.int64), np.zeros(3, np.int64)
    for k in range(len(place)):
        for axis in range(3):
            middle = int(np.rint(place[k, axis]))
            low[axis] = min(max(middle - half[axis], 0), seen.shape[axis] - 1)
            stop[axis] = max(min(middle + half[axis] + 1, seen.shape[axis]), low[axis] + 1)
        for z in range(low[0], stop[0]):
            for y in range(low[1], stop[1]):
                seen[z, y, low[2] : stop[2]] = True


@njit(cache=True, nogil=True, parallel=True)
def _subtract(left, columns, basis, adjoint):  # type: ignore[no-untyped-def]
    """Subtract the projection from some columns of a matrix (t, v)."""
    for chunk in prange((columns.size + _CHUNK - 1) // _CHUNK):
        some = columns[chunk * _CHUNK : (chunk + 1) * _CHUNK]
        part = np.empty((left.shape[0], some.size), np.complex64)
        for t in range(left.shape[0]):
            for i in range(some.size):
                part[t, i] = left[t, some[i]]
        part = np.dot(basis, np.dot(adjoint, part))
        for t in range(left.shape[0]):
            for i in range(some.size):
                left[t, some[i]] -= part[t, i]
