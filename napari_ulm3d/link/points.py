"""Plain arrays from a table of localizations for the linkers, and the gates."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.config import LinkConfig
from napari_ulm3d.errors import ConfigError, ResultsError
from napari_ulm3d.tables import VELOCITY_MM_S, Localizations

__all__ = ["UM_PER_MM", "gates_um", "plain_rows", "refuse_unordered"]

UM_PER_MM = 1000.0


def gates_um(rate_hz: float, config: LinkConfig) -> list[float]:
    """Maximum length of links between points 1, 2, ... frames apart, um.

    Raises
    ------
    ConfigError
        The rate is not positive.
    ValueError
        The settings leave the speed to the localizations (`with_speed` chooses it).
    """
    if config.max_speed_mm_s is None:
        raise ValueError("the speed limit has to be chosen first")
    if not (np.isfinite(rate_hz) and rate_hz > 0):
        raise ConfigError(
            f"The frame rate must be positive, not {rate_hz} Hz. Give it with --rate."
        )
    step_um = config.max_speed_mm_s * UM_PER_MM / rate_hz
    return [step_um * apart for apart in range(1, config.max_gap_frames + 2)]


def plain_rows(chunk: Localizations, rate_hz: float) -> NDArray[np.float64]:
    """(n, 8) frame, z, y, x, score, and half the displacement expected within one frame.

    Raises
    ------
    ResultsError
        A position is NaN or infinite.
    """
    rows = np.zeros((len(chunk), 8))
    rows[:, 0] = chunk.frames
    rows[:, 1:4] = chunk.positions_um
    rows[:, 4] = chunk.table["score"]
    bad = ~np.isfinite(rows[:, 1:4]).all(axis=1)
    if bad.any():
        raise ResultsError(
            f"A localization in frame {chunk.frames[bad][0]} has a NaN or infinite position. "
            "Remove such rows."
        )
    if set(VELOCITY_MM_S) <= set(chunk.table.columns):
        velocity = chunk.table[VELOCITY_MM_S].to_numpy(np.float64)
        known = np.isfinite(velocity).all(axis=1, keepdims=True)
        rows[:, 5:] = np.where(known, velocity, 0.0) * UM_PER_MM / rate_hz / 2
    return rows


def refuse_unordered(frames: NDArray[np.float64]) -> None:
    """Refuse frame numbers that do not ascend.

    Raises
    ------
    ResultsError
        A frame follows a later one.
    """
    back = np.flatnonzero(frames[1:] < frames[:-1])
    if back.size:
        raise ResultsError(
            f"Localizations of frame {int(frames[back[0] + 1])} follow those of a later frame. Sort "
            "the table by frame."
        )
