"""CSV tables with columns and units assigned by the user."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike, fspath

import numpy as np
import pandas as pd

from napari_ulm3d.acquisition import Triple
from napari_ulm3d.errors import ResultsError
from napari_ulm3d.io.facts.units import SECONDS_PER_UNIT, UM_PER_UNIT
from napari_ulm3d.io.formats.tables.completed import completed
from napari_ulm3d.io.formats.tables.spreadsheet import read_raw
from napari_ulm3d.io.stored.content import readable
from napari_ulm3d.tables import Localizations, Tracks

__all__ = ["LENGTHS_UM", "PIXELS", "ROLES", "TIMES_S", "ColumnMap", "read_mapped"]

#: Roles of columns, by our name for them.
ROLES = ("track_id", "frame", "time_s", "z_um", "y_um", "x_um", "score")
#: Available units, with their sizes.
LENGTHS_UM = {unit: UM_PER_UNIT[unit] for unit in ("um", "mm", "m", "nm")}
TIMES_S = {unit: SECONDS_PER_UNIT[unit] for unit in ("s", "ms", "us", "min")}
#: Unit of positions that `ColumnMap.pixel_um` converts to a length.
PIXELS = "pixels"


@dataclass(frozen=True)
class ColumnMap:
    """Roles and units of the columns.

    Attributes
    ----------
    columns
        Names of the file's columns, by their roles. Needed are x, z and one of frame and time;
        without y the data is 2-D, without a track number the rows are localizations.
    length, time
        Units of the positions (of `LENGTHS_UM`, or pixels) and of the time (of `TIMES_S`); they are
        never guessed.
    pixel_um
        Size of a pixel along z, y, x in um, for positions in pixels.
    rate_hz
        Frames per second, for rows with a frame and no time.
    """

    columns: Mapping[str, str]
    length: str = ""
    time: str = ""
    pixel_um: Triple | None = None
    rate_hz: float | None = None

    @property
    def problem(self) -> str:
        """What is missing, as a sentence; empty if complete."""
        chosen = [name for name in self.columns.values() if name]
        if len(set(chosen)) < len(chosen):
            return "A column is chosen twice."
        has = {role for role, name in self.columns.items() if name}
        if not {"x_um", "z_um"} <= has:
            return "Choose the columns of x and z (depth)."
        if not has & {"frame", "time_s"}:
            return "Choose the column of the frame or of the time."
        if "time_s" not in has and not self.rate_hz:
            return "Fill in the frame rate: the table has frames and no times."
        if self.length not in (*LENGTHS_UM, PIXELS):
            return "Choose the unit of z, y and x."
        if "time_s" in has and self.time not in TIMES_S:
            return "Choose the unit of the time."
        if self.length == PIXELS and not (self.pixel_um and min(self.pixel_um) > 0):
            return "Fill in the size of a pixel."
        return ""


def read_mapped(path: str | PathLike[str], chosen: ColumnMap) -> Tracks | Localizations:
    """Read a CSV file with columns assigned by the user.

    Returns
    -------
    Tracks where there is a column of track numbers, with velocities from positions and times
    (`with_velocities`); else localizations.

    Raises
    ------
    ResultsError
        Something is missing in `chosen`, a column is not numeric, or the rows do not form a table of
        tracks (`in_order`).
    """
    name = fspath(path)
    if chosen.problem:
        raise ResultsError(f"{name}: {chosen.problem}")
    with readable(name, "a table"):
        raw = read_raw(name)
    table = pd.DataFrame(
        {role: _numbers(raw, column, name) for role, column in chosen.columns.items() if column}
    )
    for axis, role in enumerate(("z_um", "y_um", "x_um")):
        factor = LENGTHS_UM.get(chosen.length)
        if factor is None:
            factor = chosen.pixel_um[axis] if chosen.pixel_um else 1.0
        table[role] = table[role] * factor if role in table else 0.0
    if "time_s" in table:
        table["time_s"] = table["time_s"] * TIMES_S[chosen.time]
    elif chosen.rate_hz:
        table["time_s"] = table["frame"] / chosen.rate_hz
    try:
        if "track_id" in table:
            return completed(table, name, Tracks)
        missing = {"snr_db": 0.0, "score": 1.0}
        table = table.assign(**{key: v for key, v in missing.items() if key not in table})
        return completed(table, name, Localizations)
    except ResultsError as error:
        raise error if str(error).startswith(name) else ResultsError(f"{name}: {error}") from error


def _numbers(raw: pd.DataFrame, column: str, name: str) -> pd.Series:
    """A column as numbers; a row without one is named as a spreadsheet counts it."""
    if column not in raw:
        raise ResultsError(f"{name}: has no column '{column}'. Choose one that it has.")
    values = pd.to_numeric(raw[column], errors="coerce").astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(values.to_numpy()))
    if bad.size:
        raise ResultsError(
            f"{name}: row {bad[0] + 1} of the table has no number in the column '{column}' "
            f"({bad.size} such rows). Choose another column, or complete these rows."
        )
    return values
