"""Test-time augmentation: average the predictions for windows and their mirror images.

Windows and their images are samples of one batch, so one pass of the network processes as many
of them as fit into memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from napari_ulm3d.networks.bubblenet_input import BubbleInput, features_of

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from napari_ulm3d.networks.bubblenet import BubbleNet, BubbleOutput
    from napari_ulm3d.sparse import Backend, Coordinates, Reuse

__all__ = ["MIRRORS", "averaged_output"]

MIRRORS: tuple[tuple[int, ...], ...] = (
    (),
    (2, 3),
    (2,),
    (3,),
    (0,),
    (0, 2, 3),
    (0, 2),
    (0, 3),
)
"""Mirrored axes (of t, z, y, x) of each view; the first 1, 2, 4 or 8 views are used."""

_BELIEVED = -1.0
"""Log-odds of a second bubble from which two views may have them in another order."""


def averaged_output(
    model: BubbleNet,
    windows: Sequence[BubbleInput],
    views: int,
    device: torch.device | str = "cpu",
    backend: Backend | None = None,
    *,
    at_once: int = 1,
    reuse: Reuse | None = None,
) -> BubbleOutput:
    """Average the network's output for windows over their mirror images.

    Vessels have no preferred orientation and the network was trained on mirrored windows, so the
    views are separate estimates of the same quantities. Log-odds, velocity and level are averaged.
    The offset is weighted by the predicted precision; its precision is the mean over the views.

    Parameters
    ----------
    model
        The network in evaluation mode, on `device`.
    windows
        The voxels; windows may differ in shape.
    views
        Number of views, up to the length of `MIRRORS`; 1: the original windows only.
    device, backend
        Device and sparse backend.
    at_once
        Number of views per pass; memory grows with it.
    reuse
        Cache of kernel maps for equal voxels.

    Returns
    -------
    BubbleOutput
        Rows of the voxels, window after window.
    """
    import torch

    from napari_ulm3d.networks.bubblenet import BubbleOutput

    given = _Given(windows, device)
    sums: Tensor | None = None
    first_view: Tensor | None = None
    for first in range(0, views, at_once):
        mirrors = MIRRORS[first : min(first + at_once, views)]
        out, order = given.through(model, mirrors, backend, reuse)
        if views == 1:
            return out
        space = torch.tensor([[-1.0 if a in axes else 1.0 for a in (1, 2, 3)] for axes in mirrors])
        turned = torch.tensor([[-1.0 if 0 in axes else 1.0] for axes in mirrors])
        # Mirroring an axis flips offsets and velocities along it; mirroring time flips velocities.
        signs = torch.cat([space, space * turned], dim=1).to(device)
        rows = torch.cat(
            [
                out.logit[:, None],
                out.offset,
                torch.exp(
                    -2 * out.log_sigma.float()
                ),  # in single precision, whatever the network uses
                out.velocity,
                out.level[:, None],
            ],
            dim=1,
        )
        if order is not None:
            rows = rows.view(-1, 11 * out.per_voxel)
            rows = torch.empty_like(rows).index_copy_(0, order, rows)
        said = rows.view(len(mirrors), given.n_voxels * out.per_voxel, 11)
        said[:, :, 1:4] *= signs[:, None, :3]
        said[:, :, 7:10] *= signs[:, None, 3:]
        if out.per_voxel == 2:
            first_view = said[0, :, 1:4].clone() if first_view is None else first_view
            said = _in_one_order(said, first_view)
        said[:, :, 1:4] *= said[:, :, 4:7]
        total = said.sum(0)
        sums = total if sums is None else sums + total
    assert sums is not None
    precision = sums[:, 4:7]
    return BubbleOutput(
        logit=sums[:, 0] / views,
        offset=sums[:, 1:4] / precision,
        log_sigma=-0.5 * torch.log(precision / views),
        velocity=sums[:, 7:10] / views,
        level=sums[:, 10] / views,
        coordinates=given.coordinates,
        per_voxel=out.per_voxel,
    )


def _in_one_order(said: Tensor, first_view: Tensor) -> Tensor:
    """The two bubbles of each voxel in the order in which the first view has them.

    The brighter one comes first. Of two equally bright ones, views may disagree which that is, and the
    mean would lie between them.

    Parameters
    ----------
    said
        (views, 2 n, 11) predictions.
    first_view
        (2 n, 3) offsets of the first view.
    """
    import torch

    pairs, wanted = said.unflatten(1, (-1, 2)), first_view.unflatten(0, (-1, 2))
    place = pairs[..., 1:4]
    kept = (place - wanted).square().sum((-2, -1))
    swapped = (place.flip(2) - wanted).square().sum((-2, -1))
    # The place of a second bubble that is hardly believed in says nothing about the order.
    turn = (swapped < kept) & (pairs[..., 1, 0] > _BELIEVED)
    turned = torch.where(turn[..., None, None], pairs.flip(2), pairs)
    # That there are two is no property of either.
    turned[..., 0] = pairs[..., 0]
    return turned.flatten(1, 2)


class _Given:
    """Windows, copied to the device once."""

    def __init__(self, windows: Sequence[BubbleInput], device: torch.device | str) -> None:
        import torch

        from napari_ulm3d.sparse import Coordinates

        sizes = [len(window) for window in windows]
        indices = np.empty((sum(sizes), 5), np.int32)
        indices[:, 0] = np.repeat(np.arange(len(windows), dtype=np.int32), sizes)
        indices[:, 1:] = _joined([window.coordinates for window in windows])
        correlation = torch.from_numpy(_joined([window.correlation for window in windows]))
        amplitude = torch.from_numpy(_joined([window.amplitude for window in windows]))
        shapes = np.array([window.shape for window in windows])
        self.n_voxels, self.n_windows = len(indices), len(windows)
        self.features = features_of(
            correlation.to(device), amplitude.to(device), windows[0].fwhm_voxels
        )
        # The grid of the largest window: this adds no voxels and changes no neighbours.
        self.coordinates: Coordinates = Coordinates(
            torch.from_numpy(indices).to(device), shapes.max(0).tolist(), len(windows), (1,) * 4
        )
        self._last = torch.from_numpy(np.repeat(shapes - 1, sizes, axis=0).astype(np.int32))

    def through(
        self,
        model: BubbleNet,
        mirrors: Sequence[tuple[int, ...]],
        backend: Backend | None,
        reuse: Reuse | None,
    ) -> tuple[BubbleOutput, Tensor | None]:
        """Output for several views in one pass, and the original row of each, view by view."""
        import torch

        from napari_ulm3d.sparse import SparseTensor, resolve_backend

        features, coordinates, order = self.features, self.coordinates, None
        if any(mirrors):
            coordinates, order = self._mirrored(mirrors)
            # Mirroring depth reverses the phase gradient of a bubble, so values are conjugated.
            sign = torch.ones(len(mirrors), 1, features.shape[1])
            for k, axes in enumerate(mirrors):
                if 1 in axes:
                    sign[k, 0, [1, 3]] = -1.0
            images = features * sign.to(features.device)
            features = images.view(-1, features.shape[1]).index_select(0, order)
        if reuse is not None:
            coordinates = reuse.known(tuple(mirrors), coordinates)
        backend = resolve_backend(backend, features.device)
        return model(SparseTensor(features, coordinates, backend)), order

    def _mirrored(self, mirrors: Sequence[tuple[int, ...]]) -> tuple[Coordinates, Tensor]:
        import torch

        from napari_ulm3d.sparse import Coordinates

        at = self.coordinates.indices
        flips = [[a in axes for a in range(4)] for axes in mirrors]
        flip = torch.tensor(flips)[:, None].to(at.device)
        last = self._last.to(at.device)
        images = torch.empty((len(mirrors), *at.shape), dtype=at.dtype, device=at.device)
        samples = self.n_windows * torch.arange(len(mirrors), dtype=at.dtype, device=at.device)
        images[:, :, 0] = at[:, 0] + samples[:, None]
        images[:, :, 1:] = torch.where(flip, last - at[:, 1:], at[:, 1:])
        shape, n_samples = self.coordinates.shape, self.n_windows * len(mirrors)
        mixed = Coordinates(images.view(-1, 5), shape, n_samples, (1,) * 4)
        keys, order = torch.sort(mixed.keys())
        made = Coordinates(mixed.indices.index_select(0, order), shape, n_samples, (1,) * 4)
        made.remember("keys", lambda: keys)
        return made, order


def _joined(parts: Sequence[np.ndarray]) -> np.ndarray:
    return parts[0] if len(parts) == 1 else np.concatenate(parts)
