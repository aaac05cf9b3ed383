"""The speed limit of linking, from the localizations where the settings leave it to them.

A bubble's places in consecutive frames are apart by what it moved and by the errors of both. At a
high frame rate the errors are the larger part, and a limit on the speed alone then cuts most tracks:
30 mm/s at 1,000 Hz are 30 um, less than two errors of 30 um. So a sample is linked with a few
limits, in its own order and with its frames permuted; what is gained beyond chance decides.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.config import LinkConfig
from napari_ulm3d.link.chains import chain_labels
from napari_ulm3d.link.points import gates_um, plain_rows, refuse_unordered
from napari_ulm3d.tables import Localizations

__all__ = ["SAMPLE_ROWS", "USUAL_MM_S", "with_speed"]

USUAL_MM_S = 30.0
"""The limit unless the localizations show that it is too low."""
SAMPLE_ROWS = 5_000
"""Number of localizations that decide."""

_FACTORS = (1.0, 1.5, 2.0, 3.0, 4.5, 6.0)  # limits that are compared, of the usual one
_ENOUGH = 0.98  # fraction of the greatest gain that a limit must reach
_FEWEST = 100  # links beyond chance with fewer than which nothing can be decided
_SHORTEST = 4  # points of a track that counts: longer ones bridge missed bubbles through noise


def with_speed(
    found: Localizations, rate_hz: float, config: LinkConfig, breaks: Sequence[int] = ()
) -> LinkConfig:
    """The settings with a speed limit; one that is given is kept.

    For each limit, the links in tracks of 4 points or more are counted in a sample and, as what arises
    by chance, in the same sample with its frames permuted. The lowest limit that reaches 98 % of the
    greatest difference is chosen; 30 mm/s where there are too few links to tell.

    Parameters
    ----------
    found
        Localizations, sorted by frame; the first `SAMPLE_ROWS` count.
    rate_hz, breaks
        As in `link.link`.

    Raises
    ------
    ConfigError, ResultsError
        As in `link.link`.
    """
    if config.max_speed_mm_s is not None:
        return config
    limits = [config.replace(max_speed_mm_s=factor * USUAL_MM_S) for factor in _FACTORS]
    rows = plain_rows(Localizations(found.table.head(SAMPLE_ROWS)), rate_hz)
    if not len(rows):
        return limits[0]
    refuse_unordered(rows[:, 0])
    frame = rows[:, 0].astype(np.int64)
    first, n_frames = int(frame[0]), int(frame[-1] - frame[0] + 1)
    shuffled = (np.random.default_rng(0).permutation(n_frames) + first)[frame - first]
    order = np.argsort(shuffled, kind="stable")

    def links(of: NDArray[np.int64], part: NDArray[np.float64], limit: LinkConfig) -> int:
        gates = gates_um(rate_hz, limit)
        label = chain_labels(of, part[:, 1:4], gates, part[:, 5:], sorted(breaks))
        length = np.bincount(label)
        return int((length[length >= _SHORTEST] - 1).sum())

    gain = np.array(
        [links(frame, rows, limit) - links(shuffled[order], rows[order], limit) for limit in limits]
    )
    if gain.max() < _FEWEST:
        return limits[0]
    return limits[int(np.flatnonzero(gain >= _ENOUGH * gain.max())[0])]
