"""Localize bubbles in filtered frames, by maxima and a sub-voxel localizer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import prange
from numpy.typing import NDArray

from napari_ulm3d._caches import njit
from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import LocalizeConfig
from napari_ulm3d.errors import ConfigError, InputError
from napari_ulm3d.localize.detect import Candidates, detect_maxima
from napari_ulm3d.localize.rejections import Rejections
from napari_ulm3d.localize.subvoxel.fits import Fits, Stack
from napari_ulm3d.localize.subvoxel.registry import LOCALIZERS
from napari_ulm3d.tables import Localizations

__all__ = ["LocalizedFrames", "localize"]

_VOXELS_AT_ONCE = 2_000_000  # limits the working memory to about 16 MB


@dataclass(frozen=True)
class LocalizedFrames:
    """Localizations and rejections of `localize`."""

    localizations: Localizations
    rejections: Rejections


def localize(
    frames: NDArray[Any],
    grid: Grid,
    config: LocalizeConfig,
    *,
    rate_hz: float,
    first_frame: int = 0,
    correlation: NDArray[Any] | None = None,
    valid: NDArray[np.bool_] | None = None,
) -> LocalizedFrames:
    """Localize bubbles in frames without tissue.

    Parameters
    ----------
    frames
        (t, z, y, x) complex64 IQ, or float32 envelope. Frames are processed
        independently of each other.
    grid
        Spacing and origin; its shape is that of a frame.
    config
        The settings.
    rate_hz
        Volumes per second.
    first_frame
        Number of the first frame in the whole acquisition.
    correlation
        (t, z, y, x) normalized correlation with the PSF, complex or its magnitude,
        |c| <= 1. Required by `min_correlation`; `parabolic` interpolates it.
    valid
        (z, y, x) voxels that contain data (`filtering.valid_voxels`); None: all.

    Returns
    -------
    LocalizedFrames
        Localizations sorted by frame, then z, y, x. `snr_db` is 20 log10 of the peak
        relative to its background: for `gaussian`, the fitted peak relative to the residual (see
        `gaussian`), otherwise the envelope relative to its mean in the patch (see `detect`).
        `score` is |c| at the maximum, or the localizer's quality without a correlation.
        Positions lie within the volume. Only `gaussian` gives `sigma_*_um`.

    Raises
    ------
    InputError
        Frames differ in shape from the grid, or contain NaN or infinite values.
    ConfigError
        `min_correlation` is set without a correlation, or the localizer is a network.
    """
    _check(frames, grid, config, rate_hz, correlation)
    at_once = max(1, _VOXELS_AT_ONCE // grid.size)
    tables, rejections = [], Rejections()
    for low in range(0, frames.shape[0], at_once):
        part = slice(low, low + at_once)
        stack = _stack(
            frames[part],
            None if correlation is None else correlation[part],
            first_frame + low,
            valid,
        )
        candidates, dropped = _candidates(stack, config, valid)
        fits = LOCALIZERS[config.localizer](stack, candidates, config)
        table, late = _table(fits, stack, grid, config, rate_hz, first_frame + low)
        tables.append(table)
        rejections += dropped + fits.rejections + late
    return LocalizedFrames(Localizations.concat(tables), rejections)


def _check(
    frames: NDArray[Any],
    grid: Grid,
    config: LocalizeConfig,
    rate_hz: float,
    correlation: NDArray[Any] | None,
) -> None:
    if config.localizer not in LOCALIZERS:
        raise ConfigError(
            f"localize.localizer={config.localizer} is a network, which only "
            "`localize_network` or a full run can use. Set it to one of "
            f"{', '.join(LOCALIZERS)} here."
        )
    if frames.ndim != 4 or frames.shape[1:] != grid.shape:
        raise InputError(
            None,
            f"Frames of shape {frames.shape} do not match a grid of {grid.shape}",
            "Give frames as (t, z, y, x).",
        )
    if not rate_hz > 0:
        raise ConfigError(f"The frame rate must be positive, not {rate_hz} Hz.")
    if correlation is not None and correlation.shape != frames.shape:
        raise InputError(
            None,
            f"A correlation map of shape {correlation.shape} does not match frames of shape "
            f"{frames.shape}",
            "Compute it from the same frames.",
        )
    if correlation is None and config.min_correlation > 0:
        raise ConfigError(
            "localize.min_correlation needs the correlation map, which was not computed. "
            "Compute it, or set min_correlation to 0."
        )


def _stack(
    frames: NDArray[Any],
    correlation: NDArray[Any] | None,
    first_frame: int,
    valid: NDArray[np.bool_] | None,
) -> Stack:
    real = not np.iscomplexobj(frames)
    if real:
        envelope = np.ascontiguousarray(np.maximum(frames, 0), np.float32)
        iq = (frames - _medians(frames, valid)).astype(np.complex64)
        finite = np.isfinite(frames).all(axis=(1, 2, 3))
    else:
        iq = np.ascontiguousarray(frames, np.complex64)
        envelope = np.empty(iq.shape, np.float32)
        finite = np.empty(iq.shape[0], np.bool_)
        _envelope(iq, envelope, finite)
    if not finite.all():
        raise InputError(
            None,
            f"Frame {first_frame + int((~finite).argmax())} contains NaN or infinite values",
            "Replace them before filtering.",
        )
    if correlation is not None:
        correlation = np.ascontiguousarray(np.abs(correlation), np.float32)
    return Stack(iq, envelope, correlation, real)


@njit(cache=True, parallel=True, nogil=True)
def _envelope(iq, envelope, finite):  # type: ignore[no-untyped-def]
    for t in prange(iq.shape[0]):
        total = 0.0  # finite only if all its terms are
        for z in range(iq.shape[1]):
            for y in range(iq.shape[2]):
                row, into = iq[t, z, y], envelope[t, z, y]
                sums = np.float32(0.0)
                for x in range(row.size):
                    a, b = row[x].real, row[x].imag
                    into[x] = np.sqrt(a * a + b * b)
                    sums += into[x]
                total += sums
        finite[t] = np.isfinite(total)


def _medians(frames: NDArray[Any], valid: NDArray[np.bool_] | None) -> NDArray[Any]:
    """(t, 1, 1, 1) median of each frame over the voxels that contain data."""
    values = frames.reshape(len(frames), -1) if valid is None else frames[:, valid]
    if not values.shape[1]:
        return np.zeros((len(frames), 1, 1, 1), frames.dtype)
    return np.asarray(np.median(values, axis=1)[:, None, None, None])


def _candidates(
    stack: Stack, config: LocalizeConfig, valid: NDArray[np.bool_] | None
) -> tuple[Candidates, Rejections]:
    image = stack.envelope
    if valid is not None:
        # Fill the outside of the field of view, so that noise at its edge does not stand out.
        image = np.where(valid, image, _medians(image, valid))
    candidates, over_cap = detect_maxima(image, config.patch, config.min_snr_db, config.max_bubbles)
    if valid is not None:
        candidates = candidates.keep(valid[*candidates.voxel.T])
    low = crowded = 0
    if config.min_correlation > 0 and stack.correlation is not None:
        level = stack.correlation[candidates.frame, *candidates.voxel.T]
        keep = level >= config.min_correlation
        low = int((~keep).sum())
        candidates = candidates.keep(keep)
    if config.max_maxima is not None and len(candidates):
        half = np.asarray(config.patch, np.int64) // 2
        offsets = candidates.offsets(stack.frames.shape[0])
        maxima = np.empty(len(candidates), np.int64)
        _maxima_in_patch(candidates.frame, candidates.voxel, offsets, half, maxima)
        keep = maxima <= config.max_maxima
        crowded = int((~keep).sum())
        candidates = candidates.keep(keep)
    return candidates, Rejections(over_cap=over_cap, low_correlation=low, crowded=crowded)


@njit(cache=True, parallel=True, nogil=True)
def _maxima_in_patch(frame, voxel, offsets, half, maxima):  # type: ignore[no-untyped-def]
    """Number of candidates of the same frame in the patch of each, including itself."""
    for n in prange(frame.size):
        count = 0
        for other in range(offsets[frame[n]], offsets[frame[n] + 1]):
            inside = True
            for axis in range(3):
                inside &= abs(voxel[other, axis] - voxel[n, axis]) <= half[axis]
            count += inside
        maxima[n] = count


def _table(
    fits: Fits,
    stack: Stack,
    grid: Grid,
    config: LocalizeConfig,
    rate_hz: float,
    first_frame: int,
) -> tuple[Localizations, Rejections]:
    """Convert fits to a sorted table in micrometres, and drop positions outside the volume."""
    last = np.asarray(grid.shape) - 0.5
    inside = ((fits.position >= -0.5) & (fits.position < last)).all(axis=1)
    score = fits.quality
    enough = np.ones_like(inside)
    if stack.correlation is not None:
        score = stack.correlation[fits.frame, *fits.voxel.T]
        enough = score >= config.min_correlation
    keep = np.flatnonzero(inside & enough)
    keep = keep[np.lexsort((*fits.position[keep].T[::-1], fits.frame[keep]))]
    sigma = None
    if fits.sigma is not None:
        sigma = (fits.sigma[keep] * grid.spacing_um).astype(np.float32)
    table = Localizations.from_arrays(
        fits.frame[keep].astype(np.int64) + first_frame,
        grid.to_um(fits.position[keep]),
        (20.0 * np.log10(fits.contrast[keep])).astype(np.float32),
        np.clip(score[keep], 0.0, 1.0).astype(np.float32),
        rate_hz,
        sigma,
    )
    dropped = Rejections(edge=int((~inside).sum()), low_correlation=int((inside & ~enough).sum()))
    return table, dropped
