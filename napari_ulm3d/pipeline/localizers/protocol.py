"""Interface of a localizer of blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from napari_ulm3d.acquisition import Acquisition, Block
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.filtering import FilteredBlock
from napari_ulm3d.networks.shipped import LoadedNetwork
from napari_ulm3d.pipeline.plan import BlockPlan, UsedWeights
from napari_ulm3d.tables import Localizations
from napari_ulm3d.volumes import VesselMap

__all__ = ["BlockLocalizer", "Found", "NetworkLocalizer", "Rate"]


@dataclass(frozen=True)
class Found:
    """Result of a localizer for a block.

    Attributes
    ----------
    localizations
        The bubbles; empty for a network that draws a map.
    facts
        Numbers for the record of the block.
    trajectory
        Trajectory counts per voxel, from a network that draws a map.
    """

    localizations: Localizations
    facts: dict[str, float] = field(default_factory=dict)
    trajectory: VesselMap | None = None


@dataclass(frozen=True)
class Rate:
    """Speed of a network on a device.

    Attributes
    ----------
    voxels_per_s
        Kept voxels per second, over all concurrent windows.
    at_once
        Number of concurrent windows.
    window_frames
        Frames per window if fixed by the network; None: by the settings.
    dense
        Whether it computes every voxel, kept or not.
    context_frames
        Frames before and after that it uses if the settings give no margin.
    """

    voxels_per_s: float
    at_once: int = 1
    window_frames: int | None = None
    dense: bool = False
    context_frames: int = 0


class BlockLocalizer(Protocol):
    """Finds the bubbles of one filtered block."""

    @property
    def name(self) -> str:
        """Its name in the settings (`localize.localizer`)."""
        ...

    @property
    def sections(self) -> tuple[str, ...]:
        """Whole sections of the settings on which its result depends, besides `key_facts`."""
        ...

    def weights(self, acquisition: Acquisition, config: PipelineConfig) -> tuple[UsedWeights, ...]:
        """The weights files that it uses, its own first.

        Raises
        ------
        ConfigError, InputError
            A file is missing or contains another network.
        """
        ...

    def key_facts(self, plan: BlockPlan) -> tuple[str, ...]:
        """Further dependencies of its result, as lines for the hash under which a block is stored."""
        ...

    def context_frames(self, acquisition: Acquisition, config: PipelineConfig) -> int:
        """Number of frames before and after a frame that affect its result."""
        ...

    def advice(self, acquisition: Acquisition, config: PipelineConfig) -> list[str]:
        """Settings that do not suit it, one sentence each."""
        ...

    def localize(
        self,
        block: Block,
        filtered: FilteredBlock,
        plan: BlockPlan,
        stop: Callable[[], bool],
        progress: Callable[[float], None] | None = None,
    ) -> Found:
        """Localize the bubbles of one block, holding nothing larger than the block.

        Parameters
        ----------
        filtered
            The block after the clutter filter. Must not be modified.
        stop
            Called often; a true result cancels.
        progress
            Called with the share of the block that is done.

        Raises
        ------
        Cancelled
            `stop` returned true.
        UlmError
            A setting or the weights are invalid, or memory is insufficient.
        """
        ...


@runtime_checkable
class NetworkLocalizer(BlockLocalizer, Protocol):
    """A localizer that is a network."""

    @property
    def title(self) -> str:
        """Kind of network for display, such as "bubble network"."""
        ...

    @property
    def architectures(self) -> tuple[str, ...]:
        """Names in `networks.registry.ARCHITECTURES` that it can run."""
        ...

    def default_weights(self, *, flat: bool) -> str:
        """Name of the shipped weights for volumes, or for 2-D acquisitions (`flat`)."""
        ...

    def memory_bytes(self, loaded: LoadedNetwork, n_kept: float, n_frames: int) -> float:
        """Peak memory of a prediction for a window of this many kept voxels and frames."""
        ...

    def rate(self, loaded: LoadedNetwork, stop: Callable[[], bool]) -> Rate:
        """Measure its speed on the device where it was loaded; takes some seconds.

        Raises
        ------
        Cancelled
            `stop` returned true.
        """
        ...
