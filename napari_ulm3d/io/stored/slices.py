"""Slices of volumes, put into order by their positions in space."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.io.facts.named import axis_spacing

__all__ = ["Slices", "in_volumes"]

#: Positions closer than this are the same (DICOM writes decimal strings of 16 characters).
_SAME_MM = 1e-3


class Slices(NamedTuple):
    """Slices that make whole volumes.

    Attributes
    ----------
    order
        Index of the slice at each (volume, plane).
    spacing_um
        Distance between planes.
    """

    order: tuple[tuple[int, ...], ...]
    spacing_um: float


def in_volumes(positions_mm: NDArray[Any]) -> Slices | str | None:
    """Sort slices into volumes; the slices of a position follow each other in time.

    Parameters
    ----------
    positions_mm
        (n, 3) position of each slice, in temporal order.

    Returns
    -------
    None if all slices are at one position; text if they do not make whole volumes.
    """
    points = np.asarray(positions_mm, float)
    away = points - points[0]
    far = away[np.linalg.norm(away, axis=1).argmax()]
    if np.linalg.norm(far) < _SAME_MM:
        return None
    along = away @ (far / np.linalg.norm(far))
    at = np.round(along / _SAME_MM).astype(np.int64)
    # Distances within a rounding step belong together.
    levels = np.unique(at)
    levels = levels[np.append(True, np.diff(levels) > 1)]
    plane = np.searchsorted(levels, at, side="right") - 1
    counts = np.bincount(plane, minlength=len(levels))
    if len(set(counts.tolist())) > 1:
        return (
            f"has {len(points)} slices at {len(levels)} positions, between {counts.min()} and "
            f"{counts.max()} at each"
        )
    even = axis_spacing(levels * _SAME_MM)
    if even is None:
        return f"has slices at {len(levels)} positions that are not evenly spaced"
    by_plane = [np.flatnonzero(plane == k) for k in range(len(levels))]
    order = tuple(tuple(int(i) for i in row) for row in zip(*by_plane, strict=True))
    return Slices(order, round(even[0] * 1e3, 6))
