"""Advice before a run on settings that do not suit the acquisition."""

from __future__ import annotations

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.link import USUAL_MM_S
from napari_ulm3d.pipeline.localizers import localizer_of

__all__ = ["advice", "speed_advice"]

# Beyond this many voxels per frame, neighbouring bubbles may be confused.
_FAR_VOXELS = 5.0


def advice(acquisition: Acquisition, config: PipelineConfig) -> tuple[str, ...]:
    """Sentences for the user, each with the setting to check; empty if all seems well."""
    said = []
    shortest = min(block.n_frames for block in acquisition.blocks(config.load.block_frames))
    first, last = config.clutter.svd_range or (1, shortest)
    uses_svd = "svd" in config.clutter.method and not config.clutter.svd_automatic
    if uses_svd and shortest < last and first > 0.1 * shortest:
        said.append(
            f"A block of {shortest} frames has {shortest} singular components, of which the "
            f"first {first - 1} are removed. clutter.svd_range={first},{last} is intended for "
            f"blocks of {last} frames."
        )
    said += speed_advice(acquisition, config)
    return (*said, *localizer_of(config).advice(acquisition, config))


def speed_advice(acquisition: Acquisition, config: PipelineConfig) -> list[str]:
    """Whether the fastest allowed bubbles move so far per frame that links may be wrong."""
    said = []
    spacing = [
        s for s, n in zip(acquisition.grid.spacing_um, acquisition.grid.shape, strict=True) if n > 1
    ]
    speed = config.link.max_speed_mm_s or USUAL_MM_S
    step_um = speed * 1000 / acquisition.rate_hz
    if spacing and step_um > _FAR_VOXELS * min(spacing):
        said.append(
            f"At {acquisition.rate_hz:g} Hz, a bubble moving at {speed:g} "
            f"mm/s moves {step_um / min(spacing):.1f} voxels per frame, so links may be "
            "wrong. Set link.max_speed_mm_s to the fastest flow you expect."
        )
    return said
