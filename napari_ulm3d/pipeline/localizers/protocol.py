"""What a localizer of blocks must tell of itself, and do."""

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
    """What a localizer found in a block.

    Attributes
    ----------
    localizations
        The bubbles; none for a network that draws a map.
    facts
        Numbers for the record of the block.
    trajectory
        Counts of trajectories a voxel, of a network that draws a map.
    """

    localizations: Localizations
    facts: dict[str, float] = field(default_factory=dict)
    trajectory: VesselMap | None = None


@dataclass(frozen=True)
class Rate:
    """How fast a network is on a device.

    Attributes
    ----------
    voxels_per_s
        Kept voxels a second, all windows that run at once together.
    at_once
        Windows that are computed at once.
    window_frames
        Frames of a window where the network has a length of its own; else the settings say it.
    dense
        Whether it computes every voxel, kept or not.
    context_frames
        How far it looks ahead and back where the settings do not say the margin of its windows.
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
        """Its word in the settings (`localize.localizer`)."""
        ...

    @property
    def sections(self) -> tuple[str, ...]:
        """Sections of the settings that its result depends on as a whole, beside `key_facts`."""
        ...

    def weights(self, acquisition: Acquisition, config: PipelineConfig) -> tuple[UsedWeights, ...]:
        """The weights files that it uses, its own first.

        Raises
        ------
        ConfigError, InputError
            A file is not there, or holds another network.
        """
        ...

    def key_facts(self, plan: BlockPlan) -> tuple[str, ...]:
        """What else its result depends on, as lines to be hashed: a block is kept under them."""
        ...

    def context_frames(self, acquisition: Acquisition, config: PipelineConfig) -> int:
        """Frames on either side of a frame that it looks at."""
        ...

    def advice(self, acquisition: Acquisition, config: PipelineConfig) -> list[str]:
        """Settings that do not suit it, a sentence each."""
        ...

    def localize(
        self,
        block: Block,
        filtered: FilteredBlock,
        plan: BlockPlan,
        stop: Callable[[], bool],
        progress: Callable[[float], None] | None = None,
    ) -> Found:
        """The bubbles of one block, holding nothing larger than the block.

        Parameters
        ----------
        filtered
            The block after the clutter filter. Not to be written to.
        stop
            Asked often.
        progress
            Told the share of the block that is done.

        Raises
        ------
        Cancelled
            `stop` said so.
        UlmError
            A setting, the weights or the memory do not allow it.
        """
        ...


@runtime_checkable
class NetworkLocalizer(BlockLocalizer, Protocol):
    """A localizer that is a network."""

    @property
    def title(self) -> str:
        """What kind of network it is, in words: "bubble network"."""
        ...

    @property
    def architectures(self) -> tuple[str, ...]:
        """Names of `networks.registry.ARCHITECTURES`, any of which it can run."""
        ...

    def default_weights(self, *, flat: bool) -> str:
        """Name of the shipped weights that it takes for volumes, or for 2-D acquisitions (`flat`)."""
        ...

    def memory_bytes(self, loaded: LoadedNetwork, n_kept: float, n_frames: int) -> float:
        """Memory at the peak of a prediction for a window of so many kept voxels and frames."""
        ...

    def rate(self, loaded: LoadedNetwork, stop: Callable[[], bool]) -> Rate:
        """Its speed where it was loaded, measured in some seconds.

        Raises
        ------
        Cancelled
            `stop` said so.
        """
        ...
