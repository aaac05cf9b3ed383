"""`gaussian`: all bubbles of a frame fitted together as complex Gaussians.

Neighbouring bubbles interfere, so the envelope of two is not the sum of two envelopes;
the IQ signal is. Each maximum becomes a Gaussian with a complex amplitude, a carrier
and the width of the frame's bubbles, and all are fitted by least squares on the IQ at
once (see `joint`). Then maxima are sought in what the models leave over, which finds
bubbles hidden beside brighter ones, and all are fitted again (multi-emitter fitting as
in DAOSTORM, Holden et al. 2011, here coherent).

Of an envelope (real frames) the same fit is made with real amplitudes.

`snr_db` is the fitted peak over the mean envelope of Rayleigh noise of the residual's
power in the patch; bubbles under `min_snr_db` are rejected as faint. `sigma_*_um` is
the Cramer-Rao bound for that noise; along an axis of one voxel it is 0.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange

from napari_ulm3d.config import LocalizeConfig
from napari_ulm3d.localize.detect import Candidates, frame_maxima
from napari_ulm3d.localize.fits import Fits, Stack
from napari_ulm3d.localize.joint import ALIVE, FAILED, FAINT, MERGED, prune, refine, spread, sweep
from napari_ulm3d.localize.rejections import Rejections
from napari_ulm3d.localize.width import FWHM, demodulate, measure_width, split

__all__ = ["gaussian"]

_SWEEPS_EARLY, _SWEEPS_LATE = 4, 8
_FAR = 10
EARLY = 0.5
_COLUMNS = 8  # z, y, x, contrast, goodness, sigma z, y, x


def gaussian(stack: Stack, candidates: Candidates, config: LocalizeConfig) -> Fits:
    """Fit complex Gaussians to all bubbles of each frame together.

    `Fits.quality` is the normalized correlation of the model with the frame in the patch
    once all other bubbles are taken out.
    """
    n_frames = stack.frames.shape[0]
    offsets = candidates.offsets(n_frames)
    given = np.diff(offsets)
    # A later round may find as many again as the first.
    room = int(min(config.max_bubbles, 2 * given.max(initial=0) + 16))
    half = np.asarray(config.patch_voxels, np.int64) // 2
    fwhm = np.asarray(config.fwhm_voxels or (0.0, 0.0, 0.0), np.float64)
    fitted = np.zeros((n_frames, room, _COLUMNS))
    start = np.zeros((n_frames, room, 3), np.int32)
    state = np.full((n_frames, room), -1, np.int32)
    _fit_frames(
        stack.frames,
        stack.envelope,
        candidates.voxel,
        offsets,
        half,
        fwhm,
        10.0 ** (config.min_snr_db / 20.0),
        10.0 ** (config.min_fit_snr_db / 10.0),
        config.rounds,
        config.max_shift_voxels,
        fitted,
        start,
        state,
    )
    alive = state == ALIVE
    frame = np.nonzero(alive)[0].astype(np.int32)
    rows = fitted[alive]
    return Fits(
        frame=frame,
        voxel=start[alive],
        position=rows[:, :3],
        contrast=rows[:, 3],
        quality=rows[:, 4],
        sigma=rows[:, 5:8],
        rejections=Rejections(
            far=int((state == _FAR).sum()),
            failed=int((state == FAILED).sum()),
            faint=int((state == FAINT).sum()),
            merged=int((state == MERGED).sum()),
        ),
    )


@njit(cache=True, parallel=True, nogil=True)
def _fit_frames(  # type: ignore[no-untyped-def]
    frames, envelope, voxel, offsets, half, fwhm, ratio, gain, rounds, limit, fitted, start, state
):
    for t in prange(frames.shape[0]):
        if offsets[t + 1] > offsets[t]:
            _fit_frame(
                frames[t],
                voxel[offsets[t] : offsets[t + 1]],
                half,
                fwhm,
                ratio,
                gain,
                rounds,
                limit,
                fitted[t],
                start[t],
                state[t],
            )


@njit(cache=True, nogil=True)
def _fit_frame(frame, voxel, half, fwhm, ratio, gain, rounds, limit, fitted, start, state):  # type: ignore[no-untyped-def]
    sigma, carrier = np.zeros(3), np.zeros(3)
    real, imag = np.empty(frame.shape, np.float32), np.empty(frame.shape, np.float32)
    split(frame, real, imag)
    measure_width(real, imag, sigma, carrier)
    given = fwhm[0] > 0.0
    if given:
        sigma[:] = fwhm / FWHM
    demodulate(real, imag, carrier)
    room = state.size
    position, anchor = np.zeros((room, 3)), np.zeros((room, 3))
    amplitude, step = np.zeros(room, np.complex128), np.ones(room)
    count = min(voxel.shape[0], room)
    for k in range(count):
        _add(k, voxel[k, 0], voxel[k, 1], voxel[k, 2], position, anchor, start, state)
    fit_half = half
    for turn in range(rounds):
        last = turn == rounds - 1
        for _ in range(_SWEEPS_LATE if last else _SWEEPS_EARLY):
            if sweep(real, imag, position, anchor, amplitude, state, step, 0, count, sigma, fit_half, limit) < 0.01:
                break
        if turn == 0 and not given:
            refine(real, imag, position, amplitude, state, step, count, sigma, fit_half)
            if last:
                sweep(real, imag, position, anchor, amplitude, state, step, 0, count, sigma, fit_half, limit)
        dropped = prune(real, imag, position, amplitude, state, step, count, sigma, fit_half, half, ratio, gain if last else EARLY * gain)
        if last:
            for _ in range(2 * (dropped > 0)):
                sweep(real, imag, position, anchor, amplitude, state, step, 0, count, sigma, fit_half, limit)
            break
        # What the models leave over may hold bubbles that stood beside brighter ones.
        magnitude = np.empty(frame.shape, np.float32)
        for z in range(frame.shape[0]):
            for y in range(frame.shape[1]):
                for x in range(frame.shape[2]):
                    magnitude[z, y, x] = np.sqrt(
                        real[z, y, x] * real[z, y, x] + imag[z, y, x] * imag[z, y, x]
                    )
        most = 1
        for n in frame.shape:
            most *= -(-n // 2)
        flat, level = np.empty(most, np.int32), np.empty(most, np.float32)
        found = frame_maxima(magnitude, half, np.float32(ratio), flat, level)
        plane, nx = frame.shape[1] * frame.shape[2], frame.shape[2]
        for i in range(found):
            z, y, x = flat[i] // plane, flat[i] // nx % frame.shape[1], flat[i] % nx
            if count < room and not _tried(z, y, x, start, count):
                _add(count, z, y, x, position, anchor, start, state)
                count += 1
    for k in range(count):
        if state[k] != ALIVE:
            continue
        fitted[k, :3] = position[k]
        contrast, goodness = spread(
            real, imag, position[k], amplitude[k], sigma, fit_half, half, fitted[k, 5:8]
        )
        fitted[k, 3], fitted[k, 4] = contrast, goodness
        for axis in range(3):
            if abs(position[k, axis] - anchor[k, axis]) >= limit - 1e-6:
                state[k] = _FAR


@njit(cache=True, nogil=True)
def _add(k, z, y, x, position, anchor, start, state):  # type: ignore[no-untyped-def]
    for axis, at in enumerate((z, y, x)):
        position[k, axis] = at
        anchor[k, axis] = at
        start[k, axis] = at
    state[k] = ALIVE


@njit(cache=True, nogil=True)
def _tried(z, y, x, start, count):  # type: ignore[no-untyped-def]
    for k in range(count):
        if start[k, 0] == z and start[k, 1] == y and start[k, 2] == x:
            return True
    return False
