"""`gaussian`: joint fit of complex Gaussians to all bubbles of a frame.

Neighbouring bubbles interfere, so the envelope of two bubbles is not the sum of their envelopes,
but their IQ signals add. Each maximum becomes a Gaussian with a complex amplitude, and a carrier
and width common to the frame's bubbles. All are fitted to the IQ together by least squares
(see `joint`). Maxima of the residual then reveal bubbles hidden beside brighter ones, and all
are fitted again (multi-emitter fitting as in DAOSTORM, Holden et al., Nat. Methods 2011, but
coherent).

For an envelope (real frames) the median of each frame is subtracted, since noise biases an
envelope, and there is only one round, since the residual beside a bubble is interference.

Faint bubbles, mostly noise peaks, are rejected if

* `snr_db`, the fitted peak relative to the mean envelope of Rayleigh noise with the residual's
  power in the patch, is below `min_snr_db`, or
* the energy of the fitted Gaussian relative to the residual's power per voxel is below
  `min_fit_snr_db`. This is the signal-to-noise ratio of a matched filter, which determines the
  precision of the position. In simulations 18 dB gave the best Jaccard index at lambda / 4.

`sigma_*_um` is the Cramer-Rao bound for that noise; along an axis of one voxel it is 0.
"""

from __future__ import annotations

import numpy as np
from numba import prange

from napari_ulm3d._caches import njit
from napari_ulm3d.config import LocalizeConfig
from napari_ulm3d.localize.detect import Candidates, frame_maxima
from napari_ulm3d.localize.rejections import Rejections
from napari_ulm3d.localize.subvoxel.fits import Fits, Stack
from napari_ulm3d.localize.subvoxel.joint import ALIVE, FAILED, FAINT, MERGED, sweep
from napari_ulm3d.localize.subvoxel.joint_model import describe, prune, refine, restart
from napari_ulm3d.localize.subvoxel.width import FWHM, demodulate, measure_width, split

__all__ = ["LOCALIZER", "gaussian"]

NAME = "gaussian"
SETTINGS = ("fwhm_voxels", "min_fit_snr_db", "rounds")

_SWEEPS_EARLY, _SWEEPS_LATE, _SWEEPS_AGAIN = 3, 6, 2
_REFINED = 5  # maximum; for frames with many bubbles the width and carrier need only one step
_EARLY_GAIN = 0.5  # the residual is too large until all bubbles are in the model
_SATELLITE = 0.2  # weaker residuals beside a bubble are side lobes or deviations from a Gaussian
_FAR = 10
_COLUMNS = 8  # z, y, x, contrast, goodness, sigma z, y, x


def gaussian(stack: Stack, candidates: Candidates, config: LocalizeConfig) -> Fits:
    """Fit complex Gaussians jointly to all bubbles of each frame.

    `Fits.quality` is the normalized correlation in the patch of the model with the frame
    minus all other bubbles.
    """
    n_frames = stack.frames.shape[0]
    offsets = candidates.offsets(n_frames)
    most = _room(int(np.diff(offsets).max(initial=0)), config.max_bubbles)
    fitted = np.zeros((n_frames, most, _COLUMNS))
    start = np.zeros((n_frames, most, 3), np.int32)
    state = np.full((n_frames, most), -1, np.int32)
    over_cap = np.zeros(n_frames, np.int64)
    _fit_frames(
        stack.frames,
        candidates.voxel,
        offsets,
        np.asarray(config.patch, np.int64) // 2,
        np.asarray(config.fwhm_voxels or (0.0, 0.0, 0.0), np.float64),
        10.0 ** (config.min_snr_db / 20.0),
        10.0 ** (config.min_fit_snr_db / 10.0),
        1 if stack.real else config.rounds,
        config.max_shift,
        config.max_bubbles,
        fitted,
        start,
        state,
        over_cap,
    )
    alive = state == ALIVE
    rows = fitted[alive]
    return Fits(
        frame=np.nonzero(alive)[0].astype(np.int32),
        voxel=start[alive],
        position=rows[:, :3],
        contrast=rows[:, 3],
        quality=rows[:, 4],
        sigma=rows[:, 5:8],
        rejections=Rejections(
            over_cap=int(over_cap.sum()),
            far=int((state == _FAR).sum()),
            failed=int((state == FAILED).sum()),
            faint=int((state == FAINT).sum()),
            merged=int((state == MERGED).sum()),
        ),
    )


@njit(cache=True, nogil=True)
def _room(given, cap):  # type: ignore[no-untyped-def]
    """Maximum number of bubbles for `given` maxima: later rounds may find as many again."""
    return min(cap, 2 * given + 16) if given else 0


@njit(cache=True, parallel=True, nogil=True)
def _fit_frames(  # type: ignore[no-untyped-def]
    frames, voxel, offsets, half, fwhm, ratio, gain, rounds, limit, cap,
    fitted, start, state, over_cap,
):  # fmt: skip
    for t in prange(frames.shape[0]):
        given = offsets[t + 1] - offsets[t]
        room = _room(given, cap)
        if given:
            over_cap[t] = _fit_frame(
                frames[t], voxel[offsets[t] : offsets[t + 1]], half, fwhm, ratio, gain, rounds,
                limit, fitted[t, :room], start[t, :room], state[t, :room],
            )  # fmt: skip


@njit(cache=True, nogil=True)
def _fit_frame(  # type: ignore[no-untyped-def]
    frame, voxel, half, fwhm, ratio, gain, rounds, limit, fitted, start, state
):
    """Fit one frame; return the number of maxima of later rounds that exceeded the maximum."""
    sigma, carrier = np.zeros(3), np.zeros(3)
    real, imag = np.empty(frame.shape, np.float32), np.empty(frame.shape, np.float32)
    split(frame, real, imag)
    measure_width(real, imag, sigma, carrier)
    known = fwhm[0] > 0.0
    if known:
        sigma[:] = fwhm / FWHM
    demodulate(real, imag, carrier)

    room = state.size
    position, anchor = np.zeros((room, 3)), np.zeros((room, 3))
    amplitude, step = np.zeros(room, np.complex128), np.ones(room)
    count = min(voxel.shape[0], room)
    over = 0
    for k in range(count):
        _add(k, voxel[k, 0], voxel[k, 1], voxel[k, 2], position, anchor, start, state)
    for turn in range(rounds):
        last = turn == rounds - 1
        for _ in range(_SWEEPS_LATE if last else _SWEEPS_EARLY):
            if sweep(
                real, imag, position, anchor, amplitude, state, step, count, sigma, half, limit
            ):
                break
        for _ in range(_REFINED if turn == 0 else 0):
            small = refine(
                real, imag, position, amplitude, state, count, half, known, sigma, carrier
            )
            split(frame, real, imag)
            demodulate(real, imag, carrier)
            restart(real, imag, position, amplitude, state, step, count, sigma, half)
            for _ in range(_SWEEPS_AGAIN):
                sweep(
                    real, imag, position, anchor, amplitude, state, step, count, sigma, half, limit
                )
            if small:
                break
        least = gain if last else _EARLY_GAIN * gain
        if prune(
            real, imag, position, amplitude, state, step, count, sigma, half, ratio, least
        ) and last:  # fmt: skip
            for _ in range(_SWEEPS_AGAIN):
                sweep(
                    real, imag, position, anchor, amplitude, state, step, count, sigma, half, limit
                )
        if last:
            break
        # The residual may contain bubbles that were hidden beside brighter ones.
        left = _magnitude(real, imag)
        most = 1
        for n in frame.shape:
            most *= -(-n // 2)
        flat, level = np.empty(most, np.int32), np.empty(most, np.float32)
        found = frame_maxima(left, half, np.float32(ratio), flat, level)
        order = np.argsort(-left.reshape(left.size)[flat[:found]], kind="mergesort")
        ny, nx = frame.shape[1], frame.shape[2]
        for at in flat[:found][order]:
            z, y, x = at // (ny * nx), at // nx % ny, at % nx
            if _tried(z, y, x, start, count) or left[z, y, x] < _SATELLITE * _brightest(
                z, y, x, position, amplitude, state, half, count
            ):
                continue
            if count == room:
                over += 1
                continue
            _add(count, z, y, x, position, anchor, start, state)
            count += 1

    for k in range(count):
        if state[k] != ALIVE:
            continue
        fitted[k, :3] = position[k]
        fitted[k, 3], fitted[k, 4] = describe(
            real, imag, position[k], amplitude[k], sigma, half, fitted[k, 5:8]
        )
        if np.abs(position[k] - anchor[k]).max() >= limit - 1e-6:
            state[k] = _FAR
    return over


@njit(cache=True, nogil=True)
def _magnitude(real, imag):  # type: ignore[no-untyped-def]
    out = np.empty_like(real)
    for z in range(real.shape[0]):
        for y in range(real.shape[1]):
            a, b, into = real[z, y], imag[z, y], out[z, y]
            for x in range(a.size):
                into[x] = np.sqrt(a[x] * a[x] + b[x] * b[x])
    return out


@njit(cache=True, nogil=True)
def _add(k, z, y, x, position, anchor, start, state):  # type: ignore[no-untyped-def]
    for axis, at in enumerate((z, y, x)):
        position[k, axis] = at
        anchor[k, axis] = at
        start[k, axis] = at
    state[k] = ALIVE


@njit(cache=True, nogil=True)
def _tried(z, y, x, start, count):  # type: ignore[no-untyped-def]
    found = False
    for k in range(count):
        found |= start[k, 0] == z and start[k, 1] == y and start[k, 2] == x
    return found


@njit(cache=True, nogil=True)
def _brightest(z, y, x, position, amplitude, state, half, count):  # type: ignore[no-untyped-def]
    """Largest amplitude of the bubbles whose slightly enlarged window contains a voxel."""
    most = 0.0
    for k in range(count):
        if (
            state[k] == ALIVE
            and abs(position[k, 0] - z) <= half[0] + 2
            and abs(position[k, 1] - y) <= half[1] + 2
            and abs(position[k, 2] - x) <= half[2] + 2
        ):
            most = max(most, abs(amplitude[k]))
    return most


LOCALIZER = gaussian
