"""Spectra of two halves of a map, compared by spatial frequency (see `resolution`)."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "TAPER",
    "cones",
    "crossing_um",
    "half_bit_threshold",
    "half_shape",
    "of_shells",
    "shells",
    "spectrum",
    "summed",
    "tukey",
]

# Fraction of each tile edge, both ends together, over which the Tukey window decays.
TAPER = 0.5


def half_bit_threshold(n_independent: NDArray[np.float64]) -> NDArray[np.float64]:
    """The 1/2-bit curve of van Heel & Schatz (2005), eq. 17, for two half sets.

    Parameters
    ----------
    n_independent
        Number of Fourier coefficients in each shell, see `Resolution`.
    """
    root = np.sqrt(np.maximum(n_independent, 1.0))
    return (0.2071 + 1.9102 / root) / (1.2071 + 0.9102 / root)


def tukey(n: int) -> NDArray[np.float32]:
    """Periodic Tukey window of n samples (1 for a single sample).

    Harris, Proc. IEEE 66, 51 (1978); as in SciPy, whose `scipy.signal` takes a second to import.
    """
    if n == 1:
        return np.ones(1, np.float32)
    at = np.arange(n) / n
    edge = np.minimum(np.minimum(at, 1 - at) * 2 / TAPER, 1.0)
    return (0.5 - 0.5 * np.cos(np.pi * edge)).astype(np.float32)


def spectrum(
    tile: NDArray[np.float32], windows: list[NDArray[np.float32]]
) -> NDArray[np.complex64]:
    from scipy.fft import rfftn

    a, b, c = windows
    window = a[:, None, None] * b[None, :, None] * c[None, None, :]
    # Subtract the weighted mean, or the window's own spectrum would correlate.
    mean = float((tile * window).sum(dtype=np.float64) / window.sum(dtype=np.float64))
    tile -= np.float32(mean)
    tile *= window
    return rfftn(tile, overwrite_x=True)


def half_shape(tile: tuple[int, int, int]) -> tuple[int, int, int]:
    return (tile[0], tile[1], tile[2] // 2 + 1)


def shells(
    tile: tuple[int, int, int], spacing_um: tuple[float, float, float]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], float]:
    """Shell of each coefficient of the half spectrum, shell frequencies, multiplicity, Nyquist.

    Shell 0 is the mean; all shells beyond Nyquist get the last number.
    """
    resolved = [k for k in range(3) if tile[k] > 1] or [0]
    width = 1.0 / max(tile[k] * spacing_um[k] for k in resolved)
    nyquist = min(0.5 / spacing_um[k] for k in resolved)
    n_shells = max(int(np.floor(nyquist / width + 1e-9)), 1)
    square = np.zeros(half_shape(tile))
    for axis, (n, s) in enumerate(zip(tile, spacing_um, strict=True)):
        line = np.fft.rfftfreq(n, s) if axis == 2 else np.fft.fftfreq(n, s)
        square += (line**2).reshape([-1 if k == axis else 1 for k in range(3)])
    shell = np.minimum(np.rint(np.sqrt(square) / width), n_shells + 1).astype(np.int64).ravel()
    multiplicity = np.full(tile[2] // 2 + 1, 2.0)
    multiplicity[0] = 1.0
    if tile[2] % 2 == 0:
        multiplicity[-1] = 1.0
    frequency = np.arange(1, n_shells + 1, dtype=np.float64) * width
    return shell, frequency, multiplicity, 1 / nyquist


def summed(
    pairs: Iterable[list[NDArray[np.complex64]]],
    shell: NDArray[np.int64],
    multiplicity: NDArray[np.float64],
    cones: list[NDArray[np.intp]],
    n_shells: int,
) -> NDArray[np.float64]:
    """Products of spectra, (1 + cones, 3, shells): of all coefficients, then around each axis."""
    sums = np.zeros((1 + len(cones), 3, n_shells))
    for spectra in pairs:
        products = (
            (spectra[0] * spectra[1].conj()).real,
            np.abs(spectra[0]) ** 2,
            np.abs(spectra[1]) ** 2,
        )
        for k, product in enumerate(products):
            weighted = (product * multiplicity).ravel()
            sums[0, k] += of_shells(shell, weighted, n_shells)
            for a, cone in enumerate(cones):
                sums[1 + a, k] += of_shells(shell[cone], weighted[cone], n_shells)
    return sums


def of_shells(
    shell: NDArray[np.int64], weights: NDArray[np.floating], n_shells: int
) -> NDArray[np.float64]:
    return np.asarray(np.bincount(shell, weights, n_shells + 2)[1:-1], np.float64)


def cones(
    tile: tuple[int, int, int], spacing_um: tuple[float, float, float]
) -> list[NDArray[np.intp]]:
    """Coefficients of the half spectrum within 45 degrees of the z, y and x axes."""
    squares = []
    for axis, (n, s) in enumerate(zip(tile, spacing_um, strict=True)):
        line = np.fft.rfftfreq(n, s) if axis == 2 else np.fft.fftfreq(n, s)
        squares.append((line**2).reshape([-1 if k == axis else 1 for k in range(3)]))
    total = squares[0] + squares[1] + squares[2]
    return [np.flatnonzero(2 * square >= total) for square in squares]


def crossing_um(
    frequency: NDArray[np.float64],
    correlation: NDArray[np.float64],
    threshold: NDArray[np.float64],
    nyquist_um: float,
) -> float:
    """Period at which the curve first falls below the threshold; see `Resolution`."""
    margin = np.nan_to_num(correlation, nan=-1.0) - threshold
    above = margin >= 0
    # The curve has to start above it: an isolated peak at high frequency is noise.
    begin = np.flatnonzero(above[: max(3, above.size // 10)])
    if not begin.size:
        return float("nan")
    below = np.flatnonzero(~above[begin[0] :])
    if not below.size:
        return nyquist_um
    k = int(begin[0] + below[0])
    share = margin[k - 1] / (margin[k - 1] - margin[k])
    return float(1.0 / (frequency[k - 1] + share * (frequency[k] - frequency[k - 1])))
