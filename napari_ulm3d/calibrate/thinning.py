"""Choose the thinning of the working grid, and describe it."""

from __future__ import annotations

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.calibrate.calibration import Finding
from napari_ulm3d.calibrate.widths import Widths
from napari_ulm3d.calibrate.working_grid import WorkingGrid, thinning_for
from napari_ulm3d.config import PipelineConfig

__all__ = ["sure_of", "thinning_of", "working_finding"]

_TOLERANCE = 0.1
"""Widths are measured up to a tenth too narrow. Left at almost four voxels per width, noise of limited
bandwidth looks like bubbles, and there are up to eight times as many voxels."""


def sure_of(widths: Widths | None, config: PipelineConfig) -> bool:
    """Whether the widths are given or were measured on isolated bubbles.

    The autocorrelation alone mistakes a row of bubbles for one wide bubble.
    """
    return config.psf.fwhm_voxels is not None or widths is None or widths.n_bubbles > 0


def thinning_of(
    widths: tuple[float, float, float],
    sure: bool,
    acquisition: Acquisition,
    config: PipelineConfig,
) -> tuple[int, int, int]:
    """Thinning along z, y, x: as set, or from the widths of the PSF.

    It is 1 if another setting is given in voxels of the acquisition. Where the widths are
    uncertain, twice as many voxels per width are kept.
    """
    given = config.calibrate.thinning
    if given is not None:
        z, y, x = (min(k, n) for k, n in zip(given, acquisition.grid.shape, strict=True))
        return (z, y, x)
    localize = config.localize
    in_voxels = (
        config.psf.patch_voxels,
        localize.patch_voxels,
        localize.fwhm_voxels,
        localize.max_shift_voxels,
    )
    if any(value is not None for value in in_voxels):
        return (1, 1, 1)
    per_width = config.calibrate.voxels_per_width * (1 if sure else 2)
    return thinning_for(widths, acquisition.grid.shape, per_width, _TOLERANCE)


def working_finding(working: WorkingGrid, widths: tuple[float, float, float]) -> Finding:
    shape = " x ".join(str(n) for n in working.grid.shape)
    left = " x ".join(
        f"{w:.1f}" for w, n in zip(working.widths(widths), working.grid.shape, strict=True) if n > 1
    )
    if working.is_full:
        return Finding(
            "working grid", f"the acquisition's, {shape} voxels", f"{left} voxels per width"
        )
    taken = " x ".join(str(k) for k in working.thinning)
    return Finding(
        "working grid",
        f"every {taken} voxels, {shape}",
        f"low-pass filtered; {left} voxels per width",
    )
