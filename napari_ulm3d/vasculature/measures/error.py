"""Estimate the localization error of track positions from the tracks themselves."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.tables import Tracks

__all__ = ["track_error_um"]

_FEWEST = 200
_NORMAL = 1.4826  # standard deviation over median absolute deviation


def track_error_um(tracks: Tracks, smoothing_frames: int) -> NDArray[np.float64] | None:
    """(3,) standard deviation of track positions about a smooth path along z, y, x, um.

    Positions are moving averages over w frames of localizations with independent errors sigma.
    Their standard deviation is sigma / sqrt(w), and that of their second differences over one
    frame is 2 sigma / w (w = 1: sqrt(6) sigma). Over so short a step the curvature of a vessel
    is negligible. Errors that are constant along a track are not detected. None: fewer than 200
    usable rows.

    Parameters
    ----------
    tracks
        Tracks sorted by track and frame, one row per frame.
    smoothing_frames
        Window of their moving average, `link.smoothing_frames`.
    """
    w = max(1, smoothing_frames - (smoothing_frames + 1) % 2)
    table = tracks.table
    identity, frame = table["track_id"].to_numpy(), table["frame"].to_numpy()
    margin = w // 2 + 1  # near its ends a track is averaged over fewer frames
    n = len(identity)
    if n < 2 * margin + 1:
        return None
    middle = np.arange(margin, n - margin)
    whole = (identity[middle - margin] == identity[middle + margin]) & (
        frame[middle + margin] - frame[middle - margin] == 2 * margin
    )
    middle = middle[whole]
    if len(middle) < _FEWEST:
        return None
    p = tracks.positions_um
    bend = p[middle + 1] - 2 * p[middle] + p[middle - 1]
    spread = _NORMAL * np.median(np.abs(bend - np.median(bend, axis=0)), axis=0)
    return np.asarray(spread / np.sqrt(6) if w == 1 else spread * np.sqrt(w) / 2)
