"""The networks of Rauby et al.: counts of trajectories on a fine grid, and no localizations."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from napari_ulm3d.acquisition import Acquisition, Block
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.device import resolve_device
from napari_ulm3d.filtering import FilteredBlock
from napari_ulm3d.networks.shipped import LoadedNetwork, load_weights
from napari_ulm3d.pipeline.localizers.kept import (
    advice_on_input,
    kept_facts,
    kept_voxels,
    network_key,
    network_weights,
)
from napari_ulm3d.pipeline.localizers.protocol import Found
from napari_ulm3d.pipeline.plan import BlockPlan, UsedWeights
from napari_ulm3d.tables import Localizations

__all__ = ["Trajectories"]

_OWN_SETTINGS = {"trajectory_score", "precision"}


@dataclass(frozen=True)
class Trajectories:
    """The localizer ``trajectory``."""

    name: str = "trajectory"
    sections: tuple[str, ...] = ()
    measures_widths: bool = True
    architectures: tuple[str, ...] = ("SparseDeepSTULM", "DeepSTULM")

    def default_weights(self, *, flat: bool) -> str:
        """A network for 2-D, another for 3-D."""
        return "sparse-2d-small" if flat else "sparse-3d-small"

    def weights(self, acquisition: Acquisition, config: PipelineConfig) -> tuple[UsedWeights, ...]:
        """The network's."""
        return network_weights(self, acquisition, config)

    def key_facts(self, plan: BlockPlan) -> tuple[str, ...]:
        """Its settings."""
        settings = plan.config.network.model_dump(mode="json", include=_OWN_SETTINGS)
        return network_key(self.name, settings, plan)

    def context_frames(self, acquisition: Acquisition, config: PipelineConfig) -> int:
        """A window of its own, since it pools time."""
        from napari_ulm3d.localize.trajectory import window_of

        return window_of(self.weights(acquisition, config)[0].card)

    def advice(self, acquisition: Acquisition, config: PipelineConfig) -> list[str]:
        """What would keep bubbles from it."""
        return advice_on_input(acquisition, config)

    def memory_bytes(self, loaded: LoadedNetwork, n_kept: float, n_frames: int) -> float:
        """Of bubbles that stay in a voxel for a time step of the network."""
        from napari_ulm3d.networks.architecture import SparseDeepSTULMConfig
        from napari_ulm3d.networks.memory import stored_bytes, trajectory_bytes

        settings: Any = loaded.network.config
        a_frame = n_kept / n_frames
        if isinstance(settings, SparseDeepSTULMConfig):
            steps = -(-n_frames // settings.head_time_stride)
            return trajectory_bytes(settings, round(n_kept), round(a_frame * steps))
        # A dense network has no zeros to leave out; what training stores is more than it needs.
        side = max(a_frame, 1.0) ** (1 / settings.space_axes)
        return float(stored_bytes(settings, (n_frames, *[round(side)] * settings.space_axes)))

    def localize(
        self,
        block: Block,
        filtered: FilteredBlock,
        plan: BlockPlan,
        stop: Callable[[], bool],
        progress: Callable[[float], None] | None = None,
    ) -> Found:
        """A map of trajectories."""
        from napari_ulm3d.localize.trajectory import count_trajectories, window_of

        device = resolve_device(plan.config.device)
        loaded = load_weights(plan.weights[0].path, self.architectures, device)
        kept = kept_voxels(block, filtered, plan, stop)
        trajectory = count_trajectories(
            loaded.network,
            kept,
            plan.grid,
            window_of(loaded.card),
            plan.config.network,
            device=device,
            stop=stop,
            progress=progress,
        )
        return Found(Localizations.empty(), kept_facts(kept), trajectory)
