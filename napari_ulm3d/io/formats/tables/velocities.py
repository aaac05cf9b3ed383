"""Velocities of tracks in tables with only positions and times, such as those of TrackMate."""

from __future__ import annotations

import logging

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_ulm3d.errors import ResultsError
from napari_ulm3d.tables import POSITION_UM, VELOCITY_MM_S

__all__ = ["with_velocities"]

log = logging.getLogger("napari_ulm3d")


def with_velocities(table: pd.DataFrame, path: str) -> pd.DataFrame:
    """Add missing velocities, speed and score to a table of tracks; derived columns are logged.

    Velocities are central differences of a track's positions over time (one-sided at its ends,
    second order for uneven times, as in `numpy.gradient`). Tracks of a single point have no
    velocity and are dropped. A missing score is set to 1.

    Parameters
    ----------
    table
        Must contain `track_id`, `time_s` and the positions in micrometres; otherwise it is
        returned unchanged.
    path
        The table's file, for messages.

    Raises
    ------
    ResultsError
        A row has no number, or a track two positions at one time.
    """
    needed = ["track_id", "time_s", *POSITION_UM]
    if not {*needed} <= {*table.columns}:
        return table
    if not len(table):
        missing = [*VELOCITY_MM_S, "speed_mm_s", "score"]
        return table.assign(**{n: 0.0 for n in missing if n not in table.columns})
    if not any(name in table.columns for name in VELOCITY_MM_S):
        numbers = table[needed].apply(pd.to_numeric, errors="coerce")
        _refuse_gaps(numbers, path)
        table = table.iloc[np.lexsort((numbers["time_s"], numbers["track_id"]))]
        numbers = numbers.loc[table.index]
        identity = numbers["track_id"].to_numpy()
        starts = np.flatnonzero(np.concatenate(([True], identity[1:] != identity[:-1])))
        sizes = np.diff(np.append(starts, len(identity)))
        times = numbers["time_s"].to_numpy(np.float64)
        positions = numbers[POSITION_UM].to_numpy(np.float64)
        twice = np.flatnonzero((np.diff(times) <= 0) & (np.diff(identity) == 0))
        if len(twice):
            raise ResultsError(
                f"{path}: track {identity[twice[0]]:g} has two positions at {times[twice[0]]:g} s, "
                f"and {len(twice)} rows in all repeat a time of their track. Keep one of each."
            )
        velocities = _differences(times, positions, starts, sizes) * 1e-3
        table = table.assign(**dict(zip(VELOCITY_MM_S, velocities.T, strict=True)))
        single = np.repeat(sizes == 1, sizes)
        left_out = (
            f"; {int(single.sum())} tracks of one point were left out" if single.any() else ""
        )
        table = table[~single].reset_index(drop=True)
        log.warning(
            "%s: velocities were derived from the positions and times of the tracks%s.",
            path, left_out,
        )  # fmt: skip
    if "speed_mm_s" not in table.columns and {*VELOCITY_MM_S} <= {*table.columns}:
        velocity = table[VELOCITY_MM_S].apply(pd.to_numeric, errors="coerce").to_numpy(np.float64)
        table = table.assign(speed_mm_s=np.linalg.norm(velocity, axis=1))
    if "score" not in table.columns and {*VELOCITY_MM_S} <= {*table.columns}:
        table = table.assign(score=1.0)
        log.warning("%s: the tracks have no score; it was set to 1.", path)
    return table


def _refuse_gaps(numbers: pd.DataFrame, path: str) -> None:
    """Refuse rows without a number, and name the first one as a spreadsheet counts them."""
    bad = ~np.isfinite(numbers.to_numpy(np.float64))
    if not bad.any():
        return
    row, column = np.argwhere(bad)[0]
    raise ResultsError(
        f"{path}: row {row + 1} of the table has no number in column {numbers.columns[column]} "
        f"({int(bad.any(axis=1).sum())} such rows). Complete or remove these rows."
    )


def _differences(
    times: NDArray[np.float64],
    positions: NDArray[np.float64],
    starts: NDArray[np.intp],
    sizes: NDArray[np.intp],
) -> NDArray[np.float64]:
    """Derivatives of all tracks at once; 0 for tracks of one point."""
    n = len(times)
    found = np.zeros_like(positions)
    if n < 2:
        return found
    step = np.diff(times)
    slope = np.zeros((n - 1, positions.shape[1]))
    inside = np.ones(n - 1, bool)
    inside[starts[1:] - 1] = False  # steps from one track to the next
    slope[inside] = np.diff(positions, axis=0)[inside] / step[inside, None]
    before = np.concatenate(([False], inside))
    after = np.concatenate((inside, [False]))
    left, right = np.flatnonzero(before & ~after), np.flatnonzero(~before & after)
    found[left], found[right] = slope[left - 1], slope[right]
    middle = np.flatnonzero(before & after)
    earlier, later = step[middle - 1, None], step[middle, None]
    found[middle] = (later * slope[middle - 1] + earlier * slope[middle]) / (earlier + later)
    return found
