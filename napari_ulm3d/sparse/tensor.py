"""The sparse tensor: a set of voxels with a row of features each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

import torch
from torch import Tensor

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.sparse.backends.backend import Backend, resolve_backend
from napari_ulm3d.sparse.coordinates import Coordinates
from napari_ulm3d.sparse_frames import SparseFrames

__all__ = ["SparseTensor"]


@dataclass(frozen=True, eq=False)
class SparseTensor:
    """Features on a set of voxels; everywhere else the tensor is zero.

    Parameters
    ----------
    features
        (n, c), one row per row of `coordinates`.
    coordinates
        The voxels, with the kernel maps that all tensors on them share.
    backend
        Backend of convolutions on this tensor and those derived from it.
    """

    features: Tensor
    coordinates: Coordinates
    backend: Backend = "torch"

    def __post_init__(self) -> None:
        if self.features.ndim != 2 or len(self.features) != len(self.coordinates):
            raise ConfigError(
                f"Features of shape {tuple(self.features.shape)} do not match "
                f"{len(self.coordinates)} voxels. Give (voxels, channels)."
            )

    @classmethod
    def create(
        cls,
        indices: Tensor,
        features: Tensor,
        shape: Sequence[int],
        batch_size: int = 1,
        stride: Sequence[Fraction | int] | None = None,
        backend: Backend | None = None,
    ) -> SparseTensor:
        """Create a tensor from coordinates in any order.

        Parameters
        ----------
        indices
            (n, 1 + d) integers: batch, then the grid's axes.
        features
            (n, c).
        shape
            The grid's axes, (d,).
        batch_size
            Number of samples.
        stride
            Size of a voxel in voxels of the network's input; by default 1.
        backend
            None: spconv on CUDA if it is installed and correct, otherwise torch.

        Raises
        ------
        ConfigError
            Coordinates are outside the grid or duplicated, or do not match the features.
        BackendError
            The backend cannot be used here.
        """
        # Check coordinates where they are, usually on the CPU, before the GPU is involved.
        coordinates, order = Coordinates.create(indices, shape, batch_size, stride)
        coordinates = coordinates.to(features.device)
        if order is not None:
            features = features[order.to(features.device)]
        return cls(features, coordinates, resolve_backend(backend, features.device, features.dtype))

    @classmethod
    def from_dense(
        cls, dense: Tensor, mask: Tensor | None = None, backend: Backend | None = None
    ) -> SparseTensor:
        """The voxels of a dense tensor selected by a mask, or those that are not all zero.

        Parameters
        ----------
        dense
            (batch, c, *shape).
        mask
            (batch, *shape) bool.
        backend
            As in `create`.
        """
        last = dense.movedim(1, -1)
        kept = (last != 0).any(-1) if mask is None else mask
        indices = kept.nonzero()
        return cls.create(indices, last[kept], dense.shape[2:], dense.shape[0], backend=backend)

    @classmethod
    def from_frames(
        cls,
        frames: SparseFrames | Sequence[SparseFrames],
        *,
        flat: bool = False,
        frames_as_batch: bool = False,
        device: torch.device | str = "cpu",
        backend: Backend | None = None,
    ) -> SparseTensor:
        """The kept voxels of frames with two float32 channels, real and imaginary part.

        Parameters
        ----------
        frames
            One window (t, z, y, x), or several of the same shape as a batch.
        flat
            Omit the y axis, which must have length 1 (2-D data).
        frames_as_batch
            Treat every frame as a sample, for networks without a time axis.
        device, backend
            Device of the tensor, and backend as in `create`.

        Raises
        ------
        ConfigError
            Windows differ in shape, or `flat` is set for a grid with a y axis.
        """
        windows = [frames] if isinstance(frames, SparseFrames) else list(frames)
        if len({window.shape for window in windows}) != 1:
            raise ConfigError(
                "A batch needs at least one window of frames, and all windows must have the same "
                "shape."
            )
        shape = windows[0].shape
        parts = [
            torch.cat(
                [
                    torch.full((len(window), 1), sample, dtype=torch.int32),
                    torch.as_tensor(window.coordinates, dtype=torch.int32),
                ],
                dim=1,
            )
            for sample, window in enumerate(windows)
        ]
        indices = torch.cat(parts)
        features = torch.cat(
            [torch.view_as_real(torch.as_tensor(window.values)) for window in windows]
        )
        axes = [0, 1, 2, 3]
        if flat:
            if shape[2] != 1:
                raise ConfigError(f"Frames of shape {shape} are not 2-D: y has length {shape[2]}.")
            axes.remove(2)
        batch_size = len(windows)
        sample_column = indices[:, 0]
        if frames_as_batch:
            sample_column = sample_column * shape[0] + indices[:, 1]
            batch_size *= shape[0]
            axes.remove(0)
        indices = torch.stack([sample_column, *(indices[:, 1 + a] for a in axes)], dim=1)
        return cls.create(
            indices,
            features.to(device),
            [shape[a] for a in axes],
            batch_size,
            backend=backend,
        )

    def dense(self) -> Tensor:
        """(batch, c, *shape), zero where there is no voxel; differentiable."""
        c = self.coordinates
        out = self.features.new_zeros((c.batch_size, *c.shape, self.channels))
        where = tuple(column.long() for column in c.indices.unbind(1))
        return out.index_put(where, self.features).movedim(-1, 1)

    def with_features(self, features: Tensor) -> SparseTensor:
        """Other features on the same voxels."""
        return replace(self, features=features)

    def with_coordinates(self, features: Tensor, coordinates: Coordinates) -> SparseTensor:
        """Features on other voxels, with the same backend."""
        return replace(self, features=features, coordinates=coordinates)

    def to(self, device: torch.device | str, backend: Backend | None = None) -> SparseTensor:
        """The tensor on another device; its kernel maps are rebuilt there."""
        features = self.features.to(device)
        moved = self.coordinates.to(features.device)
        return SparseTensor(
            features, moved, resolve_backend(backend, features.device, features.dtype)
        )

    def __len__(self) -> int:
        return len(self.features)

    @property
    def indices(self) -> Tensor:
        """(n, 1 + d) int32: batch, then the grid's axes."""
        return self.coordinates.indices

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of the grid's axes."""
        return self.coordinates.shape

    @property
    def stride(self) -> tuple[Fraction, ...]:
        """Size of a voxel in voxels of the network's input, by axis."""
        return self.coordinates.stride

    @property
    def batch_size(self) -> int:
        return self.coordinates.batch_size

    @property
    def ndim(self) -> int:
        """Number of the grid's axes."""
        return self.coordinates.ndim

    @property
    def channels(self) -> int:
        return self.features.shape[1]

    @property
    def device(self) -> torch.device:
        return self.features.device
