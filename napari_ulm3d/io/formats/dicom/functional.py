"""Functional groups of enhanced DICOM objects: spacing, time, and the planes of volumes.

An Enhanced US Volume (PS3.3 A.59) stores its volumes as one sequence of planes; the position and
time of each are in the Per-frame Functional Groups.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_ulm3d.errors import InputError
from napari_ulm3d.io.facts.coordinates import Coordinate, along_axes
from napari_ulm3d.io.stored.slices import Slices, in_volumes

if TYPE_CHECKING:
    import pydicom

__all__ = ["pixel_spacing_mm", "planes_of", "rate_of"]

_PLACES = (
    ("PlanePositionVolumeSequence", "ImagePositionVolume"),
    ("PlanePositionSequence", "ImagePositionPatient"),
)


def _groups(data: pydicom.Dataset) -> list[Any]:
    return list(data.get("PerFrameFunctionalGroupsSequence") or ())


def _of(group: Any, sequence: str, name: str) -> Any:
    items = list(group.get(sequence) or ())
    return items[0].get(name) if items else None


def pixel_spacing_mm(data: pydicom.Dataset) -> Any:
    """Row and column spacing: the image's own, or that of the shared or first groups."""
    if data.get("PixelSpacing") is not None:
        return data.PixelSpacing
    shared = data.get("SharedFunctionalGroupsSequence") or ()
    for group in (*shared, *_groups(data)[:1]):
        spacing = _of(group, "PixelMeasuresSequence", "PixelSpacing")
        if spacing is not None:
            return spacing
    return None


def planes_of(path: Path, data: pydicom.Dataset) -> Slices | None:
    """The frames as planes of volumes; None if they are at one position, or it is not stated.

    Raises
    ------
    InputError
        The planes do not make whole volumes.
    """
    groups = _groups(data)
    for sequence, name in _PLACES:
        places = [_of(group, sequence, name) for group in groups]
        if len(places) < 2 or any(place is None or len(place) != 3 for place in places):
            continue
        found = in_volumes(np.array(places, float))
        if isinstance(found, str):
            raise InputError(path, found, "Export it again with whole volumes.")
        return found
    return None


def rate_of(data: pydicom.Dataset, planes: Slices | None, notes: list[str]) -> float | None:
    """Rate of frames, or of volumes, from the time offsets of the frames."""
    groups = _groups(data)
    firsts = [row[0] for row in planes.order] if planes else list(range(len(groups)))
    told = [
        _of(groups[k], "TemporalPositionSequence", "TemporalPositionTimeOffset")
        for k in firsts
        if k < len(groups)
    ]
    if len(told) < 2 or any(time is None for time in told):
        return None
    found = along_axes("t", (Coordinate("TemporalPositionTimeOffset", np.array(told, float), "s"),))
    notes += found.notes
    return found.rate_hz
