"""Motion correction of localizations."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import MotionConfig
from napari_ulm3d.motion.block_motion import BlockMotion
from napari_ulm3d.motion.deformation import Deformation
from napari_ulm3d.tables import POSITION_UM, VELOCITY_MM_S, Localizations

__all__ = ["moved_back"]

_TURNS = 2
"""Evaluations of the deformation, which is known at the position at rest."""


def moved_back(
    found: Localizations,
    motion: BlockMotion,
    first_frame: int,
    rate_hz: float,
    config: MotionConfig,
    grid: Grid,
) -> Localizations:
    """Move a block's localizations back by the tissue motion, without those in broken frames.

    The tissue's velocity is subtracted from predicted velocities. `grid` is that of the frames.
    """
    if not len(found):
        return found
    row = found.frames - first_frame
    table = found.table.copy()
    place = found.positions_um - motion.displacement_um[row]
    pace = np.gradient(motion.displacement_um, axis=0)[row]
    if motion.deformed is not None:
        place, more = _unbent(place, row, motion.deformed.deformation, grid)
        pace = pace + more
    table[POSITION_UM] = place
    if set(VELOCITY_MM_S) <= set(table.columns):
        table[VELOCITY_MM_S] = table[VELOCITY_MM_S].to_numpy(np.float64) - pace * rate_hz / 1000
    if config.leave_out:
        table = table[~motion.broken[row]].reset_index(drop=True)
    return Localizations(table)


def _unbent(
    place: NDArray[np.float64], row: NDArray[np.intp], field: Deformation, grid: Grid
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Positions without a deformation, and its change per frame there."""
    rest = place
    for _ in range(_TURNS):
        rest = place - field.at(grid.to_index(rest), row)
    index, last = grid.to_index(rest), len(field.control_um) - 1
    after, before = np.minimum(row + 1, last), np.maximum(row - 1, 0)
    change = field.at(index, after) - field.at(index, before)
    return rest, change / np.maximum(after - before, 1)[:, None]
