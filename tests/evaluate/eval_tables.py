"""Small tables for the tests of the scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.evaluate import Truth
from napari_ulm3d.tables import Localizations, Tracks

RATE_HZ = 100.0
GRID = Grid((20, 20, 20), (100.0, 100.0, 100.0))  # borders at -50 and 1950 um
FLAT = Grid((20, 1, 20), (100.0, 100.0, 100.0))

Row = Sequence[float]


def truth_of(rows: Sequence[Row]) -> Truth:
    """Rows of (frame, bubble_id, z, y, x) or (..., vz, vy, vx)."""
    names = ["frame", "bubble_id", "z_um", "y_um", "x_um", "vz_mm_s", "vy_mm_s", "vx_mm_s"]
    if not rows:
        return Truth.empty()
    return Truth(pd.DataFrame([list(row) for row in rows], columns=names[: len(rows[0])]))


def found_of(rows: Sequence[Row]) -> Localizations:
    """Rows of (frame, z, y, x)."""
    table = np.asarray(rows, float).reshape(-1, 4)
    n = len(table)
    return Localizations.from_arrays(
        table[:, 0].astype(int), table[:, 1:], np.full(n, 12.0), np.ones(n), RATE_HZ
    )


def tracks_of(rows: Sequence[Row], speed_mm_s: float = 0.0) -> Tracks:
    """Rows of (track_id, frame, z, y, x), all with the same speed."""
    table = pd.DataFrame(
        np.asarray(rows, float).reshape(-1, 5),
        columns=["track_id", "frame", "z_um", "y_um", "x_um"],
    )
    table["time_s"] = table["frame"] / RATE_HZ
    for name in ("vz_mm_s", "vy_mm_s", "vx_mm_s"):
        table[name] = 0.0
    table["speed_mm_s"] = speed_mm_s
    table["score"] = 1.0
    return Tracks(table)
