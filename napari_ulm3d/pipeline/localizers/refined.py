"""Refine localizations by fitting them to the frames, if the settings say so."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np

from napari_ulm3d.acquisition import Acquisition, Block
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.filtering import FilteredBlock
from napari_ulm3d.link import USUAL_MM_S
from napari_ulm3d.networks.bubblenet_input import noise_level
from napari_ulm3d.pipeline.plan import BlockPlan
from napari_ulm3d.tables import Localizations

__all__ = ["refine_advice", "refine_context", "refine_key", "refined", "refines"]

_CONTEXT_FRAMES = 12
"""More distant frames along a track hardly affect a position."""


def refined(
    found: Localizations,
    block: Block,
    filtered: FilteredBlock,
    plan: BlockPlan,
    stop: Callable[[], bool],
    *,
    trust_sigma: bool = False,
) -> Localizations:
    """Refine the localizations of a block as set by `localize.refine`; IQ frames only.

    `trust_sigma` is that of `synthesis.Synthesis`.

    Raises
    ------
    Cancelled
        `stop` returned true.
    """
    speed = plan.config.link.max_speed_mm_s or USUAL_MM_S
    config, acquisition, frames = plan.config, plan.acquisition, filtered.frames
    mode = config.localize.refine
    if mode == "none" or not np.iscomplexobj(frames):
        return found
    # Imported here, since most runs do not need it.
    from napari_ulm3d.synthesis import Synthesis, refine_localizations

    return refine_localizations(
        frames,
        found,
        psf=plan.psf,
        grid=plan.grid,
        rate_hz=acquisition.rate_hz,
        noise_rms=noise_level(frames, filtered.valid),
        wavelength_um=acquisition.wavelength_um,
        settings=Synthesis(mode, speed, trust_sigma),
        first_frame=block.first_frame,
        removed=filtered.removed,
        stop=stop,
    )


def refines(plan: BlockPlan) -> bool:
    """Whether localizations are refined: the settings say so, and frames are IQ."""
    return plan.config.localize.refine != "none" and plan.acquisition.kind != "envelope"


def refine_key(plan: BlockPlan) -> tuple[str, ...]:
    """`key_facts` of the refinement; empty without it."""
    mode = plan.config.localize.refine
    if mode == "none":
        return ()
    speed = plan.config.link.max_speed_mm_s or USUAL_MM_S
    facts = {
        "refine": mode,
        "max_speed_mm_s": speed if mode == "window" else None,
        "psf": [*plan.psf.fwhm_voxels, plan.psf.carrier_rad, plan.psf.bright_only],
    }
    return (json.dumps(facts, sort_keys=True),)


def refine_context(config: PipelineConfig) -> int:
    """Number of frames before and after a frame that affect the refinement."""
    return _CONTEXT_FRAMES if config.localize.refine == "window" else 0


def refine_advice(acquisition: Acquisition, config: PipelineConfig) -> list[str]:
    """Advice if the refinement has no effect."""
    if config.localize.refine == "none" or acquisition.kind != "envelope":
        return []
    return [
        f"localize.refine={config.localize.refine} does nothing here: the frames are an envelope, "
        "and bubbles are fitted to IQ data."
    ]
