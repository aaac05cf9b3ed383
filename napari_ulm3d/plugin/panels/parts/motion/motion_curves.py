"""Curves of the tissue motion, in one block before a run and of the whole run after it."""

from __future__ import annotations

import numpy as np
import pandas as pd

from napari_ulm3d.plugin.controls.plot import Curve
from napari_ulm3d.tables import POSITION_UM

__all__ = ["motion_curves"]

_RED = "#f2777a"
_AXES = ("#58a6ff", "#7dcf8a", "#ff9e64")


def motion_curves(table: pd.DataFrame) -> tuple[list[Curve], tuple[float, float]]:
    """Excluded frames as bars, displacement along z, y, x, rms deformation; and the y range, um.

    Parameters
    ----------
    table
        As from `BlockMotion.to_table`.
    """
    time_s = table["time_s"].to_numpy(float)
    path = table[POSITION_UM].to_numpy(float)
    broken = table["broken"].to_numpy(bool)
    top, floor = float(path.max()), float(path.min())
    bent = None
    if "deformation_um" in table:
        bent = table["deformation_um"].to_numpy(float)
        top = max(top, float(bent.max()))
    curves = [Curve(time_s, np.where(broken, top, floor), _RED, bars=True)] if broken.any() else []
    curves += [Curve(time_s, path[:, k], colour) for k, colour in enumerate(_AXES)]
    if bent is not None:
        curves.append(Curve(time_s, bent, _RED, dashed=True))
    return curves, (floor, max(top, floor + 1.0))
