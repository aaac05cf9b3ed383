"""What networks have in common: the voxels that they are given, their weights, and warnings."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

from napari_ulm3d.acquisition import Acquisition, Block
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.errors import InputError
from napari_ulm3d.filtering import FilteredBlock
from napari_ulm3d.networks.shipped import find_weights
from napari_ulm3d.networks.weights import read_card, weights_hash
from napari_ulm3d.pipeline.localizers.chunks import correlated_chunks
from napari_ulm3d.pipeline.localizers.protocol import NetworkLocalizer
from napari_ulm3d.pipeline.plan import BlockPlan, UsedWeights
from napari_ulm3d.sparse_frames import SparseFrames
from napari_ulm3d.sparsify import sparsify_block

__all__ = ["advice_on_input", "kept_facts", "kept_voxels", "network_key", "network_weights"]

log = logging.getLogger("napari_ulm3d")

# A larger share of kept voxels than crowds of bubbles make, as tissue does.
_CROWDED = 0.25

# Networks are trained with thresholds of 0.07 to 0.15.
_HIGH_THRESHOLD = 0.2

# What of the settings a strategy of sparsification looks at.
_STRATEGY_SETTINGS: dict[str, set[str]] = {
    "threshold": {"threshold"},
    "topk": {"top_k"},
    "contrast": {"min_snr_db", "patch_voxels"},
    "learned": set(),
}


def network_weights(
    localizer: NetworkLocalizer, acquisition: Acquisition, config: PipelineConfig
) -> tuple[UsedWeights, ...]:
    """The weights of the network itself, and of the one that chooses voxels for it, if any.

    Raises
    ------
    ConfigError, InputError
        A file is not there, or holds another network.
    """
    path = find_weights(
        config.network.weights, localizer.default_weights(flat=acquisition.grid.shape[1] == 1)
    )
    wanted = [("localizer", path, localizer.architectures)]
    if config.sparsify.strategy == "learned":
        wanted.append(("sparsify", find_weights(config.sparsify.weights, "mask"), ("MaskCNN",)))
    used = []
    for role, path, architectures in wanted:
        card = read_card(path)
        if card.architecture not in architectures:
            raise InputError(
                path,
                f"holds weights of {card.architecture}, and {' or '.join(architectures)} is needed",
                f"Set {'network' if role == 'localizer' else role}.weights to others.",
            )
        used.append(UsedWeights(role, path, weights_hash(path), card))
    return tuple(used)


def network_key(name: str, settings: dict[str, Any], plan: BlockPlan) -> tuple[str, ...]:
    """`key_facts` of a network: its settings, its weights, the PSF, and which voxels are kept.

    Parameters
    ----------
    name
        Of the localizer.
    settings
        Those of `network` that it looks at, as JSON.
    """
    sparsify = plan.config.sparsify
    facts = {
        "localizer": name,
        "network": settings,
        "strategy": sparsify.strategy,
        "sparsify": sparsify.model_dump(mode="json", include=_STRATEGY_SETTINGS[sparsify.strategy]),
        "psf": [*plan.psf.fwhm_voxels, plan.psf.carrier_rad],
        "weights": [used.sha256 for used in plan.weights],
    }
    return (json.dumps(facts, sort_keys=True),)


def kept_voxels(
    block: Block, filtered: FilteredBlock, plan: BlockPlan, stop: Callable[[], bool]
) -> SparseFrames:
    """The voxels of a block that a network is given; what makes it blind or slow is logged.

    Raises
    ------
    Cancelled
        `stop` said so.
    """
    config = plan.config
    maps = (part for *_, part in correlated_chunks(filtered.frames, plan.psf, stop))
    kept = sparsify_block(maps, config.sparsify, block.first_frame, device=config.device)
    if len(kept) < block.n_frames:
        log.warning(
            "%s: only %d voxels were kept of %d frames; lower sparsify.threshold, or look at the "
            "PSF (psf.fwhm_voxels)",
            block.name, len(kept), block.n_frames,
        )  # fmt: skip
    elif kept.occupancy > _CROWDED:
        log.warning(
            "%s: %.0f %% of all voxels were kept, which is slow; filter the clutter more strongly "
            "(clutter.svd_range), or raise sparsify.threshold",
            block.name, 100 * kept.occupancy,
        )  # fmt: skip
    return kept


def kept_facts(kept: SparseFrames) -> dict[str, float]:
    """How many voxels were kept, for the record of the block."""
    return {"kept_voxels": float(len(kept)), "kept_per_cent": 100 * kept.occupancy}


def advice_on_input(acquisition: Acquisition, config: PipelineConfig) -> list[str]:
    """What would keep bubbles from any network, a sentence each."""
    said = []
    sparsify, psf = config.sparsify, config.psf
    if sparsify.strategy == "threshold" and sparsify.threshold > _HIGH_THRESHOLD:
        said.append(
            f"With sparsify.threshold={sparsify.threshold:g} many bubbles keep no voxel, and a "
            "network cannot find those; it was trained with 0.07 to 0.15."
        )
    if psf.source == "analytic":
        widths = ", ".join(f"{width:g}" for width in psf.widths)
        said.append(
            f"The network is given a PSF of {widths} voxels (psf.fwhm_voxels); where the bubbles "
            "have other widths many keep no voxel. psf.source=auto measures them."
        )
    if acquisition.kind == "envelope":
        said.append(
            "The frames are an envelope, without the phase by which networks tell bubbles that "
            "overlap; give them the IQ data if you have it."
        )
    return said
