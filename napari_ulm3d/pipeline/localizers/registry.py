"""Which localizers there are, by their words in the settings."""

from __future__ import annotations

from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.localize.subvoxel.registry import LOCALIZERS as SUBVOXEL
from napari_ulm3d.pipeline.localizers.bubbles import Bubbles
from napari_ulm3d.pipeline.localizers.conventional import Conventional
from napari_ulm3d.pipeline.localizers.protocol import BlockLocalizer, NetworkLocalizer
from napari_ulm3d.pipeline.localizers.trajectories import Trajectories

__all__ = ["LOCALIZERS", "localizer_of", "network_localizers"]

_ALL: tuple[BlockLocalizer, ...] = (*map(Conventional, SUBVOXEL), Bubbles(), Trajectories())

#: All of them by name, conventional ones first.
LOCALIZERS: dict[str, BlockLocalizer] = {localizer.name: localizer for localizer in _ALL}


def localizer_of(config: PipelineConfig) -> BlockLocalizer:
    """The localizer of the settings."""
    return LOCALIZERS[config.localize.localizer]


def network_localizers() -> dict[str, NetworkLocalizer]:
    """Those that are networks."""
    return {name: one for name, one in LOCALIZERS.items() if isinstance(one, NetworkLocalizer)}
