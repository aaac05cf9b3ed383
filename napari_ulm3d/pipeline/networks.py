"""The networks of a run: which weights it uses, and what they do with a block."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Acquisition, Block
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.device import resolve_device
from napari_ulm3d.errors import Cancelled, InputError
from napari_ulm3d.filtering import FilteredBlock, Psf, correlation_map, power_doppler
from napari_ulm3d.io.results import BlockResult
from napari_ulm3d.networks.shipped import find_weights, load_weights, weights_facts
from napari_ulm3d.networks.weights import WeightsCard, read_card, weights_hash
from napari_ulm3d.sparse_frames import SparseFrames
from napari_ulm3d.sparsify import sparsify_block
from napari_ulm3d.tables import Localizations

__all__ = [
    "NETWORKS",
    "UsedWeights",
    "default_weights",
    "key_facts",
    "network_block",
    "used_weights",
]

log = logging.getLogger("napari_ulm3d")

#: Localizers that are networks, and the architectures that each can be.
NETWORKS: dict[str, tuple[str, ...]] = {
    "network": ("BubbleNet",),
    "trajectory": ("SparseDeepSTULM", "DeepSTULM"),
}

# A larger share of kept voxels than crowds of bubbles make, as tissue does.
_CROWDED = 0.25

# What of the settings a strategy of sparsification looks at.
_STRATEGY_SETTINGS: dict[str, set[str]] = {
    "threshold": {"threshold"},
    "topk": {"top_k"},
    "contrast": {"min_snr_db", "patch_voxels"},
    "learned": set(),
}


@dataclass(frozen=True)
class UsedWeights:
    """A weights file that a run uses.

    Attributes
    ----------
    role
        ``localizer`` or ``sparsify``.
    """

    role: str
    path: Path
    sha256: str
    card: WeightsCard

    def facts(self) -> dict[str, Any]:
        """What `run.toml` says of it."""
        facts = weights_facts(self.path, self.sha256, self.card)
        if self.card.architecture in NETWORKS["network"]:
            facts["min_score"] = _trained_score(self.card)
        return facts


def default_weights(localizer: str, acquisition: Acquisition) -> str:
    """Name of the shipped weights that a localizer takes for an acquisition."""
    if localizer == "network":
        return "bubblenet"
    return "sparse-2d-small" if acquisition.grid.shape[1] == 1 else "sparse-3d-small"


def used_weights(acquisition: Acquisition, config: PipelineConfig) -> tuple[UsedWeights, ...]:
    """The weights files that the settings ask for; none for conventional localizers.

    Raises
    ------
    ConfigError, InputError
        A file is not there, or holds another network.
    """
    localizer = config.localize.localizer
    if localizer not in NETWORKS:
        return ()
    wanted = [("localizer", _localizer_path(acquisition, config), NETWORKS[localizer])]
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


def key_facts(config: PipelineConfig, psf: Psf, used: tuple[UsedWeights, ...]) -> tuple[str, ...]:
    """What a block's result depends on besides the settings of reading, filter and PSF.

    One line for networks, to be hashed; nothing for conventional localizers.
    """
    if not used:
        return ()
    localizer = config.localize.localizer
    network = config.network.model_dump(mode="json")
    if localizer == "trajectory":
        network = {name: network[name] for name in ("trajectory_score", "precision")}
    else:
        network["min_score"] = _least_score(config, used[0].card)
        for name in ("weights", "memory_gb", "trajectory_score"):
            del network[name]
    strategy = config.sparsify.strategy
    facts = {
        "localizer": localizer,
        "network": network,
        "strategy": strategy,
        "sparsify": config.sparsify.model_dump(mode="json", include=_STRATEGY_SETTINGS[strategy]),
        "psf": [*psf.fwhm_voxels, psf.carrier_rad],
        "weights": [item.sha256 for item in used],
    }
    return (json.dumps(facts, sort_keys=True),)


def network_block(
    block: Block,
    acquisition: Acquisition,
    psf: Psf,
    config: PipelineConfig,
    stop: Callable[[], bool],
    filtered: FilteredBlock,
    chunks: list[tuple[int, int]],
    progress: Callable[[float], None] | None = None,
) -> BlockResult:
    """Bubbles or trajectories of one block by a network.

    Parameters
    ----------
    filtered
        The block after the clutter filter.
    chunks
        Ranges of frames that are correlated at a time; the whole map is never held.
    progress
        Told the share of the block's frames that the network is through with.

    Raises
    ------
    Cancelled
        `stop` said so.
    UlmError
        The weights cannot be used, or memory does not suffice.
    """
    frames = filtered.frames
    device = resolve_device(config.device)
    localizer = config.localize.localizer
    loaded = load_weights(_localizer_path(acquisition, config), NETWORKS[localizer], device)

    def maps() -> Iterator[NDArray[Any]]:
        for start, end in chunks:
            if stop():
                raise Cancelled("The run was stopped; finished blocks are kept.")
            yield correlation_map(frames[start:end], psf)

    kept = sparsify_block(maps(), config.sparsify, block.first_frame, device=config.device)
    _warn_about(kept, block)
    facts = {"kept_voxels": float(len(kept)), "kept_per_cent": 100 * kept.occupancy}
    options: dict[str, Any] = {"device": device, "stop": stop, "progress": progress}
    localizations, trajectory = Localizations.empty(), None
    if localizer == "trajectory":
        from napari_ulm3d.localize.trajectory import count_trajectories, window_of

        trajectory = count_trajectories(
            loaded.network,
            kept,
            acquisition.grid,
            window_of(loaded.network, loaded.card),
            config.network,
            **options,
        )
    else:
        localizations = _bubbles(frames, kept, acquisition, psf, config, loaded, options)
    return BlockResult(localizations, power_doppler(frames), block.n_frames, facts, trajectory)


def _warn_about(kept: SparseFrames, block: Block) -> None:
    """Say in the log what makes a network blind, or slow."""
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


def _bubbles(
    frames: NDArray[Any],
    kept: SparseFrames,
    acquisition: Acquisition,
    psf: Psf,
    config: PipelineConfig,
    loaded: Any,
    options: dict[str, Any],
) -> Localizations:
    from napari_ulm3d.localize.network import localize_network
    from napari_ulm3d.networks.bubblenet_input import bubble_input, noise_level

    given = bubble_input(
        frames,
        kept,
        fwhm_voxels=psf.fwhm_voxels,
        carrier_rad=psf.carrier_rad,
        level=noise_level(frames),
    )
    return localize_network(
        loaded.network,
        given,
        acquisition.grid,
        acquisition.rate_hz,
        acquisition.wavelength_um,
        config.network.replace(min_score=_least_score(config, loaded.card)),
        **options,
    )


def _localizer_path(acquisition: Acquisition, config: PipelineConfig) -> Path:
    default = default_weights(config.localize.localizer, acquisition)
    return find_weights(config.network.weights, default)


def _least_score(config: PipelineConfig, card: WeightsCard) -> float:
    """Of the settings, else as trained."""
    least = config.network.min_score
    return _trained_score(card) if least is None else least


def _trained_score(card: WeightsCard) -> float:
    """Of the weights' validation, else the default."""
    from napari_ulm3d.localize.network import DEFAULT_MIN_SCORE

    return float(np.clip(card.scores.get("min_score", DEFAULT_MIN_SCORE), 0, 1))
