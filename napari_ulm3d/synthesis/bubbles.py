"""The bubbles of a block during the fit: positions, amplitudes and tracks."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d._caches import njit

__all__ = ["Bubbles"]

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass
class Bubbles:
    """One row per bubble and frame, sorted by frame; fits modify the arrays.

    Attributes
    ----------
    frame
        (n,) index into the block.
    place
        (n, 3) z, y, x, voxels.
    amplitude
        (n,) complex; 0: not fitted yet.
    n_frames
        Number of frames in the block.
    before, after
        (n,) rows of the same bubble in the frames before and after; -1: none.
    anchor
        (n, 3) initial position of the fit.
    noise
        (n,) power of the residual around the bubble.
    moved
        (n,) last step, voxels.
    said, trust
        (n, 3) position from a localizer, voxels, and its precision (0: none).
    seen, known
        (n, 3) position from the bubble's frame alone, voxels, and its precision (0: not fitted yet).
    given
        (n,) whether it comes from a localizer rather than from a proposal.
    energy
        (n,) energy of the image relative to the noise power.
    deviation
        (n, 3) standard deviation of the position, voxels.
    """

    frame: Ints
    place: Floats
    amplitude: NDArray[np.complex128]
    n_frames: int
    before: Ints = field(init=False)
    after: Ints = field(init=False)
    first: Ints = field(init=False)
    anchor: Floats = field(init=False)
    noise: Floats = field(init=False)
    moved: Floats = field(init=False)
    said: Floats = field(init=False)
    trust: Floats = field(init=False)
    seen: Floats = field(init=False)
    known: Floats = field(init=False)
    given: NDArray[np.bool_] = field(init=False)
    energy: Floats = field(init=False)
    deviation: Floats = field(init=False)

    def __post_init__(self) -> None:
        n = len(self.frame)
        self.before, self.after = np.full(n, -1), np.full(n, -1)
        self.first = np.searchsorted(self.frame, np.arange(self.n_frames + 1)).astype(np.int64)
        self.anchor = self.place.copy()
        self.noise, self.moved = np.ones(n), np.ones(n)
        self.said, self.trust = self.place.copy(), np.zeros((n, 3))
        self.seen, self.known = self.place.copy(), np.zeros((n, 3))
        self.given = np.zeros(n, np.bool_)
        self.energy, self.deviation = np.zeros(n), np.zeros((n, 3))

    def __len__(self) -> int:
        return len(self.frame)

    def begin(self) -> None:
        """Let every bubble move again, from its current position."""
        self.anchor = self.place.copy()
        self.moved[:] = 1.0

    def changed(self, keep: NDArray[np.bool_], frame: Ints, place: Floats) -> Bubbles:
        """The bubbles to keep, with their mutual links, and new ones."""
        n = int(keep.sum())
        frames = np.concatenate([self.frame[keep], frame])
        order = np.argsort(frames, kind="stable")
        out = Bubbles(
            frames[order],
            np.concatenate([self.place[keep], place.reshape(-1, 3)])[order],
            np.concatenate([self.amplitude[keep], np.zeros(len(frame), np.complex128)])[order],
            self.n_frames,
        )
        row = np.empty(len(order), np.int64)
        row[order] = np.arange(len(order))
        new = np.full(len(self) + 1, -1)  # the last entry maps row -1
        new[:-1][keep] = row[:n]
        out.before[row[:n]] = new[self.before[keep]]
        out.after[row[:n]] = new[self.after[keep]]
        for name in ("said", "trust", "seen", "known", "given"):
            getattr(out, name)[row[:n]] = getattr(self, name)[keep]
        return out

    def tracks(self) -> tuple[Ints, Ints]:
        """Label of each row's track, (n,), and its number of rows."""
        return _labels(self.before, self.after)


@njit(cache=True, nogil=True)
def _labels(before, after):  # type: ignore[no-untyped-def]
    n = before.size
    label, length = np.full(n, -1, np.int64), np.zeros(n, np.int64)
    labels = 0
    for i in range(n):
        if before[i] >= 0:
            continue
        rows, k = 0, i
        while k >= 0:
            label[k] = labels
            rows += 1
            k = after[k]
        k = i
        while k >= 0:
            length[k] = rows
            k = after[k]
        labels += 1
    return label, length
