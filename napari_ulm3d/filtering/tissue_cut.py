"""How many singular components are tissue: those that light up everywhere, not in a few places.

Tissue fills the volume; a bubble is a spot. So the power of a spatial singular vector of tissue is
spread over a large share of the voxels, that of bubbles over few. The share is the participation
ratio (sum |u|^2)^2 / (n sum |u|^4): 1 / 2 for fully developed speckle, and for noise, which comes
last; a hundredth or less for bubbles. Where it falls from one component to the next ones, in the
logarithm, the tissue ends. How far the singular values fall there counts as well, since strong
tissue may be a few bright spots too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.filtering.randomized import leading_components

__all__ = ["TissueCut", "cut_of_spectrum", "participation", "tissue_cut"]

_FEWEST = 8  # frames, below which there is nothing to compare
_MOST = 40  # components looked at
_SIDE = 3  # components compared on either side of a cut
_ENERGY = (
    0.25  # weight of a fall of the singular values, nepers of power, beside that of the spread
)
_MOST_ENERGY = 0.5  # nepers: within tissue the energy falls steeply, too
_CLEAR = 0.9  # least fall that tells tissue from bubbles
_NOISE = 0.3  # spectra spread over more than this share of the frequencies are noise's


@dataclass(frozen=True)
class TissueCut:
    """Where tissue ends.

    Attributes
    ----------
    first
        First singular component kept, counted from 1; 1: no tissue was recognized.
    fall
        How clearly: the fall of the spread and of the energy there, nepers.
    values_db
        Singular values over their median of those looked at, dB.
    participation
        Of the same components.
    """

    first: int
    fall: float
    values_db: NDArray[np.float64]
    participation: NDArray[np.float64]


def tissue_cut(block: NDArray[Any], valid: NDArray[np.bool_] | None = None) -> TissueCut:
    """The first component to keep, from a block before the clutter filter.

    Parameters
    ----------
    block
        (t, z, y, x) complex64 or float32.
    valid
        (z, y, x) voxels that hold data; None: all.
    """
    n_frames = len(block)
    if n_frames < _FEWEST:
        return TissueCut(1, 0.0, np.zeros(0), np.zeros(0))
    casorati = np.ascontiguousarray(block).reshape(n_frames, -1)
    if valid is not None and not valid.all():
        casorati = np.ascontiguousarray(casorati[:, valid.reshape(-1)])
    most = min(_MOST, max(4, n_frames // 4), casorati.shape[1])
    values, vectors = leading_components(casorati, most)
    shares = participation(casorati, vectors)
    return cut_of_spectrum(values, shares, _occupied(vectors))


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


def cut_of_spectrum(
    values: NDArray[np.float64],
    shares: NDArray[np.float64],
    occupied: NDArray[np.float64],
) -> TissueCut:
    """The cut from the components' singular values, participation and share of the spectrum.

    Parameters
    ----------
    values, shares, occupied
        (n,) each, the strongest component first.
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
    return TissueCut(best + 1, fall if best else 0.0, decibels, shares)


def _occupied(vectors: NDArray[Any]) -> NDArray[np.float64]:
    """Share of the Doppler spectrum that each temporal vector fills: about 1 / 2 for noise."""
    power = np.abs(np.fft.fft(vectors, axis=0)) ** 2
    return np.asarray(power.sum(axis=0) ** 2 / (len(power) * np.square(power).sum(axis=0)))
