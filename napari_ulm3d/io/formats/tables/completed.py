"""From a data frame with our column names to a table of tracks or localizations."""

from __future__ import annotations

from typing import TypeVar

import pandas as pd

from napari_ulm3d.io.formats.tables.order import (
    ask_for_columns,
    in_order,
    with_frames,
)
from napari_ulm3d.io.formats.tables.velocities import with_velocities
from napari_ulm3d.tables import Localizations, Tracks

__all__ = ["completed"]

Table = TypeVar("Table", Localizations, Tracks)


def completed(frame: pd.DataFrame, name: str, cls: type[Table]) -> Table:
    """Add what rows lack and sort them.

    Frame numbers follow from times, velocities of tracks from positions and times.

    Parameters
    ----------
    frame
        Columns with our names and units.
    name
        Path of the file, for messages.
    cls
        `Localizations` or `Tracks`.

    Raises
    ------
    ResultsError
        Columns are missing, numbers of frames or tracks are not whole, or a track occurs twice in
        one frame.
    """
    frame = with_frames(frame, name)
    ask_for_columns(frame, name)
    if cls is Tracks:
        frame = with_velocities(frame, name)
    table = cls(frame)
    return cls(in_order(table.table, name, of_tracks=cls is Tracks))
