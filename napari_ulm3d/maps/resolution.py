"""Resolution of a map by Fourier shell (3-D) or ring (2-D) correlation of two halves.

Tracks are divided into two half sets of alternating rank, each is converted to a density map,
and the two are correlated by spatial frequency (van Heel & Schatz, "Fourier shell
correlation threshold criteria", J. Struct. Biol. 151:250-262, 2005; for ULM: Hingot et
al., "Measuring image resolution in ultrasound localization microscopy", IEEE Trans.
Med. Imaging 40:3812-3819, 2021). To limit memory, the densest tiles of the map are
transformed one after the other, and their spectra are summed before the ratio is computed.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.maps.resolution_curve import FIXED_THRESHOLD, Resolution
from napari_ulm3d.volumes import VesselMap, refuse_predicted

__all__ = ["half_bit_threshold", "resolution"]

# Fraction of each tile edge, both ends together, over which the Tukey window decays.
_TAPER = 0.5

_AT_ONCE = 1 << 19


def half_bit_threshold(n_independent: NDArray[np.float64]) -> NDArray[np.float64]:
    """The 1/2-bit curve of van Heel & Schatz (2005), eq. 17, for two half sets.

    Parameters
    ----------
    n_independent
        Number of Fourier coefficients in each shell; see `Resolution`.
    """
    root = np.sqrt(np.maximum(n_independent, 1.0))
    return (0.2071 + 1.9102 / root) / (1.2071 + 0.9102 / root)


def resolution(
    first: VesselMap,
    second: VesselMap,
    tile_voxels: int = 96,
    max_tiles: int = 8,
    *,
    n_tracks: int | None = None,
) -> Resolution:
    """Fourier shell correlation of two half maps on one grid (ring if an axis has one voxel).

    Parameters
    ----------
    first, second
        Densities of the halves, from `MapAccumulator.halves`.
    tile_voxels
        Approximate edge of the tiles: each axis is divided evenly into tiles of 2/3 to 3/2 of it.
    max_tiles
        Maximum number of tiles; those with the most counts are used.
    n_tracks
        Tracks in both halves together; with fewer than `resolution_curve.FEWEST_TRACKS` the curve is measured and
        the resolution is NaN.

    Raises
    ------
    ConfigError
        The maps have different grids.
    InputError
        A map was predicted, not measured.
    """
    refuse_predicted(first, second, what="resolution")
    if first.grid != second.grid:
        raise ConfigError("The two half maps must share one grid. Make both with one accumulator.")
    grid = first.grid
    tile, counts = _tiling(grid, tile_voxels)
    numbers = _densest(first, second, tile, counts, max_tiles)
    windows = [_tukey(n) for n in tile]
    shell, frequency, multiplicity, nyquist_um = _shells(tile, grid.spacing_um)

    cones = _cones(tile, grid.spacing_um)
    pairs = (
        [_spectrum(_cut(half, tile, counts, number), windows) for half in (first, second)]
        for number in numbers
    )
    sums = _summed(pairs, shell, multiplicity, cones, frequency.size)
    with np.errstate(invalid="ignore", divide="ignore"):
        correlations = sums[:, 0] / np.sqrt(sums[:, 1] * sums[:, 2])
    correlation = correlations[0]

    # The coefficients of a real map are conjugate pairs, but each has two parts: pure noise
    # correlates with a standard deviation of 1 / sqrt(all coefficients). A taper correlates
    # neighbours within the shell, along its surface (one dimension less than the map).
    counted = np.broadcast_to(multiplicity, _half(tile)).ravel()
    resolved = sum(n > 1 for n in tile)
    kept = float(np.prod([np.mean(w**2) ** 2 / np.mean(w**4) for w in windows]))
    share = len(numbers) * kept ** (1 - 1 / max(resolved, 1))
    n_independent = share * _of_shells(shell, counted, frequency.size)
    axes_um = [
        _crossing_um(
            frequency,
            correlations[1 + axis],
            half_bit_threshold(share * _of_shells(shell[cone], counted[cone], frequency.size)),
            nyquist_um,
        )
        if tile[axis] > 1
        else float("nan")
        for axis, cone in enumerate(cones)
    ]
    half_bit = half_bit_threshold(n_independent)
    by_half_bit = _crossing_um(frequency, correlation, half_bit, nyquist_um)
    fixed = np.full_like(correlation, FIXED_THRESHOLD)
    by_fixed = _crossing_um(frequency, correlation, fixed, nyquist_um)

    notes = _notes(tile, len(numbers), by_half_bit, nyquist_um)
    return Resolution(
        frequency, correlation, half_bit, n_independent,
        by_half_bit, by_fixed, by_half_bit == nyquist_um, notes,
        (axes_um[0], axes_um[1], axes_um[2]), correlations[1:], n_tracks,
    ).trusted()  # fmt: skip


def _notes(
    tile: tuple[int, int, int], n_tiles: int, by_half_bit: float, nyquist_um: float
) -> tuple[str, ...]:
    """Describe how the resolution was measured, and what limits it."""
    dimension = "shell" if min(tile) > 1 else "ring"
    notes = [
        (
            f"Fourier {dimension} correlation of the track densities of two half data sets "
            "(alternating tracks by rank)."
        ),
        (
            "Thresholds are for half data sets, not extrapolated to the full set; the "
            f"spectra of {n_tiles} Tukey-tapered tile(s) of {'x'.join(map(str, tile))} "
            "voxels (z, y, x) were added."
        ),
    ]
    if not n_tiles:
        notes.append(
            "No tile contains tracks of both halves, so the resolution cannot be measured."
        )
    elif np.isnan(by_half_bit):
        notes.append("The curve never exceeds the 1/2-bit threshold: too few tracks.")
    elif by_half_bit == nyquist_um:
        notes.append(
            "The curve stays above the 1/2-bit threshold: the resolution is limited by the "
            "map's voxel."
        )
    return tuple(notes)


def _tiling(grid: Grid, edge: int) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
    """Tile size and number of tiles along each axis; tiles are adjacent, the rest is margin."""
    z, y, x = (max(1, round(n / edge)) for n in grid.shape)
    counts = (z, y, x)
    a, b, c = (n // k for n, k in zip(grid.shape, counts, strict=True))
    return (a, b, c), counts


def _tile_of(
    index: NDArray[np.int64],
    shape: tuple[int, int, int],
    tile: tuple[int, int, int],
    counts: tuple[int, int, int],
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    number = np.zeros(index.size, np.int64)
    inside = np.ones(index.size, bool)
    coordinates = np.unravel_index(index, shape)
    for position, size, count in zip(coordinates, tile, counts, strict=True):
        along = position // size
        inside &= along < count
        number = number * count + along
    return number, inside


def _densest(
    first: VesselMap,
    second: VesselMap,
    tile: tuple[int, int, int],
    counts: tuple[int, int, int],
    max_tiles: int,
) -> list[int]:
    """Numbers of the tiles with the most counts, among those with tracks of both halves."""
    totals = []
    for half in (first, second):
        total = np.zeros(int(np.prod(counts)))
        for low in range(0, half.index.size, _AT_ONCE):
            part = slice(low, low + _AT_ONCE)
            number, inside = _tile_of(half.index[part], half.shape, tile, counts)
            total += np.bincount(number[inside], half.values[part][inside], minlength=total.size)
        totals.append(total)
    both = np.where((totals[0] > 0) & (totals[1] > 0), totals[0] + totals[1], 0.0)
    order = np.argsort(-both, kind="stable")[:max_tiles]
    return [int(number) for number in order if both[number] > 0]


def _cut(
    half: VesselMap, tile: tuple[int, int, int], counts: tuple[int, int, int], number: int
) -> NDArray[np.float32]:
    """One tile as a full array, from the sparse map."""
    start = np.asarray(np.unravel_index(number, counts)) * tile
    plane = half.shape[1] * half.shape[2]
    low, high = np.searchsorted(half.index, (start[0] * plane, (start[0] + tile[0]) * plane))
    z, y, x = np.unravel_index(half.index[low:high], half.shape)
    inside = (y >= start[1]) & (y < start[1] + tile[1]) & (x >= start[2]) & (x < start[2] + tile[2])
    out = np.zeros(tile, np.float32)
    out[z[inside] - start[0], y[inside] - start[1], x[inside] - start[2]] = half.values[low:high][
        inside
    ]
    return out


def _tukey(n: int) -> NDArray[np.float32]:
    """Periodic Tukey window of n samples (1 for a single sample).

    Harris, Proc. IEEE 66, 51 (1978); as in SciPy, whose `scipy.signal` takes a second to import.
    """
    if n == 1:
        return np.ones(1, np.float32)
    at = np.arange(n) / n
    edge = np.minimum(np.minimum(at, 1 - at) * 2 / _TAPER, 1.0)
    return (0.5 - 0.5 * np.cos(np.pi * edge)).astype(np.float32)


def _spectrum(
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


def _half(tile: tuple[int, int, int]) -> tuple[int, int, int]:
    return (tile[0], tile[1], tile[2] // 2 + 1)


def _shells(
    tile: tuple[int, int, int], spacing_um: tuple[float, float, float]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], float]:
    """Shell of each coefficient of the half spectrum, shell frequencies, multiplicity, Nyquist.

    Shell 0 is the mean; all shells beyond Nyquist get the last number.
    """
    resolved = [k for k in range(3) if tile[k] > 1] or [0]
    width = 1.0 / max(tile[k] * spacing_um[k] for k in resolved)
    nyquist = min(0.5 / spacing_um[k] for k in resolved)
    n_shells = max(int(np.floor(nyquist / width + 1e-9)), 1)
    square = np.zeros(_half(tile))
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


def _summed(
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
            sums[0, k] += _of_shells(shell, weighted, n_shells)
            for a, cone in enumerate(cones):
                sums[1 + a, k] += _of_shells(shell[cone], weighted[cone], n_shells)
    return sums


def _of_shells(
    shell: NDArray[np.int64], weights: NDArray[np.floating], n_shells: int
) -> NDArray[np.float64]:
    return np.asarray(np.bincount(shell, weights, n_shells + 2)[1:-1], np.float64)


def _cones(
    tile: tuple[int, int, int], spacing_um: tuple[float, float, float]
) -> list[NDArray[np.intp]]:
    """Coefficients of the half spectrum within 45 degrees of the z, y and x axes."""
    squares = []
    for axis, (n, s) in enumerate(zip(tile, spacing_um, strict=True)):
        line = np.fft.rfftfreq(n, s) if axis == 2 else np.fft.fftfreq(n, s)
        squares.append((line**2).reshape([-1 if k == axis else 1 for k in range(3)]))
    total = squares[0] + squares[1] + squares[2]
    return [np.flatnonzero(2 * square >= total) for square in squares]


def _crossing_um(
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
