"""Refine a localizer's bubbles to those that explain the frames: fit, add and drop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import Cancelled
from napari_ulm3d.filtering import Psf
from napari_ulm3d.localize.network import hit_probability
from napari_ulm3d.synthesis.bubbles import Bubbles
from napari_ulm3d.synthesis.chaining import SHORTEST, chain
from napari_ulm3d.synthesis.fit import JointFit
from napari_ulm3d.synthesis.image import BubbleImage
from napari_ulm3d.synthesis.noise import relative_noise
from napari_ulm3d.synthesis.probability import evidence_of_hits, probability_of_hits
from napari_ulm3d.synthesis.proposals import continued, left_over
from napari_ulm3d.synthesis.selection import still_like_tissue, supported
from napari_ulm3d.tables import SIGMA_UM, VELOCITY_MM_S, Localizations

__all__ = ["Synthesis", "refine_localizations"]

_JERK_UM = 4.0
_BEND_WIDTHS = 0.25
_APART_SIGMAS = 0.5
_LEAST_TRACK, _LEAST_ALONE = 20.0, 40.0  # 13 and 16 dB
_MIN_SNR_DB = 9.0
_TRUSTED_WIDTHS, _TRUST_SIGMAS = 1.5, 1.5
"""The standard deviations of a localizer are trusted, increased by a half, where no other bubble is
closer than this (chosen on validation scenes)."""
_NEW_LENGTH, _NEW_HELD = 6, 0.3
_ROUNDS, _ROUNDS_LEFT_OVER, _IMAGE_ROUNDS = 4, 2, 3
_SWEEPS_FIRST, _SWEEPS_IMAGE = 4, 2
_SWEEPS, _SWEEPS_NEW, _SWEEPS_LAST = 6, 4, 6
_HIT_WAVELENGTHS = 0.25
_LEAST_PROBABILITY = 0.2
"""Less probable bubbles are left out, as are those of the network by default."""


@dataclass(frozen=True)
class Synthesis:
    """Settings of the refinement.

    Attributes
    ----------
    mode
        ``frame``: each frame separately; ``window``: positions along tracks constrain each other,
        and tracks are continued beyond their ends.
    max_speed_mm_s
        Maximum speed of a bubble along a track.
    trust_sigma
        Whether the standard deviations of isolated localizations constrain their positions, as is
        appropriate for a network, which has seen more than one frame.
    """

    mode: Literal["frame", "window"] = "window"
    max_speed_mm_s: float = 30.0
    trust_sigma: bool = False


def refine_localizations(
    frames: NDArray[np.complex64],
    found: Localizations,
    *,
    psf: Psf,
    grid: Grid,
    rate_hz: float,
    noise_rms: float,
    wavelength_um: float | None = None,
    settings: Synthesis | None = None,
    first_frame: int = 0,
    removed: NDArray[Any] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Localizations:
    """Find the bubbles that explain a block of frames, starting from a localizer's.

    All bubbles are fitted jointly; the image of a bubble is measured on isolated ones.
    Then, a few times, they are linked, fitted with their tracks, dropped if they
    explain nothing, and new ones are tried beyond the ends of tracks and in the residual.
    Improbable bubbles are left out at the end.
    A new bubble is kept if it is in a track with localized bubbles, or in a track of at least
    six frames. Tracks and single bubbles are dropped if noise as correlated as the residual can
    cause them, and tracks if they are stationary and follow what the filter removed.

    Parameters
    ----------
    frames
        (t, z, y, x) complex64, filtered. Not modified.
    found
        Initial bubbles; those in other frames are ignored.
    psf
        Initial widths and carrier of the image.
    grid
        Spacing and origin of the frames.
    rate_hz
        Volumes per second.
    noise_rms
        Noise level of the frames.
    wavelength_um
        None: half of the PSF's width along z is used instead.
    settings
        Mode, speed and trust; None: the defaults.
    first_frame
        Number of the first frame in the whole acquisition.
    removed
        (t, n) orthonormal temporal vectors that the clutter filter removed from the block
        (`FilteredBlock.removed`). The same is then removed from the bubbles' images; None: they
        are fitted as if there was no filter.
    stop
        Called between fits; a true result cancels.

    Returns
    -------
    Localizations
        Sorted by frame, with `sigma_*_um` from the fit (other bubbles fixed), velocities along
        the tracks (NaN for bubbles without a track), `snr_db`, the energy of a bubble's image
        relative to the noise power, and `score`, the probability of a true bubble within a quarter of the
        wavelength (`probability`).

    Raises
    ------
    Cancelled
        `stop` returned true.
    """
    settings = settings or Synthesis()
    spacing = np.asarray(grid.spacing_um)
    if wavelength_um is None:
        wavelength_um = 0.5 * psf.fwhm_voxels[0] * spacing[0]
    fit = JointFit(
        frames, BubbleImage.gaussian(psf), noise_rms, _JERK_UM / spacing, removed=removed
    )
    start = _bubbles(found, grid, first_frame, len(frames))
    if settings.trust_sigma:
        _trust(start, found, grid, first_frame, fit.fwhm)

    def ask() -> None:
        if stop is not None and stop():
            raise Cancelled("The localization was stopped.")

    fit.restart(start)
    fit.sweep(start, _SWEEPS_FIRST)
    for _ in range(_IMAGE_ROUNDS):
        ask()
        if not fit.measure_image(start):
            break
        fit.restart(start)
        fit.sweep(start, _SWEEPS_IMAGE)
    bubbles, keep = _rounds(fit, start, settings, spacing, rate_hz, ask)
    radius_um = _HIT_WAVELENGTHS * wavelength_um
    return _table(bubbles, keep, fit, grid, rate_hz, radius_um, first_frame)


def _rounds(
    fit: JointFit,
    bubbles: Bubbles,
    settings: Synthesis,
    spacing: NDArray[np.float64],
    rate_hz: float,
    ask: Callable[[], None],
) -> tuple[Bubbles, NDArray[np.bool_]]:
    """Link, fit, drop and propose; return the bubbles of the last round and which to keep."""
    window = settings.mode == "window"
    apart = _APART_SIGMAS * fit.image.sigma
    gate = settings.max_speed_mm_s * 1000 / rate_hz / spacing
    for turn in range(_ROUNDS):
        ask()
        if window:
            bubbles.before, bubbles.after = chain(
                bubbles.first, bubbles.place, gate, _BEND_WIDTHS * fit.fwhm
            )
        bubbles.begin()
        fit.sweep(bubbles, _SWEEPS if turn < _ROUNDS - 1 else _SWEEPS_LAST)
        keep = supported(bubbles, _LEAST_TRACK, _LEAST_ALONE, apart)
        if turn == _ROUNDS - 1:
            break
        frame, place = np.empty(0, np.int64), np.empty((0, 3))
        if window:
            frame, place = continued(bubbles, fit.shape, apart)
        if turn < _ROUNDS_LEFT_OVER:
            more = left_over(fit.left, bubbles, fit.half, fit.noise_rms, _MIN_SNR_DB)
            frame, place = np.concatenate([frame, more[0]]), np.concatenate([place, more[1]])
        bubbles = bubbles.changed(keep, frame, place)
        fit.restart(bubbles)
        fit.sweep(bubbles, _SWEEPS_NEW)
    label, length = bubbles.tracks()
    if window:
        held = np.bincount(label, bubbles.given) / np.maximum(np.bincount(label), 1)
        keep &= (length >= _NEW_LENGTH) | (held[label] >= _NEW_HELD)
    # Correlated noise, and what is left of tissue, reach such maxima by chance, also along tracks.
    raised = fit.raised()
    keep &= supported(bubbles, raised * _LEAST_TRACK, raised * _LEAST_ALONE, apart)
    depth = np.clip(np.rint(bubbles.place[:, 0]).astype(np.int64), 0, fit.shape[0] - 1)
    floor = fit.noise_rms**2 * relative_noise(fit.frames)[depth]
    unit_mm_s = spacing * rate_hz / 1000
    keep &= ~still_like_tissue(bubbles, fit.taken(bubbles), fit.fwhm, floor, unit_mm_s)
    return bubbles, keep


def _bubbles(found: Localizations, grid: Grid, first_frame: int, n_frames: int) -> Bubbles:
    """The localizations of the block, prepared for the fit."""
    rows = _rows(found, first_frame, n_frames)
    place = np.ascontiguousarray(grid.to_index(found.positions_um[rows]), np.float64)
    frame = (found.frames[rows] - first_frame).astype(np.int64)
    bubbles = Bubbles(frame, place, np.zeros(len(place), np.complex128), n_frames)
    bubbles.given[:] = True
    return bubbles


def _rows(found: Localizations, first_frame: int, n_frames: int) -> NDArray[np.intp]:
    """Rows of the localizations in the block, by frame."""
    frame = found.frames - first_frame
    order = np.argsort(frame, kind="stable")
    return order[(frame[order] >= 0) & (frame[order] < n_frames)]


def _trust(
    bubbles: Bubbles,
    found: Localizations,
    grid: Grid,
    first_frame: int,
    fwhm: NDArray[np.float64],
) -> None:
    """Let the standard deviations of isolated localizations constrain their positions."""
    if len(bubbles) < 1 or not set(SIGMA_UM) <= set(found.table.columns):
        return
    rows = _rows(found, first_frame, bubbles.n_frames)
    sigma = found.table[SIGMA_UM].to_numpy(np.float64)[rows] / grid.spacing_um
    scaled = np.column_stack([bubbles.frame * 1e3, bubbles.place / fwhm])
    alone = cKDTree(scaled).query(scaled, 2)[0][:, 1] > _TRUSTED_WIDTHS
    known = np.isfinite(sigma) & (sigma > 0) & alone[:, None]
    bubbles.trust[known] = 1 / (_TRUST_SIGMAS * sigma[known]) ** 2


def _table(
    bubbles: Bubbles,
    keep: NDArray[np.bool_],
    fit: JointFit,
    grid: Grid,
    rate_hz: float,
    radius_um: float,
    first_frame: int,
) -> Localizations:
    _, length = bubbles.tracks()
    own = np.arange(len(bubbles))
    ahead = np.where(bubbles.after >= 0, bubbles.after, own)
    behind = np.where(bubbles.before >= 0, bubbles.before, own)
    span = np.maximum(bubbles.frame[ahead] - bubbles.frame[behind], 1)
    velocity = (bubbles.place[ahead] - bubbles.place[behind]) / span[:, None]
    velocity *= np.asarray(grid.spacing_um) * (rate_hz / 1000)
    alone = length < SHORTEST
    velocity[alone] = np.nan
    sigma_um = bubbles.deviation * grid.spacing_um
    flat = np.asarray(grid.shape) == 1
    resolved = ~flat if not flat.all() else flat
    # The evidence does not contain the standard deviations.
    precise = hit_probability(np.maximum(sigma_um[:, resolved], 1e-6), radius_um)
    score = precise[keep] * probability_of_hits(evidence_of_hits(bubbles, keep, fit))
    probable = score >= _LEAST_PROBABILITY
    keep[keep], score = probable, score[probable]
    out = Localizations.from_arrays(
        bubbles.frame[keep] + first_frame,
        grid.to_um(bubbles.place[keep]),
        (10 * np.log10(np.maximum(bubbles.energy[keep], 1e-6))).astype(np.float32),
        score.astype(np.float32),
        rate_hz,
        sigma_um[keep].astype(np.float32),
    )
    for axis, name in enumerate(VELOCITY_MM_S):
        out.table[name] = velocity[keep, axis].astype(np.float32)
    return out
