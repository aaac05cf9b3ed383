"""Networks of Rauby et al.: trajectory counts on a fine grid, without localizations."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from napari_ulm3d.acquisition import Acquisition, Block, Grid
from napari_ulm3d.config import NetworkConfig, PipelineConfig
from napari_ulm3d.device import resolve_device
from napari_ulm3d.filtering import FilteredBlock
from napari_ulm3d.networks.shipped import LoadedNetwork, load_weights
from napari_ulm3d.pipeline.localizers.network import NetworkBase, kept_facts, kept_voxels
from napari_ulm3d.pipeline.localizers.protocol import Found, Rate
from napari_ulm3d.pipeline.localizers.trial import bubbles_in, quickest
from napari_ulm3d.pipeline.plan import BlockPlan
from napari_ulm3d.tables import Localizations

__all__ = ["LOCALIZER"]

NAME = "trajectory"
SETTINGS = ("trajectory_score",)

_OWN_SETTINGS = {"trajectory_score", "precision"}


class _Trajectories(NetworkBase):
    name = NAME
    title = "trajectory network"
    architectures = ("SparseDeepSTULM", "DeepSTULM")

    def default_weights(self, *, flat: bool) -> str:
        """Separate networks for 2-D and 3-D."""
        return "sparse-2d-small" if flat else "sparse-3d-small"

    def settings(self, plan: BlockPlan) -> dict[str, Any]:
        """The few settings that affect the result."""
        return plan.config.network.model_dump(mode="json", include=_OWN_SETTINGS)

    def context_frames(self, acquisition: Acquisition, config: PipelineConfig) -> int:
        """One window, because the network pools over time."""
        from napari_ulm3d.localize.trajectory import window_of

        return window_of(self.weights(acquisition, config)[0].card)

    def memory_bytes(self, loaded: LoadedNetwork, n_kept: float, n_frames: int) -> float:
        """Assumes that bubbles stay in one voxel for a time step of the network."""
        from napari_ulm3d.networks.architecture import SparseDeepSTULMConfig
        from napari_ulm3d.networks.memory import stored_bytes, trajectory_bytes

        settings: Any = loaded.network.config
        a_frame = n_kept / n_frames
        if isinstance(settings, SparseDeepSTULMConfig):
            steps = -(-n_frames // settings.head_time_stride)
            return trajectory_bytes(settings, round(n_kept), round(a_frame * steps))
        # A dense network computes every voxel; what training stores is an upper bound.
        side = max(a_frame, 1.0) ** (1 / settings.space_axes)
        return float(stored_bytes(settings, (n_frames, *[round(side)] * settings.space_axes)))

    def rate(self, loaded: LoadedNetwork, stop: Callable[[], bool]) -> Rate:
        """Measured on windows of synthetic bubbles that do not move."""
        import torch

        from napari_ulm3d.localize.trajectory import count_trajectories, window_of
        from napari_ulm3d.networks.architecture import SparseDeepSTULMConfig

        settings: Any = loaded.network.config
        frames = window_of(loaded.card)
        at_once = 1 if loaded.device == "cuda" else torch.get_num_threads()
        volume = (64, 1, 64) if settings.space_axes == 2 else (16, 16, 16)
        made = bubbles_in((frames * at_once, *volume), still=True)
        grid = Grid(volume, (100.0,) * 3)

        def run() -> None:
            count_trajectories(
                loaded.network, made, grid, frames, NetworkConfig(), device=loaded.device, stop=stop
            )

        run()  # warm up
        seconds = quickest(run, loaded.device, times=1)
        sparse = isinstance(settings, SparseDeepSTULMConfig)
        n_voxels = len(made) if sparse else math.prod(made.shape)
        return Rate(n_voxels / seconds, at_once, frames, dense=not sparse)

    def localize(
        self,
        block: Block,
        filtered: FilteredBlock,
        plan: BlockPlan,
        stop: Callable[[], bool],
        progress: Callable[[float], None] | None = None,
    ) -> Found:
        """Compute the map of trajectories."""
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


LOCALIZER = _Trajectories()
