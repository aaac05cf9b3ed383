"""Real bubbles at lower frame rates, for `linkers`.

Published tracks in a mouse brain in 2-D at 1,000 Hz (Provost laboratory, doi:10.20383/103.01507, CC0),
thinned to every second, fourth and tenth frame. The identities at the full rate are the ground truth. The
tracks are smooth and noise-free, and only 8 bubbles are in view. To make bubbles meet, parts of the
recording are also superimposed, without moving any point. The second recording,
`LongEnsemble_2.mat`, shows the same bubbles 1,000 frames later and is not used.
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
"""Maximum length of a link in pixels per ms: more than 99.9 % of the steps."""
_PART_FRAMES = 500


def read_tracks(path: Path) -> Truth:
    """The tracks of a recording: frames, positions in pixels (y is 0) and the track of each point.

    Raises
    ------
    FileNotFoundError
        The file does not exist.
    """
    cells = [np.asarray(cell, float) for cell in scipy.io.loadmat(path)["tracks"][:, 0]]
    rows = np.concatenate(cells)
    bubble = np.repeat(np.arange(len(cells)), [len(cell) for cell in cells])
    return _sorted(np.rint(rows[:, 3]).astype(np.int64), rows[:, [2, 1, 0]], bubble)


def laid_over(truth: Truth, length: int) -> Truth:
    """A recording cut into parts of `length` frames, which are superimposed."""
    cut, within = np.divmod(truth.frame, length)
    bubble = np.unique(np.column_stack([cut, truth.bubble]), axis=0, return_inverse=True)[1]
    return _sorted(within, truth.position, bubble.ravel())


def thinned(truth: Truth, every: int) -> Truth:
    """Keep every n-th frame."""
    keep = truth.frame % every == 0
    return _sorted(truth.frame[keep] // every, truth.position[keep], truth.bubble[keep])


def real_scenes(path: Path) -> list[tuple[Scene, Truth]]:
    """A recording itself and its superimposed parts, at each frame rate."""
    alone = read_tracks(path)
    out = []
    for title, whole in (("real", alone), ("real, crowded", laid_over(alone, _PART_FRAMES))):
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
