"""Collects kept voxels chunk by chunk into one `SparseFrames`."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.errors import InputError
from napari_ulm3d.sparse_frames import SparseFrames

__all__ = ["Collector", "power", "shape_of"]


def power(frames: NDArray[Any]) -> NDArray[np.float32]:
    """Squared magnitude |c|^2, float32 in the shape of the frames."""
    out = np.square(frames.real, dtype=np.float32)
    if frames.dtype.kind == "c":
        out += np.square(frames.imag, dtype=np.float32)
    return out


def shape_of(chunk: NDArray[Any], earlier: tuple[int, ...] | None) -> tuple[int, int, int]:
    """Shape (z, y, x) of a chunk, checked against the previous chunks."""
    if chunk.ndim != 4:
        raise InputError(
            None,
            f"Sparsification was given frames with {chunk.ndim} axes",
            "Give (t, z, y, x); a 2-D acquisition has one voxel along y.",
        )
    if earlier is not None and chunk.shape[1:] != earlier:
        raise InputError(
            None,
            f"Sparsification was given frames of {chunk.shape[1:]} voxels after frames of "
            f"{earlier}",
            "Give chunks of one acquisition.",
        )
    z, y, x = chunk.shape[1:]
    return (z, y, x)


@dataclass
class Collector:
    """Kept voxels, as flat indices over the whole block with their values."""

    first_frame: int = 0
    n_frames: int = 0
    grid: tuple[int, int, int] | None = None
    index: list[NDArray[np.int64]] = field(default_factory=list)
    values: list[NDArray[np.complex64]] = field(default_factory=list)

    def add(self, chunk: NDArray[Any], mask: NDArray[np.bool_]) -> None:
        """Keep the voxels of the next chunk (t, z, y, x) where `mask` is True."""
        self.grid = shape_of(chunk, self.grid)
        kept = np.flatnonzero(mask)
        self.index.append(kept + self.n_frames * int(np.prod(self.grid)))
        self.values.append(chunk.reshape(-1)[kept].astype(np.complex64))
        self.n_frames += len(chunk)

    def result(self) -> SparseFrames:
        """All kept voxels, in the order t, z, y, x."""
        if self.grid is None:
            raise ValueError("sparsification needs at least one chunk of frames")
        index = np.concatenate(self.index)
        shape = (self.n_frames, *self.grid)
        coordinates = np.empty((index.size, 4), np.int32)
        for axis, along in enumerate(np.unravel_index(index, shape)):
            coordinates[:, axis] = along
        return SparseFrames(coordinates, np.concatenate(self.values), shape, self.first_frame)
