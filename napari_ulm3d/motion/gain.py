"""Decide whether motion correction improves an acquisition."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.motion.block_motion import BlockMotion
from napari_ulm3d.motion.deformation import Deformed

__all__ = ["bends", "bent_um", "gains", "rms_um"]

_LEAST_VOXELS = 0.02
"""Smallest root mean square motion worth correcting, in voxels."""
_OVER_NOISE = 3.0
_LEAST_GAIN = 0.02
"""Smallest loss of correlation considered; correction must recover part of it."""
_LEAST_CORRELATION = 0.5
_LEAST_BENT_VOXELS = 0.05
_LEAST_BACK = 0.4
"""Fraction of the correlation lost to rigid correction that a deformation must recover.

A field with many control points recovers some of it in any data, by following the noise: .29 in tissue that moves
as a whole, .34 and .43 with a deformation of 4 and 8 um rms (scenes of `benchmarks.motion`, seeds 3 and 4).
"""


def gains(
    measured: Sequence[BlockMotion],
    offsets_um: Sequence[NDArray[np.float64]],
    spacing_um: tuple[float, float, float],
) -> bool:
    """Whether motion correction makes the frames more similar.

    All of the following must hold: the motion is at least a fiftieth of a voxel and exceeds the
    noise of its estimate, corrected frames resemble the reference (otherwise the estimate does not
    follow tissue), and correction recovers a part of the lost correlation.

    Parameters
    ----------
    measured
        Motion in some blocks.
    offsets_um
        (3,) for each block, displacement of its reference from that of the first block.
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


def bends(measured: Sequence[BlockMotion], spacing_um: tuple[float, float, float]) -> bool:
    """Whether the tissue deforms so much that rigid correction does not suffice.

    All of the following must hold: the deformation is at least a twentieth of a voxel and exceeds the
    noise of its estimate, and warped frames resemble each other and recover two fifths of the lost
    correlation.

    Parameters
    ----------
    measured
        Motion in some blocks, with their deformations.
    """
    fields = [one.deformed for one in measured if one.deformed is not None]
    if not fields:
        return False
    rms = bent_um(fields)
    noise = max((f.noise_um for f in fields if np.isfinite(f.noise_um)), default=0.0)
    before = float(np.mean([f.before for f in fields]))
    after = float(np.mean([f.after for f in fields]))
    return bool(
        rms > _LEAST_BENT_VOXELS * min(spacing_um)
        and rms > _OVER_NOISE * noise
        and after > _LEAST_CORRELATION
        and after - before > _LEAST_BACK * (1 - before)
    )


def bent_um(fields: Sequence[Deformed]) -> float:
    """Root mean square deformation over the frames of some blocks."""
    every = np.concatenate([one.deformation.rms_um() for one in fields])
    return float(np.sqrt(np.mean(every**2)))


def rms_um(path: NDArray[np.float64]) -> float:
    """Root mean square distance of a path (t, 3) from its mean."""
    if not len(path):
        return 0.0
    return float(np.sqrt(((path - path.mean(axis=0)) ** 2).sum(axis=1).mean()))
