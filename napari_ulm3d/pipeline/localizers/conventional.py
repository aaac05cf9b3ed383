"""Conventional localization: maxima and a sub-voxel localizer, frame by frame."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass

from napari_ulm3d.acquisition import Acquisition, Block
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.filtering import FilteredBlock
from napari_ulm3d.localize import Rejections, localize
from napari_ulm3d.pipeline.localizers.chunks import correlated_chunks
from napari_ulm3d.pipeline.localizers.protocol import Found
from napari_ulm3d.pipeline.localizers.refined import (
    refine_advice,
    refine_context,
    refine_key,
    refined,
)
from napari_ulm3d.pipeline.plan import BlockPlan, UsedWeights
from napari_ulm3d.tables import Localizations

__all__ = ["Conventional"]


@dataclass(frozen=True)
class Conventional:
    """A sub-voxel localizer, by name."""

    name: str
    sections: tuple[str, ...] = ("localize",)

    def weights(self, acquisition: Acquisition, config: PipelineConfig) -> tuple[UsedWeights, ...]:
        """None."""
        return ()

    def key_facts(self, plan: BlockPlan) -> tuple[str, ...]:
        """Those of the refinement, in addition to the section of settings."""
        return refine_key(plan)

    def context_frames(self, acquisition: Acquisition, config: PipelineConfig) -> int:
        """Those of the refinement: the fits of frames are independent of each other."""
        return refine_context(config)

    def advice(self, acquisition: Acquisition, config: PipelineConfig) -> list[str]:
        """Settings that have no effect."""
        said = refine_advice(acquisition, config)
        if config.network.weights is None:
            return said
        return [
            *said,
            (
                f"network.weights is set, but localize.localizer={self.name} uses no network. "
                "Choose --localizer network."
            ),
        ]

    def localize(
        self,
        block: Block,
        filtered: FilteredBlock,
        plan: BlockPlan,
        stop: Callable[[], bool],
        progress: Callable[[float], None] | None = None,
    ) -> Found:
        """Bubbles, and the number of rejected candidates by reason."""
        acquisition, frames = plan.acquisition, filtered.frames
        parts: list[Localizations] = []
        rejected = Rejections()
        for start, end, correlation in correlated_chunks(frames, plan.psf, stop):
            found = localize(
                frames[start:end],
                plan.grid,
                plan.config.localize,
                rate_hz=acquisition.rate_hz,
                first_frame=block.first_frame + start,
                correlation=correlation,
                valid=filtered.valid,
            )
            parts.append(found.localizations)
            rejected += found.rejections
            if progress is not None:
                progress(end / len(frames))
        counts = {f"rejected_{reason}": float(count) for reason, count in asdict(rejected).items()}
        together = refined(Localizations.concat(parts), block, filtered, plan, stop)
        return Found(together, counts)
