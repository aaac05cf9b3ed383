"""Local resolution: Fourier shell correlation in windows.

A single number cannot describe a map in which some vessels were crossed by ten thousand bubbles and
others by ten. The two half maps are therefore correlated within a moving window, following Cardone,
Heymann & Steven ("One number does not fit all: mapping local variations in resolution in cryo-EM
reconstructions", J. Struct. Biol. 184:226-236, 2013).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.maps.spectra import (
    ShellSums,
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

__all__ = ["local_resolution"]

_FEWEST_VOXELS = 30
"""Minimum number of voxels that each half must reach within a window."""


def local_resolution(
    first: VesselMap,
    second: VesselMap,
    window_voxels: int = 48,
    go_on: Callable[[], None] = lambda: None,
) -> VesselMap:
    """Map of the resolution (1/2-bit criterion), um, with one voxel per window.

    Parameters
    ----------
    first, second
        Densities of the halves, from `MapAccumulator.halves`.
    window_voxels
        Edge of a window; along a shorter axis, the size of the map. Windows overlap by half.
        A window of n voxels can measure resolutions up to about n / 3 voxels.
    go_on
        Called for every window; raises to end the work.

    Returns
    -------
    VesselMap
        ``resolution_local``, on a grid with the spacing of the windows, each voxel centred on
        its window. Empty where a half has hardly any tracks, or where the halves do not
        correlate. The smallest possible value is twice the map's voxel.

    Raises
    ------
    ConfigError
        The maps have different grids, or the window is smaller than 8 voxels.
    InputError
        A map was predicted, not measured.
    """
    refuse_predicted(first, second, what="resolution")
    if first.grid != second.grid:
        raise ConfigError("The two half maps must share one grid. Make both with one accumulator.")
    if window_voxels < 8:
        raise ConfigError(f"A window needs 8 voxels or more along an edge, not {window_voxels}.")
    grid = first.grid
    z, y, x = (min(window_voxels, n) for n in grid.shape)
    window = (z, y, x)
    coarse, begin, stride = _coarse(grid, window)
    tapers = [tukey(n) for n in window]
    shell, frequency, multiplicity, nyquist_um = shells(window, grid.spacing_um)
    counted = np.broadcast_to(multiplicity, half_shape(window)).ravel()
    resolved = sum(n > 1 for n in window)
    kept = float(np.prod([np.mean(w**2) ** 2 / np.mean(w**4) for w in tapers]))
    threshold = half_bit_threshold(
        kept ** (1 - 1 / max(resolved, 1)) * of_shells(shell, counted, frequency.size)
    )

    taper = product_window(tapers)
    sums = ShellSums(window, shell, multiplicity, frequency.size)
    index, values = [], []
    for number, pair in _windows((first, second), window, coarse.shape, begin, stride):
        go_on()
        a, b = (spectrum(half, taper) for half in pair)
        with np.errstate(invalid="ignore", divide="ignore"):
            product, first_power, second_power = sums.products(a, b)[0]
            correlation = product / np.sqrt(first_power * second_power)
        found = crossing_um(frequency, correlation, threshold, nyquist_um)
        if np.isfinite(found):
            index.append(number)
            values.append(found)
    return VesselMap(
        "resolution_local", coarse, np.array(index, np.int64), np.array(values, np.float32), "um"
    )


def _coarse(
    grid: Grid, window: tuple[int, int, int]
) -> tuple[Grid, tuple[int, ...], tuple[int, ...]]:
    """The grid of the windows, the corner of the first, and the steps between windows, voxels.

    The margin is the same on both sides.
    """
    stride = tuple(max(1, n // 2) for n in window)
    counts = [
        (n - w) // s + 1 for n, w, s in zip(grid.shape, window, stride, strict=True)
    ]  # fmt: skip
    begin = tuple(
        (n - w - (k - 1) * s) // 2
        for n, w, k, s in zip(grid.shape, window, counts, stride, strict=True)
    )
    spacing = [s * d for s, d in zip(stride, grid.spacing_um, strict=True)]
    origin = [
        o + (b + (w - 1) / 2) * d
        for o, b, w, d in zip(grid.origin_um, begin, window, grid.spacing_um, strict=True)
    ]
    coarse = Grid(
        (counts[0], counts[1], counts[2]),
        (spacing[0], spacing[1], spacing[2]),
        (origin[0], origin[1], origin[2]),
    )
    return coarse, begin, stride


_Pair = list[NDArray[np.float32]]


def _windows(
    halves: tuple[VesselMap, VesselMap],
    window: tuple[int, int, int],
    counts: tuple[int, int, int],
    begin: tuple[int, ...],
    stride: tuple[int, ...],
) -> Iterator[tuple[int, _Pair]]:
    """Number and halves of each window with tracks in both; one row of windows is in memory."""
    for k in range(counts[0]):
        top = begin[0] + k * stride[0]
        layers = [_layer(half, top, top + window[0]) for half in halves]
        for j in range(counts[1]):
            left = begin[1] + j * stride[1]
            made = [_row(layer, left, window, halves[0].shape[2]) for layer in layers]
            rows, reached = [row for row, _ in made], [count for _, count in made]
            for i in range(counts[2]):
                low = begin[2] + i * stride[2]
                part = slice(low, low + window[2])
                if min(int(n[part].sum()) for n in reached) < _FEWEST_VOXELS:
                    continue
                yield (k * counts[1] + j) * counts[2] + i, [row[..., part].copy() for row in rows]


_Layer = tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]


def _layer(half: VesselMap, start: int, stop: int) -> _Layer:
    """Positions (z from `start`) and values in a range of planes."""
    plane = half.shape[1] * half.shape[2]
    low, high = np.searchsorted(half.index, (start * plane, stop * plane))
    z, y, x = np.unravel_index(half.index[low:high], half.shape)
    return z - start, y, x, half.values[low:high]


def _row(
    layer: _Layer, left: int, window: tuple[int, int, int], width: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Voxels of a row of windows, and how many of them at each x have tracks."""
    z, y, x, values = layer
    inside = (y >= left) & (y < left + window[1])
    out = np.zeros((window[0], window[1], width), np.float32)
    out[z[inside], y[inside] - left, x[inside]] = values[inside]
    return out, np.bincount(x[inside & (values > 0)], minlength=width)
