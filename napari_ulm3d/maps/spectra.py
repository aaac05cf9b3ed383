"""Spectra of two halves of a map, compared by spatial frequency (see `resolution`)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "TAPER",
    "ShellSums",
    "cones",
    "crossing_um",
    "half_bit_threshold",
    "half_shape",
    "of_shells",
    "product_window",
    "shells",
    "spectrum",
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


def product_window(windows: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """The window of a tile from those of its axes."""
    a, b, c = windows
    return a[:, None, None] * b[None, :, None] * c[None, None, :]


def spectrum(tile: NDArray[np.float32], window: NDArray[np.float32]) -> NDArray[np.complex64]:
    """Half spectrum of a tile (overwritten) in a window of its shape."""
    from scipy.fft import rfftn

    tile *= window
    # Subtract the weighted mean, or the window's own spectrum would correlate.
    tile -= tile.sum() / window.sum() * window
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


class ShellSums:
    """Sums over the shells of a half spectrum: of all coefficients, then around each axis.

    As a sparse matrix, which takes half the time of `numpy.bincount`.

    Parameters
    ----------
    tile, shell, multiplicity, n_shells
        Shape of the tile, and from `shells` with the number of frequencies.
    cones
        From `cones`; none: only of all coefficients.
    """

    def __init__(
        self,
        tile: tuple[int, int, int],
        shell: NDArray[np.int64],
        multiplicity: NDArray[np.float64],
        n_shells: int,
        cones: Sequence[NDArray[np.intp]] = (),
    ) -> None:
        from scipy.sparse import csr_matrix

        counted = np.broadcast_to(multiplicity, half_shape(tile)).ravel()
        rows, columns = [], []
        for k, part in enumerate((np.arange(shell.size), *cones)):
            inside = part[(shell[part] > 0) & (shell[part] <= n_shells)]
            rows.append(k * n_shells + shell[inside] - 1)
            columns.append(inside)
        at = np.concatenate(columns)
        self._shape = (1 + len(cones), n_shells)
        self._matrix = csr_matrix(
            (counted[at], (np.concatenate(rows), at)), (int(np.prod(self._shape)), shell.size)
        )

    def products(
        self, first: NDArray[np.complex64], second: NDArray[np.complex64]
    ) -> NDArray[np.float64]:
        """(1 + cones, 3, shells): sums of Re(a b*), |a|^2 and |b|^2 of two half spectra."""
        a, b = ((s.real.ravel(), s.imag.ravel()) for s in (first, second))
        pairs = ((a, b), (a, a), (b, b))
        sums = [self._matrix @ (p[0] * q[0] + p[1] * q[1]) for p, q in pairs]
        return np.stack([one.reshape(self._shape) for one in sums], axis=1)


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
