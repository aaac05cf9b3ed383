"""Prepare rows for the stages: frame numbers, sorted rows, no track twice in one frame."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_ulm3d.errors import ResultsError
from napari_ulm3d.tables import POSITION_UM

__all__ = ["ask_for_columns", "frames_of_times", "in_order", "of_tracks_only", "with_frames"]

log = logging.getLogger("napari_ulm3d")

#: Largest rounding of times, as a fraction of the frame duration, with which frames are distinct.
_MOST_ROUNDING = 0.35


def with_frames(table: pd.DataFrame, path: str) -> pd.DataFrame:
    """Add a column `frame` to a table, derived from `time_s`, if it has none.

    If both exist, `frame` takes precedence; times that contradict it are logged.

    Raises
    ------
    ResultsError
        There are only times, and they do not lie on a regular clock.
    """
    if "time_s" not in table.columns or not len(table):
        return table
    times = pd.to_numeric(table["time_s"], errors="coerce").to_numpy(np.float64)
    if "frame" not in table.columns:
        frames = frames_of_times(times)
        if frames is None:
            raise ResultsError(
                f"{path}: has no column frame, and the values of time_s are not multiples of one "
                "frame duration. Add a column frame that counts from 0."
            )
        return table.assign(frame=frames)
    frames = pd.to_numeric(table["frame"], errors="coerce").to_numpy(np.float64)
    good = np.isfinite(frames) & np.isfinite(times)
    if good.sum() > 1 and np.ptp(frames[good]) > 0:
        slope, offset = _clock(frames[good], times[good])
        if not slope > 0:
            log.warning("%s: time_s does not increase with frame; frame was used.", path)
            return table
        first = frames[good].min()
        if first >= 1 and abs(offset / slope + 1) < 0.1:
            log.warning(
                "%s: its frames count from 1 (frame 1 is at 0 s); they were renumbered from 0.",
                path,
            )
            return table.assign(frame=frames - 1)
        apart = np.abs(times[good] - (slope * frames[good] + offset)) > 1.05 * slope
        if apart.any():
            log.warning(
                "%s: in %d of %d rows, time_s and frame disagree by more than one frame (at %.6g "
                "frames per second); frame was used.",
                path, int(apart.sum()), len(times), 1 / slope,
            )  # fmt: skip
    return table


def ask_for_columns(table: pd.DataFrame, path: str) -> None:
    """Refuse a table without positions in micrometres or without times, and say what to add.

    Raises
    ------
    ResultsError
        Nothing says the unit of its positions, or the times of its frames.
    """
    columns = [str(name) for name in table.columns]
    lacking = [name for name in POSITION_UM if name not in columns]
    if lacking:
        letters = [name for name in columns if name.lower().strip("_ ").endswith(("x", "y", "z"))]
        here = f" (no unit is known of {', '.join(letters[:6])})" if letters else ""
        raise ResultsError(
            f"{path}: lacks the column(s) {', '.join(lacking)}{here}. Name the positions so if they "
            "are in micrometres, or give their unit in the header, such as x (mm)."
        )
    if "time_s" not in columns:
        raise ResultsError(
            f"{path}: lacks the column(s) time_s. Add the time in seconds: the frame, counted "
            "from 0, divided by the frame rate."
        )


def of_tracks_only(table: pd.DataFrame, path: str) -> pd.DataFrame:
    """Drop rows that belong to no track, which TrackMate lists among those of its tracks."""
    if "track_id" not in table.columns:
        return table
    texts = table["track_id"].astype(str).str.strip().str.lower()
    alone = table["track_id"].isna() | texts.isin(["", "none", "nan"])
    if alone.any() and not alone.all():
        log.warning("%s: %d rows without a track were left out.", path, int(alone.sum()))
        table = table[~alone].reset_index(drop=True)
    return table


def _clock(frames: NDArray[np.float64], times: NDArray[np.float64]) -> tuple[float, float]:
    """Duration of a frame and time of frame 0; medians make it robust to outlier rows."""
    order = np.argsort(frames, kind="stable")
    half = len(order) // 2
    low, high = order[:half], order[half : 2 * half]
    apart = frames[high] > frames[low]
    if not apart.any():
        low, high, apart = order[:1], order[-1:], np.ones(1, bool)
    steps = (times[high] - times[low])[apart] / (frames[high] - frames[low])[apart]
    slope = float(np.median(steps))
    return slope, float(np.median(times - slope * frames))


def frames_of_times(times: NDArray[np.floating[Any]]) -> NDArray[np.int64] | None:
    """Convert rounded times (s) to frame numbers; None if no frame duration fits.

    The frame duration is first estimated as the median of the short steps between different times,
    then fitted to all times (least squares), so that rounding errors do not accumulate.
    """
    if not len(times) or not np.isfinite(times).all():
        return None
    distinct, inverse = np.unique(times, return_inverse=True)
    if len(distinct) < 2:
        return np.zeros(len(times), np.int64) if distinct[0] == 0 else None
    steps = np.diff(distinct)
    steps = steps[steps > 1e-9 * max(1.0, float(np.abs(distinct).max()))]
    if not len(steps):
        return None
    period = float(np.median(steps[steps < 1.6 * np.percentile(steps, 10)]))
    for _ in range(10):
        # Count step by step, so that an error in the period does not accumulate.
        count = np.concatenate(([0.0], np.cumsum(np.rint(np.diff(distinct) / period))))
        if count[-1] == 0:
            return None
        slope, offset = np.polyfit(count, distinct, 1)
        if abs(slope / period - 1) < 1e-12:
            break
        period = float(slope)
    if period <= 0 or np.abs(distinct - (period * count + offset)).max() > _MOST_ROUNDING * period:
        return None
    first = round(float(offset) / period)
    return (count.astype(np.int64) + first)[inverse.reshape(-1)]


def in_order(table: pd.DataFrame, path: str, of_tracks: bool) -> pd.DataFrame:
    """Sort rows by track and frame (localizations: by frame), as required by the stages.

    Raises
    ------
    ResultsError
        A track occurs twice in one frame.
    """
    by = ["track_id", "frame", "time_s"] if of_tracks else ["frame"]
    if not _is_sorted([table[name].to_numpy() for name in by]):
        table = table.sort_values(by, kind="stable", ignore_index=True)
    if of_tracks and len(table) > 1:
        # The rows of an interpolated track share a frame, at different times.
        same = np.logical_and.reduce(
            [table[name].to_numpy()[1:] == table[name].to_numpy()[:-1] for name in by]
        )
        if same.any():
            row = table.iloc[int(np.flatnonzero(same)[0])]
            raise ResultsError(
                f"{path}: lists track {int(row['track_id'])} twice in frame {int(row['frame'])} "
                f"(and {int(same.sum()) - 1} more repeats). Remove the repeated rows, or give each track "
                "its own track_id."
            )
    return table


def _is_sorted(columns: list[NDArray[Any]]) -> bool:
    ordered = np.ones(max(len(columns[0]) - 1, 0), bool)
    for values in reversed(columns):
        ordered = (values[1:] > values[:-1]) | ((values[1:] == values[:-1]) & ordered)
    return bool(ordered.all())
