"""Tracks resampled in equal steps along their length, for rendering and export."""

from __future__ import annotations

import numpy as np
import pandas as pd

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.tables import POSITION_UM, Tracks

__all__ = ["interpolate"]


def interpolate(tracks: Tracks, step_um: float) -> Tracks:
    """Resample every track at equal arc lengths along its polyline.

    Each track keeps its two end points and is divided into the smallest number of equal pieces
    no longer than `step_um` (as PALA interpolates tracks to fill the pixels of a map, Heiles
    et al., Nat. Biomed. Eng. 2022, but in length instead of time).

    Parameters
    ----------
    tracks
        Sorted by track_id and frame.
    step_um
        Maximum distance along the track between two rows, micrometres.

    Returns
    -------
    Tracks with the same columns, linearly interpolated; `time_s` is the time at which the bubble
    passed, `frame` the last frame up to then. A track that does not move keeps its two end points.

    Raises
    ------
    ConfigError
        The step is not positive.
    """
    if not (np.isfinite(step_um) and step_um > 0):
        raise ConfigError(f"step_um must be a positive length in micrometres, not {step_um}.")
    if not len(tracks):
        return tracks
    table = tracks.table
    track_id = table["track_id"].to_numpy()
    first = np.flatnonzero(np.diff(track_id, prepend=track_id[0] - 1))
    last = np.append(first[1:], len(table)) - 1
    piece = np.linalg.norm(np.diff(table[POSITION_UM].to_numpy(np.float64), axis=0), axis=1)
    pieces, rows = [], []
    for start, stop in zip(first.tolist(), last.tolist(), strict=True):
        along = np.concatenate(([0.0], np.cumsum(piece[start:stop])))
        n_pieces = max(int(np.ceil(along[-1] / step_um)), 1)
        wanted = np.linspace(0.0, along[-1], n_pieces + 1)
        # Fractional row at each length; the two end points are exact.
        inner = np.interp(wanted[1:-1], along, np.arange(start, stop + 1.0))
        rows.append(np.concatenate(([start], inner, [stop])))
        pieces.append(n_pieces + 1)
    row = np.concatenate(rows)
    low = np.minimum(row.astype(np.int64), np.repeat(last, pieces))
    high = np.minimum(low + 1, np.repeat(last, pieces))
    part = row - low
    columns = {}
    for name in table.columns:
        values = table[name].to_numpy()
        if values.dtype.kind == "f":
            columns[name] = ((1 - part) * values[low] + part * values[high]).astype(values.dtype)
        else:
            columns[name] = values[low]
    return Tracks(pd.DataFrame(columns))
