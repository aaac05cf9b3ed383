"""How bubbles move, learned from a sample of the localizations themselves.

The sample is first linked without a model. The steps of its longer chains give the localization error, which
makes consecutive second differences anticorrelated, and the random change of the velocity. The sample is then
linked again with these values. If the chains turn about as much as those of the same points in permuted frames,
they arose by chance, and nothing is learned.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.config import LinkConfig
from napari_ulm3d.link.assignment import gated_pairs
from napari_ulm3d.link.chains import chain_labels
from napari_ulm3d.link.points import gates_um
from napari_ulm3d.link.prediction import MotionModel
from napari_ulm3d.link.speed import SAMPLE_ROWS

__all__ = ["learn_motion", "motion_model", "sample_size"]

_SAMPLE_FRAMES, _MOST_ROWS = 30, 60_000
_SHORTEST = 6  # points of a chain that counts
_FEWEST = 100  # second differences
_LESS = 0.8  # of the squared second differences that permuted frames give
_ROUNDS = 2
_WIDER = np.array([2.0, 1.0, 2.0])
"""Factors on the variances of error, turn and speed, since localizations differ in quality, and the chains of the
sample were found without a model. Chosen on simulated and real bubbles."""
_LINKED = 5.0
"""Log odds that a bubble continues, rather than ending where another one begins."""
_LEAST_ERROR = 1e-3  # of the gate


def sample_size(frame: NDArray[np.integer]) -> int | None:
    """Number of leading localizations used for learning; None if these (n,) frames are too few."""
    if not len(frame):
        return None
    past = int(np.searchsorted(frame, frame[0] + _SAMPLE_FRAMES))
    if len(frame) >= _MOST_ROWS:
        return min(max(past, SAMPLE_ROWS), _MOST_ROWS)
    enough = len(frame) >= SAMPLE_ROWS and past < len(frame)
    return max(past, SAMPLE_ROWS) if enough else None


def motion_model(
    rows: NDArray[np.float64], rate_hz: float, config: LinkConfig, breaks: Sequence[int] = ()
) -> MotionModel | None:
    """The model required by the settings, learned from the first rows.

    Parameters
    ----------
    rows
        (n, 8) of `points.plain_rows`, sorted by frame.
    rate_hz, config, breaks
        As in `link.link`; the speed limit is known.
    """
    if config.prediction == "none":
        return None
    frame = rows[:, 0].astype(np.int64)
    n = sample_size(frame)
    frame, part = frame[:n], rows[:n]
    gate = gates_um(rate_hz, config)[0]
    return learn_motion(frame, part[:, 1:4], gate, part[:, 5:], sorted(breaks))


def learn_motion(
    frame: NDArray[np.int64],
    position: NDArray[np.float64],
    gate: float,
    shift: NDArray[np.float64],
    breaks: Sequence[int] = (),
) -> MotionModel | None:
    """Model of the motion of the bubbles in a sample; None if too few of them can be followed.

    Parameters
    ----------
    frame, position, shift, breaks
        As in `chains.chain_labels`, with positions (n, 3).
    gate
        Maximum length of a link between consecutive frames.
    """
    if not len(frame):
        return None
    model = None
    for _ in range(_ROUNDS):
        label = chain_labels(frame, position, [gate], shift, breaks, model)
        sums = _sums(frame, position, shift, label)
        if sums[1, 0] < _FEWEST or (model is None and _as_by_chance(sums, frame, position, gate)):
            return model
        others = _pairs_per_point(frame, position, gate) - (len(label) - label.max() - 1) / len(
            label
        )
        model = _model(sums, np.ptp(position, axis=0) > 1e-6 * gate, gate, max(others, 1e-3))
    return model


def _as_by_chance(
    sums: NDArray[np.float64], frame: NDArray[np.int64], position: NDArray[np.float64], gate: float
) -> bool:
    """Whether chains turn about as much as those of the same points in permuted frames."""
    shuffled = np.random.default_rng(0).permutation(frame[-1] - frame[0] + 1)[frame - frame[0]]
    order = np.argsort(shuffled, kind="stable")
    place, still = position[order], np.zeros_like(position)
    label = chain_labels(shuffled[order], place, [gate])
    chance = _sums(shuffled[order], place, still, label)
    turned, at_random = sums[0, 1:].sum() / sums[0, 0], chance[0, 1:].sum() / max(chance[0, 0], 1)
    return bool(chance[1, 0] >= _FEWEST and turned > _LESS * at_random)


def _sums(
    frame: NDArray[np.int64],
    position: NDArray[np.float64],
    shift: NDArray[np.float64],
    label: NDArray[np.int64],
) -> NDArray[np.float64]:
    """(4, 4) counts and sums along z, y, x over the longer chains: squared second differences, products of
    consecutive second differences, squared steps, and squared deviations of steps from supplied displacements.
    """
    order = np.lexsort((frame, label))
    order = order[np.bincount(label)[label[order]] >= _SHORTEST]
    chain = label[order]
    step = np.diff(position[order], axis=0)
    one = chain[1:] == chain[:-1]
    two, three = one[1:] & one[:-1], one[2:] & one[1:-1] & one[:-2]
    bend = step[1:] - step[:-1]
    told = one & (shift[order[:-1]] != 0).any(axis=1)
    parts = (
        bend[two] ** 2,
        bend[1:][three] * bend[:-1][three],
        step[one] ** 2,
        (step - 2 * shift[order[:-1]])[told] ** 2,
    )
    return np.array([[len(part), *part.sum(axis=0)] for part in parts])


def _model(
    sums: NDArray[np.float64], thick: NDArray[np.bool_], gate: float, others: float
) -> MotionModel:
    """The model that follows from `_sums` and from the number of other points in a gate."""
    same, next_, moved = sums[:3, 1:] / sums[:3, :1]
    moved = np.maximum(moved, 0.0)
    # Errors e and random turns w of the velocity: same = 6 e + w / 2, next = -4 e + w / 4.
    turn = np.maximum((4 * same + 6 * next_) / 3.5, 0.0)
    error = np.maximum((same - turn / 2) / 6, 0.0)
    speed = np.maximum(moved - 2 * error, 0.1 * moved)
    given = np.full(3, np.inf)
    if sums[3, 0] >= _FEWEST:
        given = np.maximum(sums[3, 1:] / sums[3, 0] - 2 * error, 0.01 * moved)
    error = np.maximum(error, (_LEAST_ERROR * gate) ** 2)
    error, turn, speed = (_WIDER[:, None] * np.array([error, turn, speed])) * thick
    dimensions = int(thick.sum())
    volume = math.pi ** (dimensions / 2) / math.gamma(dimensions / 2 + 1) * gate**dimensions
    density = math.log(others / volume) + 0.5 * dimensions * math.log(2 * math.pi)
    return MotionModel(error, turn, speed, given, _LINKED - density)


def _pairs_per_point(frame: NDArray[np.int64], position: NDArray[np.float64], gate: float) -> float:
    """Mean number of points of the next frame within the gate."""
    numbers, first = np.unique(frame, return_index=True)
    cut = [*first.tolist(), len(frame)]
    pairs = sources = 0
    for k in np.flatnonzero(np.diff(numbers) == 1).tolist():
        here, after = position[cut[k] : cut[k + 1]], position[cut[k + 1] : cut[k + 2]]
        pairs += gated_pairs(here, np.zeros_like(here), after, np.zeros_like(after), gate)[0][-1]
        sources += len(here)
    return float(pairs) / max(sources, 1)
