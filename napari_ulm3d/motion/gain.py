"""Whether an acquisition gains by taking its motion out."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.tables import BlockMotion

__all__ = ["gains", "rms_um"]

_LEAST_VOXELS = 0.02
"""Root mean square of a motion that is worth while, in voxels."""
_OVER_NOISE = 3.0
_LEAST_GAIN = 0.02
"""Share of the correlation that is missing, and must come back."""
_LEAST_CORRELATION = 0.5


def gains(
    measured: Sequence[BlockMotion],
    offsets_um: Sequence[NDArray[np.float64]],
    spacing_um: tuple[float, float, float],
) -> bool:
    """Whether frames resemble each other more once they are moved back.

    All of it has to hold: the motion is a fiftieth of a voxel or more and stands out of its own
    estimate's noise, frames resemble the reference when moved back (else what is followed
    is no tissue), and moving them back restores a part of the correlation that is missing.

    Parameters
    ----------
    measured
        The motion in some blocks.
    offsets_um
        (3,) of each, the displacement of its reference against the first one's.
    """
    if not measured:
        return False
    good = np.concatenate([~one.broken for one in measured])
    if not good.any():
        return False
    path = np.concatenate(
        [one.displacement_um + offset for one, offset in zip(measured, offsets_um, strict=True)]
    )[good]
    after = np.concatenate([one.correlation for one in measured])[good]
    before = np.concatenate([one.before for one in measured])[good]
    spread = path.std(axis=0)
    noise = max((one.noise_um for one in measured if np.isfinite(one.noise_um)), default=0.0)
    moves = (spread / np.asarray(spacing_um)).max() > _LEAST_VOXELS
    sure = bool(spread.max() > _OVER_NOISE * noise)
    alike = float(np.median(after)) > _LEAST_CORRELATION
    missing, back = 1 - before.mean(), after.mean() - before.mean()
    return bool(moves and sure and alike and back > _LEAST_GAIN * missing)


def rms_um(path: NDArray[np.float64]) -> float:
    """Root mean square distance of a path (t, 3) from its mean."""
    if not len(path):
        return 0.0
    return float(np.sqrt(((path - path.mean(axis=0)) ** 2).sum(axis=1).mean()))
