"""Whether the bubbles of an envelope are always brighter than their surroundings.

A bubble b over tissue T changes an envelope by |T + b| - |T|, about Re(b T* / |T|) where the tissue
is stronger: by its phase, it is a bright or a dark spot, and so is the noise. Where no tissue is
beneath, bubbles and noise only add to the envelope; a dark spot is then a gap between bubbles or
what the clutter filter leaves of a bubble that stayed there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.calibrate.calibration import Finding

__all__ = ["brightness_finding", "only_bright"]

_FEW = 32  # frames
_SKEWED = 0.3
"""sum x^3 / sum |x|^3 is 0.39 for Rayleigh noise without its mean, more with bubbles, and near 0 over
tissue (0.2 where a little of it is left)."""


def only_bright(frames: NDArray[Any], valid: NDArray[np.bool_] | None = None) -> bool:
    """Judge by the skewness of the values.

    Parameters
    ----------
    frames
        (t, z, y, x) after the clutter filter; IQ has no brightness, so the answer is no.
    valid
        (z, y, x) voxels that contain data; None: all.
    """
    if np.iscomplexobj(frames):
        return False
    some = frames[:: max(1, len(frames) // _FEW)]
    values = (some if valid is None else some[:, valid]).astype(np.float64).ravel()
    cubes = np.power(values - values.mean() if values.size else values, 3)
    return bool(cubes.sum() > _SKEWED * np.abs(cubes).sum())


def brightness_finding(bright_only: bool) -> Finding:
    """What was found, in words."""
    if bright_only:
        return Finding("bubbles", "brighter than their surroundings", "skewness of the envelope")
    return Finding(
        "bubbles", "brighter or darker than the tissue beneath", "skewness of the envelope"
    )
