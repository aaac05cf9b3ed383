"""Files with one plane of a volume each, by their names (img_t003_z012.tif) or positions."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.errors import InputError
from napari_ulm3d.io.facts.resolve import Facts, Partial
from napari_ulm3d.io.open.frames import StoredFrames, empty_frames
from napari_ulm3d.io.stored.slices import in_volumes

__all__ = ["NamedPlanes", "StackedPlanes", "named_planes", "positioned_planes"]

_TIMES = ("t", "time", "timepoint", "tp", "frame", "volume", "vol")
_PLANES = {
    "z": "z", "slice": "z", "plane": "z", "depth": "z", "y": "y", "elev": "y", "elevation": "y",
}  # fmt: skip


@dataclass(frozen=True)
class NamedPlanes:
    """Frames and planes that the files form, by their names or positions.

    Attributes
    ----------
    axis
        ``z``: the pixels of a file are (y, x); ``y``: they are (z, x).
    order
        (frames, planes) index of each file.
    spacing_um
        Distance between planes, if the files give it.
    source
        What the files were sorted by, for the note.
    """

    axis: str
    order: tuple[tuple[int, ...], ...]
    spacing_um: float | None = None
    source: str = "The file names"

    @property
    def note(self) -> str:
        n, planes = len(self.order), len(self.order[0])
        return f"{self.source} count {n} frames of {planes} planes along {self.axis} each."

    def facts(self, of_a_plane: Facts) -> Facts:
        """Facts of the volumes.

        A single plane was read as depth against lateral.
        """
        return replace(
            of_a_plane,
            voxel_um=self._along(of_a_plane.voxel_um, self.spacing_um),
            voxel_wavelengths=self._along(of_a_plane.voxel_wavelengths),
            origin_um=self._along(of_a_plane.origin_um),
            origin_wavelengths=self._along(of_a_plane.origin_wavelengths),
        )

    def _along(self, lengths: Partial | None, between: float | None = None) -> Partial | None:
        if lengths is None:
            return None
        rows, _, columns = lengths
        return (between, rows, columns) if self.axis == "z" else (rows, between, columns)


def named_planes(names: Sequence[str]) -> NamedPlanes | None:
    """The indices, if the names number every combination of time and plane once; None otherwise."""
    parts = [re.split(r"(\d+)", name.lower()) for name in names]
    if len({tuple(part[::2]) for part in parts}) != 1:
        return None
    numbers = np.array([[int(n) for n in part[1::2]] for part in parts], dtype=object)
    varying = [k for k in range(numbers.shape[1]) if len(set(numbers[:, k])) > 1]
    if len(varying) != 2:
        return None
    words = [re.sub(r"[^a-z]+$", "", parts[0][2 * k]) for k in varying]
    words = [re.split(r"[^a-z]", word)[-1] for word in words]
    for time, plane in ((0, 1), (1, 0)):
        axis = _PLANES.get(words[plane])
        if words[time] in _TIMES and axis is not None:
            return _in_order(numbers[:, varying[time]], numbers[:, varying[plane]], axis)
    return None


def positioned_planes(positions_mm: Sequence[Sequence[float]], folder: Path) -> NamedPlanes | None:
    """Planes along y by their positions in space, in temporal order; None if all are at one.

    Raises
    ------
    InputError
        They do not make whole volumes.
    """
    found = in_volumes(np.array(positions_mm, float))
    if isinstance(found, str):
        raise InputError(
            folder, found, "Leave the slices of the incomplete volume out, or export it again."
        )
    if found is None:
        return None
    return NamedPlanes("y", found.order, found.spacing_um, "The positions of the slices")


def _in_order(times: NDArray[Any], planes: NDArray[Any], axis: str) -> NamedPlanes | None:
    at = {place: k for k, place in enumerate(zip(times, planes, strict=True))}
    rows, columns = sorted(set(times)), sorted(set(planes))
    if len(at) != len(times) or len(at) != len(rows) * len(columns):
        return None
    return NamedPlanes(axis, tuple(tuple(at[t, p] for p in columns) for t in rows))


@dataclass(frozen=True)
class StackedPlanes:
    """Volumes of files with one plane each; implements `FrameSource`.

    Parameters
    ----------
    sources
        (frames, planes) one frame each, (1, rows, 1, columns).
    axis
        Along which the planes lie, ``z`` or ``y``.
    """

    sources: tuple[tuple[StoredFrames, ...], ...]
    axis: str

    @property
    def name(self) -> str:
        return f"{self.sources[0][0].name} ... {self.sources[-1][-1].name}"

    @property
    def shape(self) -> tuple[int, int, int, int]:
        _, rows, _, columns = self.sources[0][0].shape
        n, planes = len(self.sources), len(self.sources[0])
        return (n, planes, rows, columns) if self.axis == "z" else (n, rows, planes, columns)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.sources[0][0].dtype

    def read(self, start: int, stop: int) -> NDArray[Any]:
        """Read frames start..stop-1 as a new C-contiguous array (t, z, y, x) of `dtype`."""
        frames = empty_frames(self, start, stop)
        for frame, planes in zip(frames, self.sources[start:stop], strict=True):
            for k, source in enumerate(planes):
                plane = source.read(0, 1)[0, :, 0, :]
                if self.axis == "z":
                    frame[k] = plane
                else:
                    frame[:, k] = plane
        return frames
