"""Settings that do not suit an acquisition, said before the run rather than found after it."""

from __future__ import annotations

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.pipeline.networks import NETWORKS

__all__ = ["advice"]

# Past this many voxels a frame, neighbouring bubbles are within each other's reach.
_FAR_VOXELS = 5.0

# Networks are trained with thresholds of 0.07 to 0.15, and first components of 6 to 16.
_HIGH_THRESHOLD = 0.2
_TRAINED_FIRST = range(4, 21)


def advice(acquisition: Acquisition, config: PipelineConfig) -> tuple[str, ...]:
    """Sentences for a person, each with the setting to look at; none when all seems well."""
    said = []
    shortest = min(block.n_frames for block in acquisition.blocks(config.load.frames_per_block))
    first, last = config.clutter.svd_range
    uses_svd = "svd" in config.clutter.method and not config.clutter.svd_automatic
    if uses_svd and shortest < last and first > 0.1 * shortest:
        said.append(
            f"A block of {shortest} frames has {shortest} singular components, of which the first "
            f"{first - 1} are removed; clutter.svd_range={first},{last} is meant for blocks of {last}."
        )
    spacing = [
        s for s, n in zip(acquisition.grid.spacing_um, acquisition.grid.shape, strict=True) if n > 1
    ]
    step_um = config.link.max_speed_mm_s * 1000 / acquisition.rate_hz
    if spacing and step_um > _FAR_VOXELS * min(spacing):
        said.append(
            f"At {acquisition.rate_hz:g} Hz a bubble of {config.link.max_speed_mm_s:g} mm/s moves "
            f"{step_um / min(spacing):.1f} voxels a frame, so links may be false; "
            "set link.max_speed_mm_s to the fastest flow that you expect."
        )
    return (*said, *_about_networks(acquisition, config))


def _about_networks(acquisition: Acquisition, config: PipelineConfig) -> list[str]:
    """What would keep bubbles from a network, or is unlike its training."""
    if config.localize.localizer not in NETWORKS:
        if config.network.weights is None:
            return []
        return [
            f"network.weights is set, and localize.localizer={config.localize.localizer} uses no "
            "network; choose --localizer network."
        ]
    said = []
    sparsify, psf = config.sparsify, config.psf
    if sparsify.strategy == "threshold" and sparsify.threshold > _HIGH_THRESHOLD:
        said.append(
            f"With sparsify.threshold={sparsify.threshold:g} many bubbles keep no voxel, and a "
            "network cannot find those; it was trained with 0.07 to 0.15."
        )
    if psf.source == "analytic":
        widths = ", ".join(f"{width:g}" for width in psf.fwhm_voxels)
        said.append(
            f"The network is given a PSF of {widths} voxels (psf.fwhm_voxels); where the bubbles "
            "have other widths many keep no voxel. psf.source=auto measures them."
        )
    first = config.clutter.svd_range[0]
    known = "svd" in config.clutter.method and not config.clutter.svd_automatic
    if config.localize.localizer == "network" and known and first not in _TRAINED_FIRST:
        said.append(
            f"clutter.svd_range begins at {first}; the network was trained with blocks whose "
            "first 5 to 15 components were removed."
        )
    if acquisition.kind == "envelope":
        said.append(
            "The frames are an envelope, without the phase by which networks tell bubbles that "
            "overlap; give them the IQ data if you have it."
        )
    return said
