"""Localizers by name: the sub-voxel ones, and the networks found by `config.methods.networks`."""

from __future__ import annotations

from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.config.methods.networks import network_entries
from napari_ulm3d.config.methods.subvoxel import subvoxel_modules
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.pipeline.localizers.conventional import Conventional
from napari_ulm3d.pipeline.localizers.protocol import BlockLocalizer, NetworkLocalizer

__all__ = ["localizer_of", "network_named"]


def localizer_of(config: PipelineConfig) -> BlockLocalizer:
    """The localizer of the settings.

    Raises
    ------
    ConfigError
        It belongs to another package and cannot be loaded.
    """
    name = config.localize.localizer
    return Conventional(name) if name in subvoxel_modules() else network_named(name)


def network_named(name: str) -> NetworkLocalizer:
    """Import a network by name.

    Raises
    ------
    ConfigError
        It cannot be loaded, or is not a localizer.
    """
    entry = network_entries()[name]
    found = entry.load()
    if not isinstance(found, NetworkLocalizer):
        raise ConfigError(
            f"{entry.module}:{entry.attribute} is not a NetworkLocalizer, as localizer {name} "
            "must be. Update or uninstall that package, or choose another localizer."
        )
    return found
