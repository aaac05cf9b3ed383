"""`BubbleNet`: bubbles with velocities and uncertainties, from the kept voxels of a block."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from napari_ulm3d.acquisition import Acquisition, Block, Grid
from napari_ulm3d.config import NetworkConfig, PipelineConfig
from napari_ulm3d.device import resolve_device
from napari_ulm3d.filtering import FilteredBlock
from napari_ulm3d.localize.pieces import Piece
from napari_ulm3d.localize.probability import calibration_of
from napari_ulm3d.networks.registry import config_of
from napari_ulm3d.networks.shipped import LoadedNetwork, load_weights
from napari_ulm3d.networks.weights import WeightsCard
from napari_ulm3d.pipeline.localizers.network import NetworkBase, kept_facts, kept_voxels
from napari_ulm3d.pipeline.localizers.protocol import Found, Rate
from napari_ulm3d.pipeline.localizers.refined import (
    refine_advice,
    refine_context,
    refine_key,
    refined,
    refines,
)
from napari_ulm3d.pipeline.localizers.trial import SHAPE, bubbles_in, quickest
from napari_ulm3d.pipeline.plan import BlockPlan, UsedWeights
from napari_ulm3d.tables import Localizations

__all__ = ["LOCALIZER"]

NAME = "network"
SETTINGS = (
    "min_score", "hit_fraction", "candidate_score", "merge_fwhm", "views", "window_frames",
    "margin_frames",
)  # fmt: skip

# First component kept, in the training blocks: the first 5 to 15 were removed.
_TRAINED_FIRST = range(4, 21)

# Minimum score of bubbles passed to the refinement, before calibration.
_PROPOSAL_SCORE = 0.05

# Settings of `network` that do not affect this localizer.
_OTHER_SETTINGS = {"weights", "trajectory_score"}


class _Bubbles(NetworkBase):
    name = NAME
    title = "bubble network"
    architectures = ("BubbleNet",)

    def default_weights(self, *, flat: bool) -> str:
        """The same network for 2-D and 3-D."""
        return "bubblenet"

    def weights(self, acquisition: Acquisition, config: PipelineConfig) -> tuple[UsedWeights, ...]:
        """The network's weights, with the minimum score from their validation."""
        own, *others = super().weights(acquisition, config)
        return (replace(own, more={"min_score": _trained_score(own.card)}), *others)

    def settings(self, plan: BlockPlan) -> dict[str, Any]:
        """The settings that affect the result, with the minimum score in use."""
        network = plan.config.network
        others = set(_OTHER_SETTINGS)
        if network.margin_frames is None:  # a given margin makes the result depend on memory
            others.add("memory_gb")
        settings = network.model_dump(mode="json", exclude=others)
        curve = asdict(calibration_of(plan.weights[0].card.weights_sha256))
        return settings | {"min_score": _least_raw(plan), "calibration": curve}

    def key_facts(self, plan: BlockPlan) -> tuple[str, ...]:
        """Those of the network and of the refinement."""
        return super().key_facts(plan) + refine_key(plan)

    def context_frames(self, acquisition: Acquisition, config: PipelineConfig) -> int:
        """Margin of the windows plus the context of the refinement."""
        from napari_ulm3d.localize.network import context_of

        card = self.weights(acquisition, config)[0].card
        network: Any = config_of(card.architecture, card.config)
        return context_of(network, config.network).frames + refine_context(config)

    def advice(self, acquisition: Acquisition, config: PipelineConfig) -> list[str]:
        """Also reports settings that differ from the training."""
        said = super().advice(acquisition, config) + refine_advice(acquisition, config)
        first = config.clutter.svd_range[0] if config.clutter.svd_range else _TRAINED_FIRST[0]
        known = "svd" in config.clutter.method and not config.clutter.svd_automatic
        if known and first not in _TRAINED_FIRST:
            said.append(
                f"clutter.svd_range begins at {first}, but the network was trained on blocks with "
                "the first 5 to 15 components removed."
            )
        return said

    def memory_bytes(self, loaded: LoadedNetwork, n_kept: float, n_frames: int) -> float:
        """Depends only on the number of kept voxels."""
        from napari_ulm3d.networks.memory import forward_bytes

        return n_kept * forward_bytes(loaded.network.config)  # type: ignore[arg-type]

    def rate(self, loaded: LoadedNetwork, stop: Callable[[], bool]) -> Rate:
        """Measured on windows of synthetic bubbles."""
        import torch

        from napari_ulm3d.localize.network import localize_network
        from napari_ulm3d.networks.bubblenet_input import BubbleInput

        frames, *volume = SHAPE
        at_once = 1 if loaded.device == "cuda" else torch.get_num_threads()
        made = bubbles_in((2 * frames * at_once, *volume))
        given = BubbleInput(
            made.coordinates, 0.3 * made.values, made.values, made.shape, (3.0,) * 3
        )
        config = NetworkConfig(window_frames=frames, margin_frames=0, min_score=0.99, views=1)
        grid = Grid(made.shape[1:], (100.0,) * 3)

        def run(part: BubbleInput) -> None:
            localize_network(
                loaded.network,  # type: ignore[arg-type]
                part,
                grid,
                100.0,
                100.0,
                config,
                device=loaded.device,
                stop=stop,
            )

        run(given.window(0, frames))  # warm up
        seconds = quickest(lambda: run(given), loaded.device)
        network: Any = loaded.network
        return Rate(len(made) / seconds, at_once, context_frames=network.config.context_frames)

    def localize(
        self,
        block: Block,
        filtered: FilteredBlock,
        plan: BlockPlan,
        stop: Callable[[], bool],
        progress: Callable[[float], None] | None = None,
    ) -> Found:
        """Localize the bubbles; there are no counts of rejected ones."""
        from napari_ulm3d.localize.network import localize_network
        from napari_ulm3d.networks.bubblenet_input import bubble_input, noise_level

        acquisition, psf, frames = plan.acquisition, plan.psf, filtered.frames
        device = resolve_device(plan.config.device)
        loaded = load_weights(plan.weights[0].path, self.architectures, device)
        kept = kept_voxels(block, filtered, plan, stop)
        given = bubble_input(
            frames,
            kept,
            fwhm_voxels=psf.fwhm_voxels,
            carrier_rad=psf.carrier_rad,
            level=noise_level(frames, filtered.valid),
        )
        pieces: list[Piece] = []
        found = localize_network(
            loaded.network,  # type: ignore[arg-type]
            given,
            plan.grid,
            acquisition.rate_hz,
            acquisition.wavelength_um,
            plan.config.network.replace(min_score=_least_raw(plan)),
            device=device,
            stop=stop,
            progress=progress,
            told=pieces.append,
        )
        if refines(plan):
            found = refined(found, block, filtered, plan, stop, trust_sigma=True)
        else:
            curve = calibration_of(loaded.card.weights_sha256)
            score = curve.probability(found.table["score"].to_numpy())
            found = Localizations(found.table.assign(score=score.astype(np.float32)))
        return Found(found, kept_facts(kept) | _window_facts(pieces))


def _window_facts(pieces: list[Piece]) -> dict[str, float]:
    """How the block was divided: the longest window in frames, and the number of pieces."""
    longest = max((piece.n_frames for piece in pieces), default=0)
    return {"window_frames": float(longest), "pieces": float(len(pieces))}


LOCALIZER = _Bubbles()


def _least_raw(plan: BlockPlan) -> float:
    """The network's minimum score, before calibration.

    That with the minimum probability, which is as set, else from the weights; at most `_PROPOSAL_SCORE` with
    refinement.
    """
    card, least = plan.weights[0].card, plan.config.network.min_score
    wanted = _trained_score(card) if least is None else least
    raw = calibration_of(card.weights_sha256).score(wanted)
    return min(raw, _PROPOSAL_SCORE) if least is None and refines(plan) else raw


def _trained_score(card: WeightsCard) -> float:
    """Minimum score from the validation of the weights, else the default."""
    from napari_ulm3d.localize.network import DEFAULT_MIN_SCORE

    return float(np.clip(card.scores.get("min_score", DEFAULT_MIN_SCORE), 0, 1))
