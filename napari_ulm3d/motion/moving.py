"""Motion correction of localizations."""

from __future__ import annotations

import numpy as np

from napari_ulm3d.config import MotionConfig
from napari_ulm3d.tables import POSITION_UM, VELOCITY_MM_S, BlockMotion, Localizations

__all__ = ["moved_back"]


def moved_back(
    found: Localizations,
    motion: BlockMotion,
    first_frame: int,
    rate_hz: float,
    config: MotionConfig,
) -> Localizations:
    """Move a block's localizations back by the tissue motion, without those in broken frames.

    The tissue's velocity is subtracted from predicted velocities.
    """
    if not len(found):
        return found
    row = found.frames - first_frame
    table = found.table.copy()
    table[POSITION_UM] = found.positions_um - motion.displacement_um[row]
    if set(VELOCITY_MM_S) <= set(table.columns):
        pace = np.gradient(motion.displacement_um, axis=0) * rate_hz / 1000
        table[VELOCITY_MM_S] = table[VELOCITY_MM_S].to_numpy(np.float64) - pace[row]
    if config.leave_out:
        table = table[~motion.broken[row]].reset_index(drop=True)
    return Localizations(table)
