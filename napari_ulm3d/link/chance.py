"""Number of tracks expected by chance, from linking the same localizations in shuffled frames.

Bubbles move from frame to frame, while noise does not depend on the order. The frames of a
sample are therefore permuted in time and linked with the same settings; the resulting tracks
arise by chance. There are two counts for each length:

*permuted*
    All localizations, as a plain control. It overestimates the false tracks: in the original
    order, the localizations of bubbles belong to their own tracks and do not link with others.
*by chance*
    Only localizations that do not belong to true tracks. The number of true tracks follows
    from the count itself, so the count is iterated: a track takes part with the probability,
    from the previous round, that it arose by chance. Single localizations carry no such
    evidence; the number left out is that expected from true tracks that end at a constant rate.

Neither count detects echoes that are not bubbles but move with them or persist for long
(side lobes, clutter): in random order their tracks break up like those of bubbles.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_ulm3d.config import LinkConfig
from napari_ulm3d.link.chains import chain_labels
from napari_ulm3d.link.learning import motion_model
from napari_ulm3d.link.points import gates_um, plain_rows
from napari_ulm3d.link.speed import USUAL_MM_S, with_speed
from napari_ulm3d.tables import Localizations

__all__ = ["MOST_CHANCE", "ChanceSample", "ChanceTracks", "chance_tracks"]

MOST_CHANCE = 0.05
"""Largest fraction of chance tracks accepted when the minimum track length is chosen."""

_MOST_ROWS = 60_000
"""Number of localizations in a sample: enough to count tracks in a short time."""
_SHORTEST, _LONGEST = 2, 100  # range of possible minimum lengths, in frames
_ROUNDS, _AVERAGED = 7, 3
_PERMUTATIONS = 2
_FEW = 20  # with fewer tracks of a length, fractions include all longer tracks


@dataclass(frozen=True)
class ChanceTracks:
    """Number of tracks in a sample by length, and how many of them arise by chance.

    Attributes
    ----------
    tracks
        (n,) number of tracks with 0, 1, 2, ... localizations, in the original order.
    by_chance
        (n,) estimated number of these that arise by chance.
    permuted
        (n,) number of tracks from all localizations in shuffled frames.
    n_frames
        Number of frames spanned by the sample.
    max_speed_mm_s
        Speed limit of the links, chosen if automatic.
    """

    tracks: NDArray[np.float64]
    by_chance: NDArray[np.float64]
    permuted: NDArray[np.float64]
    n_frames: int
    max_speed_mm_s: float = USUAL_MM_S

    def share(self, length: int) -> float:
        """Fraction of the tracks of at least `length` that arise by chance; NaN without tracks."""
        return _share(self.by_chance, self.tracks, length)

    def least_length(self, most: float = MOST_CHANCE) -> int:
        """The shortest length from which less than a fraction `most` of the tracks is by chance.

        Uses the plain control (`permuted`), which is stricter: tracks of side lobes, which
        neither count detects, are short as well. If no length suffices, the maximum is returned.
        """
        for length in range(_SHORTEST, _LONGEST):
            if self.permuted[length:].sum() < most * self.tracks[length:].sum():
                return length
            if not self.tracks[length:].sum() and not self.permuted[length:].sum():
                return length
        return _LONGEST

    def to_table(self) -> pd.DataFrame:
        """One row per length from 2: counts, and fractions of tracks of at least that length."""
        lengths = np.arange(_SHORTEST, max(len(self.tracks), _SHORTEST + 1))
        counts = {
            "tracks": self.tracks, "by_chance": self.by_chance, "permuted": self.permuted
        }  # fmt: skip
        table = pd.DataFrame({"length_frames": lengths})
        for name, values in counts.items():
            table[name] = [values[k] if k < len(values) else 0.0 for k in lengths.tolist()]
        for name in ("by_chance", "permuted"):
            shares = [_share(counts[name], self.tracks, k) for k in lengths.tolist()]
            table[f"share_{name}"] = shares
        return table


class ChanceSample:
    """The first localizations of a stream, kept for the control."""

    def __init__(self) -> None:
        self._parts: list[Localizations] = []
        self._rows = 0

    @property
    def full(self) -> bool:
        """Whether the sample is large enough."""
        return self._rows >= _MOST_ROWS

    def add(self, found: Localizations) -> None:
        """Add a chunk, while there is room."""
        if not self.full and len(found):
            self._parts.append(Localizations(found.table.head(_MOST_ROWS - self._rows)))
            self._rows += len(self._parts[-1])

    def chance(
        self, rate_hz: float, config: LinkConfig, breaks: Sequence[int] = ()
    ) -> ChanceTracks:
        """Compute `chance_tracks` for the sample."""
        return chance_tracks(Localizations.concat(self._parts), rate_hz, config, breaks)


def chance_tracks(
    found: Localizations,
    rate_hz: float,
    config: LinkConfig,
    breaks: Sequence[int] = (),
    seed: int = 0,
) -> ChanceTracks:
    """Count tracks by length, and those that arise by chance.

    Parameters
    ----------
    found
        Localizations, sorted by frame.
    rate_hz, config, breaks
        As in `link.link`; the minimum length in `config` is ignored.
    seed
        Seed of the permutations.

    Raises
    ------
    ConfigError, ResultsError
        As in `link.link`.
    """
    config = with_speed(found, rate_hz, config, breaks)
    speed = config.max_speed_mm_s or USUAL_MM_S
    gates = gates_um(rate_hz, config)
    rows = plain_rows(found, rate_hz)
    if not len(rows):
        nothing = np.zeros(_SHORTEST + 1)
        return ChanceTracks(nothing, nothing, nothing, 0, speed)
    frame = rows[:, 0].astype(np.int64)
    first, n_frames = int(frame[0]), int(frame[-1] - frame[0] + 1)
    ordered = sorted(breaks)
    # The motion model of the original order, since these are the links that a run makes.
    model = motion_model(rows, rate_hz, config, ordered)
    rng = np.random.default_rng(seed)

    def permuted(kept: NDArray[np.bool_]) -> NDArray[np.float64]:
        """Number of tracks of each length from some localizations, in shuffled frames."""
        new = (rng.permutation(n_frames) + first)[frame[kept] - first]
        order = np.argsort(new, kind="stable")
        part = rows[kept][order]
        label = chain_labels(new[order], part[:, 1:4], gates, part[:, 5:], ordered, model)
        return _lengths(label)[1]

    label = chain_labels(frame, rows[:, 1:4], gates, rows[:, 5:], ordered, model)
    length, tracks = _lengths(label)
    everything = np.ones(len(rows), bool)
    plain = _mean([permuted(everything) for _ in range(_PERMUTATIONS)])
    is_chance = np.ones(len(tracks))
    counts: list[NDArray[np.float64]] = []
    for _ in range(_ROUNDS):
        taking_part = rng.random(len(length)) < is_chance[length]
        counts.append(permuted(taking_part[label]))
        is_chance = _chances(_mean(counts[-_AVERAGED:]), tracks)
    by_chance = _mean(counts[-_AVERAGED:])
    size = max(len(tracks), len(plain), len(by_chance), _SHORTEST + 1)
    return ChanceTracks(
        _padded(tracks, size), _padded(by_chance, size), _padded(plain, size), n_frames, speed
    )


def _chances(chance: NDArray[np.float64], tracks: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probability that a track of each length arose by chance, from both counts."""
    size = max(len(tracks), 7)
    chance, tracks = _padded(chance, max(size, len(chance))), _padded(tracks, size)
    longer = np.cumsum(chance[::-1])[::-1][:size], np.cumsum(tracks[::-1])[::-1]
    chance = chance[:size]
    few = tracks < _FEW
    share = np.where(few, longer[0], chance) / np.maximum(np.where(few, longer[1], tracks), 1)
    share = np.minimum(share, 1)
    # Single points: true tracks end at a constant rate, so their number decays geometrically.
    true = np.maximum(tracks - chance, 0)
    rate = min(true[3:7].sum() / max(true[2:6].sum(), 1e-9), 1.0)
    share[1] = 1 - min(true[2] / max(rate, 0.2), tracks[1]) / max(tracks[1], 1)
    return np.asarray(share)


def _lengths(label: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Number of points in each chain, and number of chains of each length."""
    length = np.bincount(label) if label.size else np.zeros(0, np.int64)
    return length, np.bincount(length, minlength=_SHORTEST + 1).astype(np.float64)


def _mean(counts: Sequence[NDArray[np.float64]]) -> NDArray[np.float64]:
    size = max(len(one) for one in counts)
    return np.asarray(np.mean([_padded(one, size) for one in counts], axis=0))


def _padded(values: NDArray[np.float64], size: int) -> NDArray[np.float64]:
    return np.pad(values, (0, max(size - len(values), 0)))


def _share(part: NDArray[np.float64], whole: NDArray[np.float64], length: int) -> float:
    total = float(whole[length:].sum())
    return min(float(part[length:].sum()) / total, 1.0) if total else float("nan")
