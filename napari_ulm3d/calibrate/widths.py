"""How wide a bubble's image is, on any grid: from the autocorrelation, then from isolated bubbles.

Of frames of bubbles at random places with random phases the spatial autocorrelation is that of one
bubble's image, however finely it is sampled, and even where the samples are further apart than the
image is wide, since the bubbles' places cover all fractions of a voxel. Noise of the receiver adds
to lag 0 alone; raising the magnitude to its square first makes little of noise and much of what
stands out. That gives the scale; the isolated bubbles, looked at on a grid of that scale, give the
widths.
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

_FEW = 32  # frames that the autocorrelation is taken of
_SMALLEST, _SQUARED_FROM = 0.6, 1.8  # voxels
_STANDS_OUT = 4.5  # over the rms of the noise
_SAMPLED_FROM = 1.45
"""Voxels a width from which a bubble can be moved to a voxel's centre without loss."""
_SECOND = 0.06  # of lag 1: below that, lag 2 says little (widths under 1.2 voxels)
_LOOK = 2.5  # voxels a width at which isolated bubbles are looked at
_OUTLIER = 1.7
"""Isolated bubbles that are wider or narrower than the autocorrelation by more than this are not
bubbles: residues of tissue, or several as one."""

# Patches in which a bubble must be alone, in widths: where many are in view, few are so far apart.
_PATCH_WIDTHS = (2.6, 1.8, 1.1)


@dataclass(frozen=True)
class Widths:
    """Widths that were measured.

    Attributes
    ----------
    fwhm_voxels
        Full width at half maximum of the magnitude along z, y, x; 1 along an axis of one voxel.
    carrier_rad
        Axial phase step a voxel.
    n_bubbles
        Isolated bubbles that they rest on; 0: the autocorrelation alone.
    how
        In words.
    """

    fwhm_voxels: tuple[float, float, float]
    carrier_rad: float
    n_bubbles: int
    how: str


def autocorrelation_widths(
    frames: NDArray[Any], valid: NDArray[np.bool_] | None = None, level: float = 0.0
) -> tuple[float, float, float] | None:
    """Rough widths along z, y, x, voxels, from the spatial autocorrelation.

    For a Gaussian of width w the autocorrelation falls as exp(-2 ln 2 d^2 / w^2) with the lag d;
    the slope over the squared lag is fitted where it is still clear.

    Parameters
    ----------
    frames
        (t, z, y, x) after the clutter filter.
    valid
        (z, y, x) voxels that hold data; None: all.
    level
        Rms of the noise, taken off lag 0; matters where a width is hardly more than a voxel.

    Returns
    -------
    None where nothing correlates. 1 along axes of one voxel.
    """
    some = frames[:: max(1, len(frames) // _FEW)]
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
            # The square of a Gaussian is narrower by the root of two.
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
    """What stands out of the noise and two voxels about it, the rest zero; and the noise's share.

    Images of hardly more than a voxel are whole in it, and lag 0 holds little noise.
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
    """Width along an axis; lag 0 is looked at only where the level of the noise in it is known."""
    n = frames.shape[axis]
    if n == 1:
        return 1.0
    lags = np.arange(min(n - 1, 64) + 1)
    values = _lagged(frames, axis, len(lags))
    # Noise of the receiver is in lag 0 alone.
    total = values[0] - (level or 0.0) ** 2
    # What as many independent voxels as hold the energy would leave of a lag.
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
        if level is None or total <= values[1]:
            return None
        slope = np.log(values[1] / total)
    else:
        weight = values[use]
        slope = np.polyfit(lags[use].astype(float) ** 2, np.log(values[use]), 1, w=weight)[0]
    if slope >= 0:
        return float(n)
    return float(np.clip(np.sqrt(-2 * np.log(2) / slope), _SMALLEST, n))


def _lagged(frames: NDArray[Any], axis: int, n_lags: int) -> NDArray[np.float64]:
    """|mean of conj(x) x shifted by a lag| for lags from 0, by the spectrum (Wiener-Khinchin)."""
    n = frames.shape[axis]
    padded = next_fast_len(n + n_lags)  # so that no lag wraps around
    others = tuple(k for k in range(3) if k != axis - 1)
    power = np.zeros(padded)
    for frame in frames:  # a frame at a time: no array the size of them all
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
    """The PSF's widths and its carrier.

    Parameters
    ----------
    frames, valid, level
        As of `autocorrelation_widths`.
    grid
        Of the frames.
    min_bubbles
        Fewest isolated bubbles that widths may rest on; with fewer they are the
        autocorrelation's.

    Returns
    -------
    None where nothing stands out of the noise.
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
