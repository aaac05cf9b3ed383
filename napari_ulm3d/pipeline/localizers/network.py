"""Common parts of the networks: choice of voxels, weights, speed, advice."""

from __future__ import annotations

import json
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

from napari_ulm3d.acquisition import Acquisition, Block
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.errors import ConfigError, InputError
from napari_ulm3d.filtering import FilteredBlock, analytic_psf
from napari_ulm3d.networks.shipped import LoadedNetwork, find_weights
from napari_ulm3d.networks.weights import read_card, weights_hash
from napari_ulm3d.pipeline.localizers.chunks import correlated_chunks
from napari_ulm3d.pipeline.localizers.on_device import kept_there
from napari_ulm3d.pipeline.localizers.protocol import Found, Rate
from napari_ulm3d.pipeline.localizers.trial import SHAPE, bubbles_in, quickest
from napari_ulm3d.pipeline.plan import BlockPlan, UsedWeights
from napari_ulm3d.sparse_frames import SparseFrames
from napari_ulm3d.sparsify import sparsify_block
from napari_ulm3d.tables import Localizations

__all__ = ["NetworkBase", "advice_on_input", "kept_facts", "kept_voxels"]

log = logging.getLogger("napari_ulm3d")

# A larger share of kept voxels is due to tissue rather than crowded bubbles.
_CROWDED = 0.25

# Networks are trained with thresholds of 0.07 to 0.15.
_HIGH_THRESHOLD = 0.2

# Settings used by each sparsification strategy.
_STRATEGY_SETTINGS: dict[str, set[str]] = {
    "threshold": {"threshold"},
    "topk": {"top_k"},
    "contrast": {"min_snr_db", "patch_voxels"},
    "learned": set(),
}


class NetworkBase(ABC):
    """Base class of networks that work on the kept voxels of a block.

    A network adds its `name`, `title`, `architectures`, `memory_bytes` and `localize`, as defined
    by `NetworkLocalizer`.
    """

    name: str
    title: str
    architectures: tuple[str, ...]
    sections: tuple[str, ...] = ()

    def default_weights(self, *, flat: bool) -> str:
        """Name of the shipped weights; by default none are shipped."""
        raise ConfigError(
            f"No weights come with the localizer {self.name}. Set network.weights to a file of "
            f"weights of {' or '.join(self.architectures)}."
        )

    def weights(self, acquisition: Acquisition, config: PipelineConfig) -> tuple[UsedWeights, ...]:
        """The weights of the network, and of the one that chooses its voxels, if any.

        Raises
        ------
        ConfigError, InputError
            A file is missing or contains another network.
        """
        given = config.network.weights
        # Some networks have no shipped weights.
        default = "" if given else self.default_weights(flat=acquisition.grid.shape[1] == 1)
        path = find_weights(given, default)
        wanted = [("localizer", path, self.architectures)]
        if config.sparsify.strategy == "learned":
            wanted.append(("sparsify", find_weights(config.sparsify.weights, "mask"), ("MaskCNN",)))
        used = []
        for role, path, architectures in wanted:
            card = read_card(path)
            if card.architecture not in architectures:
                raise InputError(
                    path,
                    f"contains weights of {card.architecture}, but {' or '.join(architectures)} is "
                    "needed",
                    f"Set {'network' if role == 'localizer' else role}.weights to other weights.",
                )
            used.append(UsedWeights(role, path, weights_hash(path), card))
        return tuple(used)

    def settings(self, plan: BlockPlan) -> dict[str, Any]:
        """Settings of `network` on which its result depends, as JSON values; by default all."""
        return plan.config.network.model_dump(mode="json", exclude={"weights"})

    def key_facts(self, plan: BlockPlan) -> tuple[str, ...]:
        """Its settings and weights, the PSF, and the choice of voxels."""
        sparsify = plan.config.sparsify
        strategy = _STRATEGY_SETTINGS[sparsify.strategy]
        facts = {
            "localizer": self.name,
            "network": self.settings(plan),
            "strategy": sparsify.strategy,
            "sparsify": sparsify.model_dump(mode="json", include=strategy),
            "psf": [*plan.psf.fwhm_voxels, plan.psf.carrier_rad, plan.psf.bright_only],
            "weights": [used.sha256 for used in plan.weights],
        }
        return (json.dumps(facts, sort_keys=True),)

    def context_frames(self, acquisition: Acquisition, config: PipelineConfig) -> int:
        """The margin of its windows, if set."""
        return config.network.margin_frames or 0

    def advice(self, acquisition: Acquisition, config: PipelineConfig) -> list[str]:
        """Settings that would hide bubbles from it."""
        return advice_on_input(acquisition, config)

    @abstractmethod
    def memory_bytes(self, loaded: LoadedNetwork, n_kept: float, n_frames: int) -> float:
        """See `NetworkLocalizer`."""

    @abstractmethod
    def localize(
        self,
        block: Block,
        filtered: FilteredBlock,
        plan: BlockPlan,
        stop: Callable[[], bool],
        progress: Callable[[float], None] | None = None,
    ) -> Found:
        """See `BlockLocalizer`."""

    def rate(self, loaded: LoadedNetwork, stop: Callable[[], bool]) -> Rate:
        """Rate for a synthetic block, including the choice of voxels."""
        frames = bubbles_in(SHAPE).dense()
        acquisition = Acquisition.from_array(frames, (100.0,) * 3, 100.0, wavelength_um=200.0)
        config = PipelineConfig.from_dict(
            {"device": loaded.device, "localize": {"localizer": self.name}}
        )
        used = UsedWeights("localizer", loaded.path, loaded.sha256, loaded.card)
        psf = analytic_psf(config.psf, acquisition.grid, acquisition.wavelength_um)
        plan = BlockPlan(acquisition, config, psf, (used,))
        (block,) = acquisition.blocks(len(frames))
        found = Found(Localizations.empty())

        def run() -> None:
            nonlocal found
            found = self.localize(block, FilteredBlock(frames), plan, stop)

        run()  # warm up
        seconds = quickest(run, loaded.device)
        return Rate(found.facts.get("kept_voxels", frames.size) / seconds)


def kept_voxels(
    block: Block, filtered: FilteredBlock, plan: BlockPlan, stop: Callable[[], bool]
) -> SparseFrames:
    """The voxels of a block that are passed to a network; too few or too many are logged.

    Raises
    ------
    Cancelled
        `stop` returned true.
    """
    config = plan.config
    if filtered.resident is not None and config.sparsify.strategy == "threshold":
        threshold = config.sparsify.threshold
        kept = kept_there(filtered.resident, plan.psf, threshold, block.first_frame, stop)
    else:
        maps = (part for *_, part in correlated_chunks(filtered.frames, plan.psf, stop))
        kept = sparsify_block(maps, config.sparsify, block.first_frame, device=config.device)
    if len(kept) < block.n_frames:
        log.warning(
            "%s: only %d voxels of %d frames were kept; lower sparsify.threshold, or check "
            "the PSF (psf.fwhm_voxels)",
            block.name, len(kept), block.n_frames,
        )  # fmt: skip
    elif kept.occupancy > _CROWDED:
        log.warning(
            "%s: %.0f %% of all voxels were kept, which is slow; remove more tissue "
            "(clutter.svd_range), or raise sparsify.threshold",
            block.name, 100 * kept.occupancy,
        )  # fmt: skip
    return kept


def kept_facts(kept: SparseFrames) -> dict[str, float]:
    """Number and percentage of kept voxels, for the record of the block."""
    return {"kept_voxels": float(len(kept)), "kept_per_cent": 100 * kept.occupancy}


def advice_on_input(acquisition: Acquisition, config: PipelineConfig) -> list[str]:
    """Settings and data that would hide bubbles from any network, one sentence each."""
    said = []
    sparsify, psf = config.sparsify, config.psf
    if sparsify.strategy == "threshold" and sparsify.threshold > _HIGH_THRESHOLD:
        said.append(
            f"With sparsify.threshold={sparsify.threshold:g} many bubbles keep no voxel and "
            "cannot be found by the network, which was trained with thresholds of 0.07 to "
            "0.15."
        )
    if psf.source == "analytic":
        widths = ", ".join(f"{width:g}" for width in psf.widths)
        said.append(
            f"The network uses a PSF of {widths} voxels (psf.fwhm_voxels). Bubbles of a "
            "different width may keep no voxel. psf.source=auto measures the widths."
        )
    if acquisition.kind == "envelope":
        said.append(
            "These frames are an envelope. Networks use the phase to separate overlapping "
            "bubbles; use the IQ data if you have them."
        )
    return said
