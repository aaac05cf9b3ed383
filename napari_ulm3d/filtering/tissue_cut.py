"""Number of tissue components: their spatial vectors extend everywhere, not to a few places.

Tissue fills the volume; a bubble is a spot. The power of a tissue component's spatial singular
vector is therefore spread over a large fraction of the voxels, that of bubbles over few. The
measure is the participation ratio (sum |u|^2)^2 / (n sum |u|^4): 1 / 2 for fully developed
speckle, and for noise, which comes last; a hundredth or less for bubbles. Tissue ends where its
logarithm drops from one component to the next ones. The drop of the singular values counts as
well, since strong tissue may also consist of a few bright spots.

With few or faint bubbles (before an injection, say), tissue goes straight over into noise, and its spread does
not drop clearly. Components that extend too far for a bubble and exceed the noise are therefore tissue, wherever
the spread drops. How far a bubble can extend depends on the field: where that has few resolution cells, a bubble
crosses a large fraction of them. In a large field, a component that extends less far is tissue as well if one of the
next few extends too far: where few scatterers or a bright surface dominate, the spread of tissue varies by a factor of two
or more from component to component, and it may drop early.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fftn

from napari_ulm3d.filtering._chunks import one_blas_thread
from napari_ulm3d.filtering.randomized import leading_components

__all__ = ["TissueCut", "cut_of_spectrum", "participation", "resolution_cells", "tissue_cut"]

_FEWEST = 8  # minimum number of frames for a comparison
_MOST = 40  # components considered, or a tenth of a long block's
_SIDE = 3  # components compared on either side of a cut
_ENERGY = 0.25  # weight of a drop of the singular values, nepers of power, relative to the spread
_MOST_ENERGY = 0.5  # nepers, limited because the energy also falls steeply within tissue
_CLEAR = 0.9  # smallest drop that separates tissue from bubbles
_NOISE = 0.3  # spectra that fill more than this fraction of the frequencies are noise
_EVERYWHERE = 0.1  # participation ratio that no bubble reaches in a large field
_CELLS_CROSSED = 20.0  # resolution cells over which a bubble's component extends in a small one
_OVER_NOISE_DB = 6.0  # singular values of tissue over those of noise
_AHEAD = 5  # components among which one shows that the tissue goes on


@dataclass(frozen=True)
class TissueCut:
    """The end of the tissue components.

    Attributes
    ----------
    first
        First singular component kept, counted from 1; 1: no tissue was detected.
    fall
        Clarity: the drop of spread and energy at the cut, nepers; of energy alone where tissue goes over
        into noise.
    values_db
        Singular values relative to their median over the components considered, dB.
    participation
        Participation ratio of the same components.
    vectors
        (t, n) their temporal singular vectors; None: not kept.
    """

    first: int
    fall: float
    values_db: NDArray[np.float64]
    participation: NDArray[np.float64]
    vectors: NDArray[Any] | None = None


def tissue_cut(block: NDArray[Any], valid: NDArray[np.bool_] | None = None) -> TissueCut:
    """Find the first component to keep, from an unfiltered block.

    Parameters
    ----------
    block
        (t, z, y, x) complex64 or float32.
    valid
        (z, y, x) voxels with data; None: all.
    """
    n_frames = len(block)
    if n_frames < _FEWEST:
        return TissueCut(1, 0.0, np.zeros(0), np.zeros(0))
    casorati = np.ascontiguousarray(block).reshape(n_frames, -1)
    if valid is not None and not valid.all():
        casorati = np.ascontiguousarray(casorati[:, valid.reshape(-1)])
    most = min(max(_MOST, n_frames // 10), max(4, n_frames // 4), casorati.shape[1])
    values, vectors = leading_components(casorati, most)

    def cells(k: int) -> float:
        return resolution_cells(np.tensordot(vectors[:, k].conj().astype(block.dtype), block, 1))

    with one_blas_thread():
        shares = participation(casorati, vectors)
        cut = cut_of_spectrum(values, shares, _occupied(vectors), cells)
    return replace(cut, vectors=vectors)


def participation(casorati: NDArray[Any], vectors: NDArray[Any]) -> NDArray[np.float64]:
    """Participation ratio, in (0, 1], of the spatial vector of each column of `vectors`."""
    adjoint = np.ascontiguousarray(vectors.conj().T.astype(casorati.dtype))
    second = np.zeros(len(adjoint))
    fourth = np.zeros(len(adjoint))
    n_voxels = casorati.shape[1]
    for low in range(0, n_voxels, 1 << 16):
        power = np.square(np.abs(adjoint @ casorati[:, low : low + (1 << 16)]), dtype=np.float64)
        second += power.sum(axis=1)
        fourth += np.square(power).sum(axis=1)
    return np.where(fourth > 0, second**2 / (n_voxels * np.maximum(fourth, 1e-300)), 1.0)


def resolution_cells(image: NDArray[Any]) -> float:
    """Approximate number of resolution cells in the field: spatial frequencies that an image fills.

    Parameters
    ----------
    image
        (z, y, x) spatial vector of a component.
    """
    return float(_filled(np.square(np.abs(fftn(image)), dtype=np.float64).reshape(-1)))


def cut_of_spectrum(
    values: NDArray[np.float64],
    shares: NDArray[np.float64],
    occupied: NDArray[np.float64],
    cells: Callable[[int], float] = lambda k: np.inf,
) -> TissueCut:
    """Find the cut from singular values, participation ratios and spectral occupancy.

    Parameters
    ----------
    values, shares, occupied
        (n,) each, the strongest component first.
    cells
        `resolution_cells` of a component, by its index.
    """
    values = np.maximum(values, max(float(values[0]), 1e-300) * 1e-9)
    decibels = 20 * np.log10(values / np.median(values))
    noisy = np.flatnonzero(occupied > _NOISE)
    n = int(noisy[0]) if noisy.size else len(values)
    best, fall = 0, _CLEAR
    logs, powers = np.log(np.maximum(shares, 1e-9)), 2 * np.log(values)
    for k in range(1, min(n, len(values) - 1) + 1):
        spread = logs[max(0, k - _SIDE) : k].mean() - logs[k : k + _SIDE].mean()
        drop = spread + min(_ENERGY * (powers[k - 1] - powers[k]), _MOST_ENERGY)
        if drop > fall:
            best, fall = k, float(drop)
    # Of crowded bubbles, none of the components considered may be noise: then the last ones.
    level = np.median(decibels[n:] if n < len(values) else decibels[-max(1, n // 4) :])
    above = decibels[:n] > level + _OVER_NOISE_DB
    over = n if above.all() else int(np.argmin(above))
    end = best
    while any(
        shares[k] > _EVERYWHERE
        and shares[k] > _CELLS_CROSSED / cells(k)
        and (k == end or _CELLS_CROSSED / cells(k) < _EVERYWHERE)
        for k in range(end, min(end + _AHEAD, over))
    ):
        end += 1
    if end > best:
        best, fall = end, max(fall, float(powers[end - 1] - powers[end]))
    return TissueCut(best + 1, fall if best else 0.0, decibels, shares)


def _occupied(vectors: NDArray[Any]) -> NDArray[np.float64]:
    """Fraction of the Doppler spectrum filled by each temporal vector: about 1 / 2 for noise."""
    power = np.abs(np.fft.fft(vectors, axis=0)) ** 2
    return _filled(power) / len(power)


def _filled(power: NDArray[np.float64]) -> NDArray[np.float64]:
    """Effective number of frequencies (along the first axis) that a power spectrum fills."""
    total, squares = power.sum(axis=0), np.square(power).sum(axis=0)
    return np.asarray(total**2 / np.maximum(squares, 1e-300))
