"""Test-time augmentation: the predictions for a window and its mirror images, averaged."""

from __future__ import annotations

from typing import TYPE_CHECKING

from napari_ulm3d.networks.bubblenet_input import BubbleInput, collate

if TYPE_CHECKING:
    import torch

    from napari_ulm3d.networks.bubblenet import BubbleNet, BubbleOutput
    from napari_ulm3d.sparse import Backend

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
"""Axes of t, z, y, x that each view mirrors; the first 1, 2, 4 or 8 of them are used."""


def averaged_output(
    model: BubbleNet,
    window: BubbleInput,
    views: int,
    device: torch.device | str = "cpu",
    backend: Backend | None = None,
) -> BubbleOutput:
    """What the network says of a window, averaged over its mirror images.

    Vessels know no left and right and the network was trained on mirrored windows, so each view
    is an estimate of the same with an error of its own. Log-odds, velocity and level are means;
    the offset is weighted by the precision that the views predict, and its variance is their
    mean, weighted alike. One view after the other: the memory is that of one.

    Parameters
    ----------
    model
        In evaluation mode, on `device`.
    window
        The voxels.
    views
        How many, at most those of `MIRRORS`; 1: the window as it is.
    device, backend
        Where and by what to compute.

    Returns
    -------
    BubbleOutput
        A row each voxel of the window.
    """
    import torch

    from napari_ulm3d.networks.bubblenet import BubbleOutput

    if views == 1:
        plain: BubbleOutput = model(collate([window], device, backend))
        return plain
    sums = torch.zeros((len(window), 11), device=device)
    for axes in MIRRORS[:views]:
        image, rows_of = window.mirrored(axes)
        out: BubbleOutput = model(collate([image], device, backend))
        # Back to front: where an axis is mirrored, so is what points along it.
        sign = [-1.0 if axis in axes else 1.0 for axis in (1, 2, 3)]
        space = torch.tensor(sign, device=device)
        motion = space * (-1.0 if 0 in axes else 1.0)
        precision = torch.exp(-2 * out.log_sigma.float())  # of 32 bits, whatever the network has
        said = torch.cat(
            [
                out.logit[:, None].float(),
                out.offset * space * precision,
                precision,
                out.velocity * motion,
                out.level[:, None].float(),
            ],
            dim=1,
        )
        sums[torch.from_numpy(rows_of).to(device)] += said
        if not axes:
            coordinates = out.coordinates
    precision = sums[:, 4:7]
    return BubbleOutput(
        logit=sums[:, 0] / views,
        offset=sums[:, 1:4] / precision,
        log_sigma=-0.5 * torch.log(precision / views),
        velocity=sums[:, 7:10] / views,
        level=sums[:, 10] / views,
        coordinates=coordinates,
    )
