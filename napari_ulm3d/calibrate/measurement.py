"""Measurements on one block of an acquisition."""

from __future__ import annotations

from dataclasses import dataclass

from napari_ulm3d.calibrate.trial import TriedCut
from napari_ulm3d.calibrate.widths import Widths
from napari_ulm3d.filtering import Psf, TissueCut
from napari_ulm3d.motion import BlockMotion

__all__ = ["BlockMeasurement"]


@dataclass(frozen=True)
class BlockMeasurement:
    """Measurements on one block; small enough for a worker to send.

    Attributes
    ----------
    valid_share
        Share of the voxels that contain data.
    noise
        Rms noise after the clutter filter at each depth.
    cut
        Boundary between tissue and flow components; None if the settings give it or no SVD is used.
    widths
        Widths of the PSF; None if nothing exceeds the noise or the settings give them.
    carrier_rad
        Axial phase step per voxel; 0 for envelope data.
    psf
        The measured PSF on the grid of `thinning`; only with ``psf.source=data``.
    thinning
        Thinning factors of the working grid along z, y, x.
    motion
        Motion of the tissue; None if it is not corrected.
    bright_only
        Whether bubbles of an envelope are always brighter than their surroundings.
    tried
        Neighbours of the cut and itself, with what is localized after each; empty if not tried.
    """

    valid_share: float
    noise: tuple[float, ...]
    cut: TissueCut | None
    widths: Widths | None
    carrier_rad: float
    psf: Psf | None = None
    thinning: tuple[int, int, int] = (1, 1, 1)
    motion: BlockMotion | None = None
    bright_only: bool = False
    tried: tuple[TriedCut, ...] = ()
