"""Real bubbles at lower frame rates, for `linkers`: motion that nobody simulated.

Published tracks of a mouse's brain in 2-D at 1,000 Hz (Provost laboratory, doi:10.20383/103.01507, CC0),
thinned to every second, fourth and tenth frame. The identities at the full rate are the truth. The tracks
are smooth and hold no noise, and only 8 bubbles are in view; so that bubbles meet, parts of the
recordings are also laid on top of each other, which moves no point.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.io

from benchmarks.linkers.scenes import Scene, Truth

__all__ = ["EVERY", "laid_over", "read_tracks", "real_scenes"]

EVERY = (1, 2, 4, 10)
"""1,000, 500, 250 and 100 Hz."""
RATE_HZ = 1000.0
STEP = 2.0
"""Largest link per ms in pixels: above 99.9 % of the steps."""
_PARTS = 6  # of each recording
_FRAMES = 6000


def read_tracks(path: Path) -> Truth:
    """The tracks of a recording: frames, positions in pixels (y is 0) and the track of each point.

    Raises
    ------
    FileNotFoundError
        There is no such file.
    """
    cells = [np.asarray(cell, float) for cell in scipy.io.loadmat(path)["tracks"][:, 0]]
    rows = np.concatenate(cells)
    bubble = np.repeat(np.arange(len(cells)), [len(cell) for cell in cells])
    return _sorted(np.rint(rows[:, 3]).astype(np.int64), rows[:, [2, 1, 0]], bubble)


def laid_over(parts: list[Truth], length: int) -> Truth:
    """Recordings cut into parts of `length` frames, all of them at the same time."""
    frame = np.concatenate([part.frame for part in parts])
    first = np.cumsum([0] + [part.bubble.max() + 1 for part in parts[:-1]])
    bubble = np.concatenate([part.bubble + k for part, k in zip(parts, first, strict=True)])
    cut, within = np.divmod(frame, length)
    once = np.unique(np.column_stack([cut, bubble]), axis=0, return_inverse=True)[1].ravel()
    return _sorted(within, np.concatenate([part.position for part in parts]), once)


def thinned(truth: Truth, every: int) -> Truth:
    """Every so manieth frame."""
    keep = truth.frame % every == 0
    return _sorted(truth.frame[keep] // every, truth.position[keep], truth.bubble[keep])


def real_scenes(folder: Path) -> list[tuple[Scene, Truth]]:
    """The recordings by themselves and laid over each other, at each frame rate."""
    parts = [read_tracks(folder / f"LongEnsemble_{k}.mat") for k in (1, 2)]
    apart = [
        Truth(p.frame + k * (_FRAMES + 100), p.position, p.bubble + k * 10_000, p.velocity)
        for k, p in enumerate(parts)
    ]
    alone = _sorted(
        np.concatenate([p.frame for p in apart]),
        np.concatenate([p.position for p in apart]),
        np.concatenate([p.bubble for p in apart]),
    )
    out = []
    for title, whole in (("real", alone), ("real, crowded", laid_over(parts, _FRAMES // _PARTS))):
        for every in EVERY:
            truth = thinned(whole, every)
            rate = RATE_HZ / every
            many = len(truth.frame) / len(np.unique(truth.frame))
            # `Scene` computes its gate from a speed: here in pixels per ms.
            scene = Scene(
                f"{title}, {rate:.0f} Hz, {many:.0f} a frame",
                extent_um=(200.0, 0.0, 350.0),
                rate_hz=rate,
                max_speed_mm_s=STEP,
            )
            out.append((scene, truth))
    return out


def _sorted(frame, position, bubble) -> Truth:  # type: ignore[no-untyped-def]
    order = np.lexsort((position[:, 0], frame))
    none = np.full((len(frame), 3), np.nan)
    return Truth(frame[order], position[order], bubble[order], none)
