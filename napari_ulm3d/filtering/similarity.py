"""Number of tissue components, from the similarity of spatial singular vectors.

Tissue components are bright in the same region, and blood components in another one, so
the correlation matrix of the magnitudes |u_n| of the spatial singular vectors has
two bright squares along its diagonal. The border between the squares is the cut-off.
Baranger et al., "Adaptive spatiotemporal SVD clutter filtering for ultrafast Doppler
imaging using similarity of spatial singular vectors", IEEE TMI 37, 1574 (2018).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.filtering._chunks import one_blas_thread, spread, voxel_slices

__all__ = ["spatial_similarity", "tissue_components", "two_squares"]


def spatial_similarity(
    block: NDArray[Any], values: NDArray[np.float64], vectors: NDArray[Any]
) -> NDArray[np.float64]:
    """Correlation between magnitudes of the spatial singular vectors of a block.

    Parameters
    ----------
    block
        (t, z, y, x) complex64 or float32.
    values, vectors
        From `svd_spectrum(block)`.

    Returns
    -------
    (t, t): entry (n, m) is the correlation coefficient over voxels of |u_n| and |u_m| (Baranger
    et al. 2018); off-diagonal entries are 0 for components without energy.
    """
    n_frames = block.shape[0]
    casorati = np.ascontiguousarray(block).reshape(n_frames, -1)
    n_voxels = casorati.shape[1]
    alive = values > max(float(values[0]), np.finfo(float).tiny) * 1e-7
    # Scale each to unit mean square, so that weak components are not lost beside strong ones.
    gain = np.where(alive, np.sqrt(n_voxels) / np.where(alive, values, 1.0), 0.0)
    adjoint = np.ascontiguousarray((vectors * gain).conj().T.astype(block.dtype))

    def moments(columns: slice) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        magnitude = np.abs(adjoint @ casorati[:, columns]).astype(np.float64)
        return magnitude.sum(axis=1), magnitude @ magnitude.T

    total = np.zeros(n_frames)
    product = np.zeros((n_frames, n_frames))
    with one_blas_thread():
        for first, second in spread(moments, voxel_slices(n_voxels, n_frames)):
            total += first
            product += second
    mean = total / n_voxels
    covariance = product / n_voxels - np.outer(mean, mean)
    spread_of = np.sqrt(np.maximum(np.diag(covariance), 0.0))
    usable = alive & (spread_of > 1e-9)
    scale = np.where(usable, 1.0 / np.where(usable, spread_of, 1.0), 0.0)
    similarity = np.clip(covariance * np.outer(scale, scale), -1.0, 1.0)
    np.fill_diagonal(similarity, 1.0)
    return similarity


def two_squares(similarity: NDArray[np.float64]) -> tuple[int, int]:
    """Fit two adjoining squares along the diagonal to a similarity matrix.

    The model M(a, b) is one within rows and columns 1..a and within a+1..b, and zero
    elsewhere. The pair (a, b) with the highest correlation coefficient between the matrix and
    M is chosen. The diagonal, which is one by definition, is ignored.

    Parameters
    ----------
    similarity
        (n, n), n >= 4.

    Returns
    -------
    a, b
        Last component of the first and of the second square, counted from 1;
        1 <= a, a + 2 <= b <= n.
    """
    n = similarity.shape[0]
    off_diagonal = similarity.copy()
    np.fill_diagonal(off_diagonal, 0.0)
    corner = np.zeros((n + 1, n + 1))
    np.cumsum(np.cumsum(off_diagonal, axis=0), axis=1, out=corner[1:, 1:])
    upto = np.diag(corner)  # sum over the square 1..k
    a, b = np.meshgrid(np.arange(n + 1), np.arange(n + 1), indexing="ij")
    inside = upto[a] + (upto[b] - 2 * corner[a, b] + upto[a])
    count = a * (a - 1) + (b - a) * (b - a - 1)
    everything = n * (n - 1)
    allowed = (a >= 1) & (b >= a + 2) & (count < everything)
    mean = off_diagonal.sum() / everything
    # The spread of the matrix itself is the same for all pairs and left out.
    covariance = inside - count * mean
    deviation = np.sqrt(np.where(allowed, count * (everything - count) / everything, 1.0))
    score = np.where(allowed, covariance / deviation, -np.inf)
    best = int(np.argmax(score))
    return best // (n + 1), best % (n + 1)


def tissue_components(
    block: NDArray[Any], values: NDArray[np.float64], vectors: NDArray[Any]
) -> int:
    """Number of leading components that represent tissue, from the fit of `two_squares`.

    Raises
    ------
    ConfigError
        The block has fewer than four frames.
    """
    if block.shape[0] < 4:
        raise ConfigError(
            f"clutter.svd_automatic needs blocks of at least 4 frames, not {block.shape[0]}. "
            "Use longer blocks (load.frames_per_block) or set clutter.svd_automatic=false."
        )
    return two_squares(spatial_similarity(block, values, vectors))[0]
