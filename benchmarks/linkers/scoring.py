"""Scores of links, for `linkers`."""

from __future__ import annotations

import numpy as np

from benchmarks.linkers.scenes import Labels, Truth

__all__ = ["links_of", "score"]


def links_of(frame: Labels, label: Labels, apart: int | None = None) -> set[tuple[int, int]]:
    """Pairs of consecutive rows of the same track, at most `apart` frames apart."""
    order = np.lexsort((frame, label))
    order = order[label[order] >= 0]
    same = label[order][1:] == label[order][:-1]
    if apart is not None:
        same &= np.diff(frame[order]) <= apart
    return set(zip(order[:-1][same].tolist(), order[1:][same].tolist(), strict=True))


def score(
    truth: Truth, label: Labels, min_points: int = 1, apart: int | None = None
) -> tuple[float, float]:
    """Precision and recall of the links of tracks with at least `min_points` points.

    `apart`: maximum number of frames between linked localizations of a bubble; None: any.
    """
    label = np.where(np.bincount(label)[label] < min_points, -1, label)
    wanted, found = links_of(truth.frame, truth.bubble, apart), links_of(truth.frame, label)
    right = len(wanted & found)
    return right / max(len(found), 1), right / max(len(wanted), 1)
