"""Measure the width of a bubble's image: by autocorrelation, then on isolated bubbles.

The spatial autocorrelation of frames with bubbles at random positions and phases is that of a
single bubble's image. This holds on any grid, even one coarser than the image, since the
positions cover all fractions of a voxel. Receiver noise contributes only at lag 0, and squaring the
magnitude first enhances bubbles over noise. The autocorrelation sets the scale; isolated bubbles,
viewed on a grid of that scale, give the widths.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.fft import fft, ifft, next_fast_len
from scipy.ndimage import maximum_filter

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.calibrate.working_grid import WorkingGrid, thinning_for
from napari_ulm3d.config import PsfConfig
from napari_ulm3d.errors import InputError
from napari_ulm3d.filtering import estimate_carrier, estimate_psf

__all__ = ["Widths", "autocorrelation_widths", "measure_widths"]

_FEW, _FEWEST, _MOST_VOXELS = 32, 8, 4_000_000
"""Frames in the autocorrelation: the first number; of a large volume as many as have so many voxels, at
least the second number."""
_SMALLEST, _SQUARED_FROM = 0.6, 1.8  # voxels
_STANDS_OUT = 4.5  # over the rms of the noise
_SAMPLED_FROM = 1.45
"""Fewest voxels per width at which a bubble can be shifted to a voxel's centre without loss."""
_SECOND = 0.06  # of lag 1: below this, lag 2 carries little information (widths under 1.2 voxels)
_TOLD_BY_LAG_0 = 0.05
"""Least share of lag 0 that is not noise. The noise is known to about a hundredth of it, so that less would
be any width, up to the whole field of view."""
_LOOK = 2.5  # voxels per width at which isolated bubbles are measured
_OUTLIER = 1.7
"""Widths that differ from the autocorrelation's by more than this factor are rejected: they belong
to residual tissue or to several overlapping bubbles."""

# Patches in which a bubble must be alone, in widths; dense frames have few bubbles far apart.
_PATCH_WIDTHS = (2.6, 1.8, 1.1)


@dataclass(frozen=True)
class Widths:
    """Measured widths.

    Attributes
    ----------
    fwhm_voxels
        Full width at half maximum of the magnitude along z, y, x; 1 along an axis of one voxel.
    carrier_rad
        Axial phase step per voxel.
    n_bubbles
        Number of isolated bubbles measured; 0: autocorrelation alone.
    how
        Method, in words.
    """

    fwhm_voxels: tuple[float, float, float]
    carrier_rad: float
    n_bubbles: int
    how: str


def autocorrelation_widths(
    frames: NDArray[Any], valid: NDArray[np.bool_] | None = None, level: float = 0.0
) -> tuple[float, float, float] | None:
    """Approximate widths along z, y, x in voxels, from the spatial autocorrelation.

    For a Gaussian of width w the autocorrelation falls as exp(-2 ln 2 d^2 / w^2) with the lag d.
    Its logarithm is fitted over the squared lag, as far as it exceeds chance.

    Parameters
    ----------
    frames
        (t, z, y, x) after the clutter filter.
    valid
        (z, y, x) voxels that contain data; None: all.
    level
        Rms noise, subtracted from lag 0; matters if a width is close to one voxel.

    Returns
    -------
    None if nothing correlates. 1 along axes of one voxel.
    """
    few = min(_FEW, max(_FEWEST, _MOST_VOXELS // frames[0].size))
    some = frames[:: max(1, len(frames) // few)]
    if not np.iscomplexobj(some):
        some = some - np.median(some, axis=(1, 2, 3), keepdims=True)
    share = 1.0
    if valid is not None and not valid.all():
        some, share = np.where(valid, some, 0), float(valid.mean())
    plain = [_width(some, axis, level * np.sqrt(share)) for axis in range(1, 4)]
    squared = some * np.abs(some)
    bright = _bright(some, level)
    widths = []
    for axis, width in enumerate(plain):
        if width is not None and width > _SQUARED_FROM:
            # The square of a Gaussian is narrower by a factor of sqrt(2).
            finer = _width(squared, axis + 1, None, 0.08)
            width = width if finer is None else finer * np.sqrt(2)
        elif bright is not None:
            width = _width(bright[0], axis + 1, level * bright[1]) or width
        if width is None:
            return None
        widths.append(float(width))
    z, y, x = widths
    return (z, y, x)


def _bright(frames: NDArray[Any], level: float) -> tuple[NDArray[Any], float] | None:
    """Keep voxels well above the noise and two voxels around them; set the others to zero.

    This keeps images of about a voxel complete and leaves little noise at lag 0. Also returns
    the factor by which the rms noise of the frames falls.
    """
    bright = np.abs(frames) > _STANDS_OUT * level
    if not level > 0 or not bright.any():
        return None
    reach = [1, *(5 if n > 1 else 1 for n in frames.shape[1:])]
    bright = maximum_filter(bright, size=reach)
    return np.where(bright, frames, 0), float(np.sqrt(bright.mean()))


def _width(
    frames: NDArray[Any], axis: int, level: float | None, least: float = 0.25
) -> float | None:
    """Width along an axis; lag 0 is used only if its noise level is known."""
    n = frames.shape[axis]
    if n == 1:
        return 1.0
    lags = np.arange(min(n - 1, 64) + 1)
    values = _lagged(frames, axis, len(lags))
    # Receiver noise contributes only at lag 0.
    total = values[0] - (level or 0.0) ** 2
    # Chance level of a lag, given the effective number of independent voxels.
    power = np.square(np.abs(frames), dtype=np.float64)
    chance = 3.0 * values[0] * np.sqrt(np.square(power).sum()) / max(power.sum(), 1e-300)
    if not (values[1] > chance and values[1] > 0.004 * values[0]):
        return None
    # The first minimum ends the main lobe.
    rising = np.flatnonzero(np.diff(values[1:]) > 0)
    last = int(rising[0]) + 1 if rising.size else len(lags) - 1
    clear = max(chance, least * values[1])
    use = (lags >= 1) & (lags <= last) & (values > clear)
    if np.count_nonzero(use) < 2:
        use = (lags >= 1) & (lags <= 2) & (values > max(chance, _SECOND * values[1]))
    if np.count_nonzero(use) < 2:
        if level is None or total <= max(values[1], _TOLD_BY_LAG_0 * values[0]):
            return None
        slope = np.log(values[1] / total)
    else:
        weight = values[use]
        slope = np.polyfit(lags[use].astype(float) ** 2, np.log(values[use]), 1, w=weight)[0]
    if slope >= 0:
        return float(n)
    return float(np.clip(np.sqrt(-2 * np.log(2) / slope), _SMALLEST, n))


def _lagged(frames: NDArray[Any], axis: int, n_lags: int) -> NDArray[np.float64]:
    """|mean of conj(x) x shifted by a lag| for lags from 0, via the spectrum (Wiener-Khinchin)."""
    n = frames.shape[axis]
    padded = next_fast_len(n + n_lags)  # so that no lag wraps around
    others = tuple(k for k in range(3) if k != axis - 1)
    power = np.zeros(padded)
    for frame in frames:  # one frame at a time, to save memory
        spectrum = fft(frame, padded, axis=axis - 1)
        power += np.square(np.abs(spectrum), dtype=np.float64).sum(axis=others)
    sums = np.abs(ifft(power)[:n_lags])
    return np.asarray(sums / ((n - np.arange(n_lags)) * (frames.size // n)))


def measure_widths(
    frames: NDArray[Any],
    grid: Grid,
    valid: NDArray[np.bool_] | None = None,
    level: float = 0.0,
    min_bubbles: int = 30,
) -> Widths | None:
    """Measure the PSF's widths and carrier.

    Parameters
    ----------
    frames, valid, level
        As in `autocorrelation_widths`.
    grid
        Grid of the frames.
    min_bubbles
        Minimum number of isolated bubbles; with fewer, the widths of the autocorrelation are
        returned.

    Returns
    -------
    None if nothing exceeds the noise.
    """
    rough = autocorrelation_widths(frames, valid, level)
    if rough is None:
        return None
    carrier = estimate_carrier(frames, valid)
    look = WorkingGrid(grid, thinning_for(rough, grid.shape, _LOOK), carrier)
    seen, there = look.frames(frames), look.valid(valid)
    scale = look.widths(rough)
    best: tuple[int, tuple[float, float, float]] | None = None
    for share in _PATCH_WIDTHS:
        z, y, x = (2 * max(1, round(share * w / 2)) + 1 for w in scale)
        try:
            found = estimate_psf(
                seen,
                PsfConfig(fwhm_voxels=scale, patch_voxels=(z, y, x), min_bubbles=min_bubbles),
                there,
            )
        except InputError:
            continue
        ratio = np.array(found.fwhm_voxels) / scale
        sensible = (ratio < _OUTLIER) & (ratio > 1 / _OUTLIER)
        if sensible[np.asarray(grid.shape) > 1].all():
            best = found.n_bubbles, found.fwhm_voxels
            break
    if best is None:
        return Widths(
            rough, carrier, 0, "autocorrelation of the filtered frames (too few isolated bubbles)"
        )
    n_bubbles, widths = best
    wide, high, deep = (
        1.0 if n == 1 else float(r if r < _SAMPLED_FROM else w * k)
        for r, w, k, n in zip(rough, widths, look.thinning, grid.shape, strict=True)
    )
    return Widths((wide, high, deep), carrier, n_bubbles, f"{n_bubbles} isolated bubbles")
