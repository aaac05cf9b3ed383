"""The speed limit of linking, chosen from the localizations if it is automatic.

The positions of a bubble in consecutive frames differ by its motion and by two localization errors. At a
high frame rate the errors dominate, and a limit on the speed alone then breaks most tracks: 30 mm/s at
1,000 Hz are 30 um per frame, less than two errors of 30 um. A sample is therefore linked with increasing
limits, and the gain of each is compared with the gain expected by chance.

For the latter, every track of the lower limit is shifted in time by a random number of frames. Links that
the higher limit adds between shifted tracks cannot be true, while the points of a track remain occupied, as
in the original order. (Permuting the frames would break all tracks and leave many more points
free to be linked by chance, so high limits would look worse than they are.)
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.config import LinkConfig
from napari_ulm3d.link.chains import chain_labels
from napari_ulm3d.link.points import gates_um, plain_rows, refuse_unordered
from napari_ulm3d.tables import Localizations

__all__ = ["SAMPLE_ROWS", "USUAL_MM_S", "with_speed"]

USUAL_MM_S = 30.0
"""Limit in mm/s, unless the localizations show that it is too low."""
SAMPLE_ROWS = 5_000
"""Number of localizations used for the choice."""

_FACTORS = (1.0, 1.5, 2.0, 3.0, 4.5, 6.0)  # compared limits, relative to the usual one
_ENOUGH = 0.98  # fraction of the greatest number of true points that a limit must reach
_LENGTH = 9  # minimum number of points in a track that counts
_FEW = 2 * _LENGTH  # with fewer points (two tracks), nothing can be decided
_SHIFTS = 4  # number of random shifts; the one with the largest gain counts


def with_speed(
    found: Localizations, rate_hz: float, config: LinkConfig, breaks: Sequence[int] = ()
) -> LinkConfig:
    """The settings with a speed limit; a given one is kept.

    For each limit, the points in tracks of 9 points or more are counted in a sample. The points gained
    by chance from one limit to the next (see the module) are subtracted; if they are
    half of the gain, higher limits are not considered. The lowest limit that reaches 98 % of
    the greatest number is chosen, or 30 mm/s if no more than two tracks would be gained.

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
    rng = np.random.default_rng(0)

    def chains(
        of: NDArray[np.int64], part: NDArray[np.float64], limit: LinkConfig
    ) -> NDArray[np.int64]:
        return chain_labels(of, part[:, 1:4], gates_um(rate_hz, limit), part[:, 5:], sorted(breaks))

    label = chains(frame, rows, limits[0])
    true = [_points(label)]
    for low, high in pairwise(limits):
        by_chance = 0
        for _ in range(_SHIFTS):
            shifted = _shifted(frame, label, rng)
            order = np.argsort(shifted, kind="stable")
            few, more = (_points(chains(shifted[order], rows[order], one)) for one in (low, high))
            by_chance = max(by_chance, more - few)
        before, label = _points(label), chains(frame, rows, high)
        gained = _points(label) - before
        if by_chance >= _FEW and by_chance > gained / 2:
            break
        true.append(true[-1] + gained - by_chance)
    if max(true) - true[0] < _FEW:
        return limits[0]
    return limits[int(np.flatnonzero(np.array(true) >= _ENOUGH * max(true))[0])]


def _points(label: NDArray[np.int64]) -> int:
    """Number of points in chains that are long enough to count."""
    length = np.bincount(label)
    return int(length[length >= _LENGTH].sum())


def _shifted(
    frame: NDArray[np.int64], label: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.int64]:
    """Frames of the points after shifting each chain in time, modulo the length of the sample."""
    first, n_frames = int(frame[0]), int(frame[-1] - frame[0] + 1)
    shift = rng.integers(0, n_frames, int(label.max()) + 1)
    return (frame - first + shift[label]) % n_frames + first
