"""What one block says of its acquisition."""

from __future__ import annotations

from dataclasses import dataclass

from napari_ulm3d.calibrate.widths import Widths
from napari_ulm3d.filtering import Psf, TissueCut
from napari_ulm3d.tables import BlockMotion

__all__ = ["BlockMeasurement"]


@dataclass(frozen=True)
class BlockMeasurement:
    """What one block says of the acquisition; small, so that a worker can send it.

    Attributes
    ----------
    valid_share
        Share of the voxels that hold data.
    noise
        Rms of the noise after the clutter filter, depth by depth.
    cut
        Where the tissue ends; None where the settings say so, or no SVD is used.
    widths
        Of the PSF; None where nothing stands out, or where they are given.
    carrier_rad
        Axial phase step a voxel; 0 for an envelope.
    psf
        With ``psf.source=data``: the shape itself, on the grid of `thinning`.
    thinning
        That grid.
    motion
        Of the tissue; None where it is not asked for.
    """

    valid_share: float
    noise: tuple[float, ...]
    cut: TissueCut | None
    widths: Widths | None
    carrier_rad: float
    psf: Psf | None = None
    thinning: tuple[int, int, int] = (1, 1, 1)
    motion: BlockMotion | None = None
