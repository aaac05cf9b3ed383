"""Estimate the PSF from the data: its axial carrier, and its shape from isolated bubbles."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import spline_filter1d

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import PsfConfig
from napari_ulm3d.errors import InputError
from napari_ulm3d.filtering.psf import Psf, analytic_psf, patch_of
from napari_ulm3d.filtering.valid import valid_voxels

__all__ = ["estimate_carrier", "estimate_psf", "isolated_maxima", "make_psf"]

_MAX_BUBBLES = 600
"""Maximum number of isolated bubbles, strongest first; more only take longer."""
_NOISE_FACTOR = 5.0
"""Minimum magnitude of a bubble relative to the median of its frame (13 dB over
the median of Rayleigh noise: about one noise voxel in 3e7)."""
_ISOLATION = 0.35
"""Other maxima within a patch on either side must be below this fraction of the bubble's."""
_ITERATIONS, _CONVERGED = 300, 1e-11  # of the shape that bubbles share
_SMALLEST_PATCH = 3  # voxels
_SPLINE_MARGIN = 4  # voxels; a spline's memory of its border fades by .27 a voxel
_AT_ONCE = 64  # bubbles, for memory
_SEPARABLE_ERROR = 0.15
"""A PSF with a separable approximation this close (a correlation of 0.989) is replaced
by it, which is faster and reduces noise in the estimate."""


def estimate_carrier(frames: NDArray[Any], valid: NDArray[np.bool_] | None = None) -> float:
    """Estimate the phase step from one voxel to the next deeper one.

    The angle of the autocorrelation at a lag of one voxel along z, summed over all voxels
    and frames: the axial (fast-time) counterpart of Kasai's estimator, used by Loupas et al.,
    IEEE TUFFC 42, 672 (1995), for the centre frequency.

    Parameters
    ----------
    frames
        (t, z, y, x), after the clutter filter.
    valid
        (z, y, x) voxels with data; None: all.

    Returns
    -------
    Radians in (-pi, pi]; 0 for real frames, for a single voxel along z, and if the
    autocorrelation does not exceed that of white noise by 5 standard deviations.
    """
    if frames.dtype.kind != "c" or frames.shape[1] < 2:
        return 0.0
    both, share = None, 1.0
    if valid is not None and not valid.all():
        both, share = valid[:-1] & valid[1:], float(valid.mean())
    lag, energy, pairs = 0j, 0.0, 0
    for frame in frames:  # one frame at a time, to avoid an array as large as the block
        upper, lower = (
            (part if both is None else part[both]).ravel() for part in (frame[:-1], frame[1:])
        )
        lag += complex(np.sum(upper.conj() * lower, dtype=np.complex128))
        seen = frame if valid is None else frame[valid]
        energy += float(np.sum(np.abs(seen) ** 2, dtype=np.float64)) / max(frame.size * share, 1)
        pairs += upper.size
    white = 5.0 * energy * np.sqrt(pairs) / len(frames)
    return float(np.angle(lag)) if abs(lag) > white else 0.0


def isolated_maxima(
    frames: NDArray[Any],
    patch: tuple[int, int, int],
    limit: int = _MAX_BUBBLES,
    valid: NDArray[np.bool_] | None = None,
) -> NDArray[np.int64]:
    """Find bright voxels that look like one bubble each, far from any other.

    A voxel is selected if its magnitude is the maximum over its 26 neighbours and more than five
    times the median of its frame's valid voxels, the whole patch is inside the frame, and no other
    maximum within a patch size on either side exceeds 0.35 times its magnitude.

    Parameters
    ----------
    frames
        (t, z, y, x), after the clutter filter.
    patch
        Odd patch size along z, y, x, voxels.
    limit
        Maximum number of voxels, brightest first.
    valid
        (z, y, x) voxels with data; None: those whose value changes (`valid_voxels`).

    Returns
    -------
    (n, 4) int64: t, z, y, x, brightest first.
    """
    half = np.array([n // 2 for n in patch])
    shape = np.array(frames.shape[1:])
    found: list[NDArray[np.int64]] = []
    strengths: list[NDArray[np.float32]] = []
    if (shape < 2 * half + 1).any():
        return np.empty((0, 4), np.int64)
    valid = valid_voxels(frames) if valid is None else valid
    if not valid.any():
        return np.empty((0, 4), np.int64)
    # The first compilation takes seconds, so it must not happen at import.
    from napari_ulm3d.filtering._correlation_kernels import maxima_above

    masked, height = not valid.all(), np.empty(frames.shape[1:], frames.real.dtype)
    for t, frame in enumerate(frames):
        magnitude = np.ascontiguousarray(np.abs(frame))
        middle = np.median(magnitude[valid] if masked else magnitude)
        # Lower ones are too faint to be selected, or to disturb one that is.
        maxima_above(magnitude, max(0.9 * _ISOLATION * _NOISE_FACTOR * middle, 0.0), height)
        inner = tuple(slice(h, n - h) for h, n in zip(half, shape, strict=True))
        bright = np.argwhere(height[inner] > _NOISE_FACTOR * middle) + half
        for z, y, x in bright:
            around = height[
                max(0, z - 2 * half[0]) : z + 2 * half[0] + 1,
                max(0, y - 2 * half[1]) : y + 2 * half[1] + 1,
                max(0, x - 2 * half[2]) : x + 2 * half[2] + 1,
            ]
            own = magnitude[z, y, x]
            if np.count_nonzero(around > _ISOLATION * own) == 1:
                found.append(np.array([t, z, y, x]))
                strengths.append(own)
    if not found:
        return np.empty((0, 4), np.int64)
    order = np.argsort(-np.array(strengths), kind="stable")[:limit]
    return np.array(found)[order]


def estimate_psf(
    frames: NDArray[Any], config: PsfConfig, valid: NDArray[np.bool_] | None = None
) -> Psf:
    """Estimate the PSF as the common shape of isolated bubbles in the data.

    The carrier is removed, each bubble is shifted to the voxel centre (parabola through the
    magnitude, cubic splines), and all are scaled to the same energy. The shape that they
    share up to individual phases is the leading singular vector of the bubbles as rows. Bubbles
    whose correlation with it is less than 0.8 times the median are dropped, and it is computed
    again; then the carrier is restored.

    Parameters
    ----------
    frames
        (t, z, y, x) complex64 or float32, after the clutter filter.
    config
        `patch_voxels` (None: `patch_of` the estimated widths, or the largest smaller one in which
        enough bubbles are isolated) and `min_bubbles`.
    valid
        (z, y, x) voxels with data, as in `isolated_maxima`.

    Returns
    -------
    Psf
        Along an axis with one voxel, the patch has one voxel.

    Raises
    ------
    InputError
        There are fewer than `config.min_bubbles` isolated bubbles, or no common shape.
    """
    if config.patch_voxels is not None:
        return _estimate(frames, config.patch_voxels, config.min_bubbles, valid)
    first = patch_of(config.widths)
    psf = _in_the_largest(frames, first, config.min_bubbles, valid)
    patch = patch_of(psf.fwhm_voxels)
    if patch == first or psf.array.shape != _within(first, frames):
        return psf
    try:
        return _estimate(frames, patch, config.min_bubbles, valid)
    except InputError:  # fewer bubbles are isolated within a larger patch
        return psf


def _in_the_largest(
    frames: NDArray[Any],
    patch: tuple[int, int, int],
    min_bubbles: int,
    valid: NDArray[np.bool_] | None,
) -> Psf:
    """`_estimate` in this patch, or in the largest smaller one in which enough bubbles are isolated."""
    refused: InputError | None = None
    said = ""
    while True:
        try:
            psf = _estimate(frames, patch, min_bubbles, valid)
            return replace(psf, source=psf.source + said)
        except InputError as error:
            refused = refused or error
            if max(patch) <= _SMALLEST_PATCH:
                raise refused from None
        z, y, x = (max(min(n, _SMALLEST_PATCH), n - 2) for n in patch)
        patch = (z, y, x)
        said = f", in a patch of {z} x {y} x {x} voxels, as too few are isolated in a larger one"


def _estimate(
    frames: NDArray[Any],
    patch: tuple[int, int, int],
    min_bubbles: int,
    valid: NDArray[np.bool_] | None,
) -> Psf:
    """`estimate_psf` with a fixed patch."""
    patch = _within(patch, frames)
    places = isolated_maxima(frames, patch, valid=valid)
    if len(places) < min_bubbles:
        raise InputError(
            None,
            f"Estimating the PSF from the data needs {min_bubbles} isolated bubbles, but only "
            f"{len(places)} were found",
            "Set psf.source=auto or psf.source=analytic, or lower psf.min_bubbles.",
        )
    carrier = estimate_carrier(frames, valid)
    rows = _centred(frames, places, patch, carrier)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    shape = _common_shape(rows)
    likeness = np.abs(rows @ shape.conj())
    shape = _common_shape(rows[likeness >= 0.8 * np.median(likeness)]).reshape(patch)
    centre = tuple(n // 2 for n in patch)
    if np.abs(shape).max() > 1.1 * abs(shape[centre]):
        raise InputError(
            None,
            "The isolated maxima of the data share no shape that peaks at the centre",
            "Set psf.source=analytic, or remove more tissue (clutter.svd_range).",
        )
    shape = shape / shape[centre]
    fwhm = tuple(_fwhm(np.abs(_profile(shape, axis))) for axis in range(3))
    shape = shape * np.exp(1j * carrier * np.arange(-centre[0], centre[0] + 1))[:, None, None]
    kept = np.count_nonzero(likeness >= 0.8 * np.median(likeness))
    said = f"from {kept} isolated bubbles of the data"
    return Psf(shape, fwhm, carrier, said, n_bubbles=int(kept))  # type: ignore[arg-type]


def _within(patch: tuple[int, int, int], frames: NDArray[Any]) -> tuple[int, int, int]:
    """The patch with one voxel along axes of one voxel."""
    z, y, x = (n if voxels > 1 else 1 for n, voxels in zip(patch, frames.shape[1:], strict=True))
    return (z, y, x)


def make_psf(
    config: PsfConfig,
    frames: NDArray[Any],
    grid: Grid,
    wavelength_um: float | None,
    kind: Literal["iq", "envelope"],
    valid: NDArray[np.bool_] | None = None,
) -> Psf:
    """Obtain the PSF for these frames according to the settings.

    ``source="data"``: `estimate_psf`, replaced by its separable approximation if the relative
    error is below 0.15. ``source="analytic"``: `analytic_psf`, with the carrier selected by
    ``config.carrier``.

    Parameters
    ----------
    frames
        (t, z, y, x) after the clutter filter; one block is enough.
    valid
        (z, y, x) voxels with data, as in `isolated_maxima`.

    Raises
    ------
    InputError, ConfigError
        As in those functions.
    """
    if config.source == "data":
        measured = estimate_psf(frames, config, valid)
        close, error = measured.separable()
        return close if error < _SEPARABLE_ERROR else measured
    carrier = estimate_carrier(frames, valid) if kind == "iq" and config.carrier == "data" else None
    return analytic_psf(config, grid, wavelength_um, kind, carrier_rad=carrier)


def _centred(
    frames: NDArray[Any],
    places: NDArray[np.int64],
    patch: tuple[int, int, int],
    carrier: float,
) -> NDArray[np.complex128]:
    """(n, voxels) bubbles' patches without carrier, each shifted so that its peak is at the centre."""
    half = [n // 2 for n in patch]
    margin = [_SPLINE_MARGIN if h else 0 for h in half]
    reach = [h + m for h, m in zip(half, margin, strict=True)]
    turn = np.exp(-1j * carrier * np.arange(-reach[0], reach[0] + 1))[:, None, None]
    rows = np.empty((len(places), int(np.prod(patch))), np.complex128)
    for low in range(0, len(places), _AT_ONCE):
        some = places[low : low + _AT_ONCE]
        # Beyond the frame's border, the nearest voxel is repeated.
        z, y, x = (
            np.clip(some[:, axis + 1, None] + np.arange(-r, r + 1), 0, n - 1)
            for axis, (r, n) in enumerate(zip(reach, frames.shape[1:], strict=True))
        )
        t = some[:, 0, None, None, None]
        cut = frames[t, z[:, :, None, None], y[:, None, :, None], x[:, None, None, :]] * turn
        # One weight matrix per bubble and axis: all samples of a patch are shifted alike.
        weights = [_shift_weights(cut, axis, reach, half[axis]) for axis in range(3)]
        for axis in range(3):
            if half[axis]:
                cut = spline_filter1d(cut, 3, axis + 1, np.complex128, "mirror")
        moved = np.einsum("nabc,nza,nyb,nxc->nzyx", cut, *weights, optimize=True)
        rows[low : low + len(some)] = moved.reshape(len(some), -1)
    return rows


def _shift_weights(
    cut: NDArray[np.complex128], axis: int, centre: list[int], half: int
) -> NDArray[np.float64]:
    """(n, 2 half + 1, size) cubic B-splines at the samples around each bubble's sub-voxel peak."""
    index: list[Any] = [slice(None), *centre]
    index[axis + 1] = slice(None)
    shifts = np.array([_parabola(np.abs(line), centre[axis]) for line in cut[tuple(index)]])
    if not half:
        return np.ones((len(cut), 1, 1))
    wanted = centre[axis] + np.arange(-half, half + 1) + shifts[:, None]
    apart = np.abs(wanted[..., None] - np.arange(cut.shape[axis + 1]))
    near = 2 / 3 - apart**2 + apart**3 / 2
    return np.where(apart < 1, near, np.maximum(2 - apart, 0) ** 3 / 6)


def _parabola(profile: NDArray[np.float64], peak: int) -> float:
    """Offset of a peak in voxels, by a parabola through logarithms (exact for a Gaussian)."""
    if profile.size < 3:
        return 0.0
    left, top, right = np.log(np.maximum(profile[peak - 1 : peak + 2], 1e-30))
    curvature = left - 2 * top + right
    return float(np.clip((left - right) / (2 * curvature), -0.5, 0.5)) if curvature < 0 else 0.0


def _common_shape(rows: NDArray[np.complex128]) -> NDArray[np.complex128]:
    """Leading right singular vector: each row is this shape times a factor, plus noise.

    Computed by power iteration, since the shape is far above the noise; if this does not converge,
    by a full decomposition, which takes about thirty times as long.
    """
    shape = rows[np.argmax(np.abs(rows @ rows.sum(axis=0).conj()))].conj()
    for _ in range(_ITERATIONS):
        moved = (rows @ shape).conj() @ rows
        moved = moved.conj() / np.linalg.norm(moved)
        change = np.linalg.norm(moved - shape)
        shape = moved
        if change < _CONVERGED:
            return np.asarray(shape.conj())
    return np.asarray(np.linalg.svd(rows, full_matrices=False)[2][0])


def _profile(array: NDArray[Any], axis: int, at: list[int] | None = None) -> NDArray[Any]:
    """The profile along an axis through the centre (or `at`)."""
    index: list[Any] = [n // 2 for n in array.shape] if at is None else list(at)
    index[axis] = slice(None)
    return array[tuple(index)]


def _fwhm(profile: NDArray[np.float64]) -> float:
    """Full width at half maximum around the centre, voxels; exact for a Gaussian.

    Between samples, the logarithm is interpolated linearly in the squared distance. If the
    patch ends above half maximum, the line from the centre to its last sample is extrapolated.
    """
    centre = profile.size // 2
    if centre == 0:
        return 1.0
    widths = []
    for side in (profile[centre:], profile[centre::-1]):
        logs = np.log(np.clip(side / side[0], 1e-6, None))
        below = np.flatnonzero(logs < -np.log(2))
        k = int(below[0]) if below.size else side.size - 1
        j = k - 1 if below.size else 0
        slope = min((logs[k] - logs[j]) / (k**2 - j**2), -1e-6)
        widths.append(np.sqrt(j**2 + (-np.log(2) - logs[j]) / slope))
    return float(sum(widths))
