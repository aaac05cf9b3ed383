"""Strongest singular components of a block, computed with a randomized range finder.

Tissue occupies about a dozen of hundreds of components, so a full decomposition is unnecessary.
The voxels are summed with random signs into a few hundred sums (a count sketch), whose leading
left singular vectors are then improved by one power iteration on the block itself
(Halko, Martinsson and Tropp, SIAM Review 53, 217 (2011), algorithm 4.4, with the sparse sketch of
Clarkson and Woodruff, J. ACM 63, 54 (2017)). All passes over the block use its own single
precision: no Gram matrix is formed, so the ratio of tissue to bubbles is never squared.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

from napari_ulm3d.filtering._chunks import one_blas_thread, spread, voxel_slices

__all__ = ["leading_components", "pays_off", "sketch_bins", "sketch_signs", "sketch_width"]

_OVERSAMPLING = 10
_BINS_PER_COMPONENT = 32
_SEED = 0
_STRIPS = 8
"""Number of partial sums; fixed, so that the order of summation is independent of threads."""


def pays_off(n_components: int, n_frames: int) -> bool:
    """Whether the range finder is cheaper than the Gram matrix of all frames."""
    return 4 * sketch_width(n_components) <= n_frames


def leading_components(
    casorati: NDArray[Any], n_components: int
) -> tuple[NDArray[np.float64], NDArray[Any]]:
    """Strongest singular values of a block with their temporal singular vectors.

    Parameters
    ----------
    casorati
        (t, v) complex64 or float32, one row per frame.
    n_components
        Number of components, at most t.

    Returns
    -------
    values
        (n_components,) float64, descending.
    vectors
        (t, n_components) complex128 or float64, orthonormal columns. The result does not depend
        on the number of threads.

    Notes
    -----
    Well-separated components are accurate to rounding errors. Where singular values are
    close together, as for bubbles and noise, vectors mix with their neighbours, while
    the energy that they contain is accurate to a few per cent of one component's energy.
    """
    n_frames, n_voxels = casorati.shape
    width = min(sketch_width(n_components), n_frames)
    slices = voxel_slices(n_voxels, n_frames)
    with one_blas_thread():
        sketch = _count_sketch(casorati, slices, sketch_bins(width))
        basis = _descending(eigh(sketch @ sketch.conj().T))[1][:, :width]
        basis = np.linalg.qr(_summed(_power_step, casorati, slices, basis))[0]
        powers, rotation = _descending(eigh(_summed(_energies, casorati, slices, basis)))
    values = np.sqrt(np.maximum(powers[:n_components], 0.0))
    return values, np.ascontiguousarray((basis @ rotation)[:, :n_components])


def sketch_width(n_components: int) -> int:
    """Number of basis columns used to find `n_components` components."""
    return n_components + _OVERSAMPLING


def sketch_bins(width: int) -> int:
    """Number of sums to which the voxels are added."""
    return _BINS_PER_COMPONENT * width


def sketch_signs(n_voxels: int) -> NDArray[np.float32]:
    """(v,) +1 or -1, the same each time."""
    return np.random.default_rng(_SEED).choice(np.array([-1.0, 1.0], np.float32), n_voxels)


def _descending(decomposition: tuple[NDArray[Any], NDArray[Any]]) -> tuple[Any, Any]:
    powers, vectors = decomposition
    return powers[::-1], vectors[:, ::-1]


def _count_sketch(casorati: NDArray[Any], slices: list[slice], n_bins: int) -> NDArray[Any]:
    """(t, n_bins) in double precision: each voxel is added with a random sign to one sum."""
    n_frames, n_voxels = casorati.shape
    n_bins = min(n_bins, n_voxels)
    signs = sketch_signs(n_voxels)

    def strip(number: int) -> NDArray[Any]:
        total = np.zeros((n_frames, n_bins), casorati.dtype)
        for columns in slices[number::_STRIPS]:
            signed = casorati[:, columns] * signs[columns]
            for start in range(0, signed.shape[1], n_bins):
                part = signed[:, start : start + n_bins]
                total[:, : part.shape[1]] += part
        return total

    double = np.result_type(casorati.dtype, np.float64)
    sums = np.zeros((n_frames, n_bins), double)
    for part in spread(strip, range(min(_STRIPS, len(slices)))):
        sums += part
    return sums


def _power_step(part: NDArray[Any], adjoint: NDArray[Any]) -> NDArray[Any]:
    return part @ (adjoint @ part).conj().T


def _energies(part: NDArray[Any], adjoint: NDArray[Any]) -> NDArray[Any]:
    # Convert to double before squaring, because here the ratio of tissue to bubbles is squared.
    seen = (adjoint @ part).astype(np.result_type(part.dtype, np.float64))
    return seen @ seen.conj().T


def _summed(step: Any, casorati: NDArray[Any], slices: list[slice], basis: Any) -> NDArray[Any]:
    """Sum of `step` over chunks of voxels, in double precision."""
    adjoint = np.ascontiguousarray(basis.conj().T.astype(casorati.dtype))
    total: Any = 0.0
    for part in spread(lambda columns: step(casorati[:, columns], adjoint), slices):
        total = total + part.astype(np.result_type(part.dtype, np.float64))
    return total
