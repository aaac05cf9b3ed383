"""Resolution of a map by Fourier shell (3-D) or ring (2-D) correlation of two halves.

Tracks are divided into two half sets of alternating rank, each is converted to a density map,
and the two are correlated by spatial frequency (van Heel & Schatz, "Fourier shell
correlation threshold criteria", J. Struct. Biol. 151:250-262, 2005; for ULM: Hingot et
al., "Measuring image resolution in ultrasound localization microscopy", IEEE Trans.
Med. Imaging 40:3812-3819, 2021). To limit memory, the densest tiles of the map are
transformed one after the other, and their spectra are summed before the ratio is computed.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.maps.resolution_curve import FIXED_THRESHOLD, Resolution
from napari_ulm3d.maps.spectra import (
    ShellSums,
    cones,
    crossing_um,
    half_bit_threshold,
    half_shape,
    of_shells,
    product_window,
    shells,
    spectrum,
    tukey,
)
from napari_ulm3d.volumes import VesselMap, refuse_predicted

__all__ = ["half_bit_threshold", "resolution"]

_AT_ONCE = 1 << 19


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
        Number of tracks in both halves; with fewer than `resolution_curve.FEWEST_TRACKS`, the
        resolution is NaN.

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
    windows = [tukey(n) for n in tile]
    shell, frequency, multiplicity, nyquist_um = shells(tile, grid.spacing_um)

    around, window = cones(tile, grid.spacing_um), product_window(windows)
    pairs = (
        [spectrum(_cut(half, tile, counts, number), window) for half in (first, second)]
        for number in numbers
    )
    shell_sums = ShellSums(tile, shell, multiplicity, frequency.size, around)
    sums = np.zeros((1 + len(around), 3, frequency.size))
    for a, b in pairs:
        sums += shell_sums.products(a, b)
    with np.errstate(invalid="ignore", divide="ignore"):
        correlations = sums[:, 0] / np.sqrt(sums[:, 1] * sums[:, 2])
    correlation = correlations[0]

    # The coefficients of a real map are conjugate pairs, but each has two parts: pure noise
    # correlates with a standard deviation of 1 / sqrt(all coefficients). A taper correlates
    # neighbours within the shell, along its surface (one dimension less than the map).
    counted = np.broadcast_to(multiplicity, half_shape(tile)).ravel()
    resolved = sum(n > 1 for n in tile)
    kept = float(np.prod([np.mean(w**2) ** 2 / np.mean(w**4) for w in windows]))
    share = len(numbers) * kept ** (1 - 1 / max(resolved, 1))
    n_independent = share * of_shells(shell, counted, frequency.size)
    axes_um = [
        crossing_um(
            frequency,
            correlations[1 + axis],
            half_bit_threshold(share * of_shells(shell[cone], counted[cone], frequency.size)),
            nyquist_um,
        )
        if tile[axis] > 1
        else float("nan")
        for axis, cone in enumerate(around)
    ]
    half_bit = half_bit_threshold(n_independent)
    by_half_bit = crossing_um(frequency, correlation, half_bit, nyquist_um)
    fixed = np.full_like(correlation, FIXED_THRESHOLD)
    by_fixed = crossing_um(frequency, correlation, fixed, nyquist_um)

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
