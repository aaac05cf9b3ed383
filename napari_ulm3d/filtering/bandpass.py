"""Clutter filter by temporal bandpass: a zero-phase Butterworth filter along the frames."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.config import ClutterConfig
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.filtering._chunks import one_blas_thread, spread, voxel_slices

__all__ = ["bandpass_filter", "bandpass_matrix"]


def bandpass_matrix(
    n_frames: int, rate_hz: float, cutoffs_hz: tuple[float, float], order: int
) -> NDArray[np.float64]:
    """The filter as a matrix over the frames of a block: y = F x.

    Forward-backward filtering, including its treatment of the ends, is linear in the n_frames
    samples. It is therefore a (t, t) matrix, computed by filtering the unit vectors.

    Parameters
    ----------
    n_frames
        Number of frames in the block.
    rate_hz
        Frames per second.
    cutoffs_hz
        Lower and upper cut-off, Hz.
    order
        Order of the Butterworth filter, which is applied once forwards and once backwards. This
        doubles the attenuation: it is 6 dB at the cut-offs. There is no phase delay.

    Returns
    -------
    (t, t) float64, equal to `scipy.signal.sosfiltfilt` along the frames.

    Raises
    ------
    ConfigError
        A cut-off is at or above half the frame rate, or there is only one frame.

    Notes
    -----
    Ends: the block is extended on both sides by odd (point-mirrored) reflection over
    three times the filter's length, at most t - 1 frames, and the filter starts in the
    steady state of the first sample, as in `sosfiltfilt` by default. Each block is filtered
    separately; the first and last 1 / (lower cut-off) seconds are the least reliable.
    """
    low, high = cutoffs_hz
    nyquist = rate_hz / 2
    if high >= nyquist:
        raise ConfigError(
            f"clutter.bandpass_hz extends to {high:g} Hz, but frames at {rate_hz:g} Hz "
            f"contain only frequencies below {nyquist:g} Hz. Lower clutter.bandpass_hz, or "
            "correct the frame rate (load.rate_hz)."
        )
    if n_frames < 2:
        raise ConfigError(
            "clutter.method=bandpass needs blocks of at least 2 frames. Use longer blocks "
            "(load.frames_per_block)."
        )
    # Imported here because it takes 1.5 s, which runs without a bandpass avoid.
    from scipy.signal import butter, sosfiltfilt

    sections = butter(order, (low, high), btype="bandpass", fs=rate_hz, output="sos")
    taps = 2 * len(sections) + 1
    taps -= min((sections[:, 2] == 0).sum(), (sections[:, 5] == 0).sum())
    padding = min(3 * int(taps), n_frames - 1)
    return sosfiltfilt(sections, np.eye(n_frames), axis=0, padlen=padding)


def bandpass_filter(
    block: NDArray[Any],
    rate_hz: float,
    config: ClutterConfig,
    *,
    out: NDArray[Any] | None = None,
) -> NDArray[Any]:
    """Keep temporal frequencies within `config.bandpass_hz`, of both signs for IQ.

    Parameters
    ----------
    block
        (t, z, y, x) complex64 or float32.
    rate_hz
        Frames per second.
    config
        `bandpass_hz` and `bandpass_order`.
    out
        Output array with the block's shape and dtype, C-contiguous; may be `block`
        itself. None: a new array.

    Returns
    -------
    `out`.

    Raises
    ------
    ConfigError
        See `bandpass_matrix`.
    """
    block = np.ascontiguousarray(block)
    n_frames = block.shape[0]
    matrix = bandpass_matrix(n_frames, rate_hz, config.bandpass_hz, config.bandpass_order)
    matrix = np.ascontiguousarray(matrix, np.float32)
    if out is None:
        out = np.empty_like(block)
    elif out.shape != block.shape or out.dtype != block.dtype or not out.flags.c_contiguous:
        raise ValueError(f"out must be a C-contiguous {block.dtype} array of shape {block.shape}")
    # The matrix is real, so real and imaginary parts are separate columns.
    columns = block.reshape(n_frames, -1).view(np.float32)
    target = out.reshape(n_frames, -1).view(np.float32)

    def apply(part: slice) -> None:
        target[:, part] = matrix @ columns[:, part]

    with one_blas_thread():
        for _ in spread(apply, voxel_slices(columns.shape[1], n_frames)):
            pass
    return out
