"""Localizers of blocks: conventional ones and networks.

`protocol` defines the interface, and `registry` finds a localizer by name. No other code depends
on the choice of localizer.
"""

from __future__ import annotations

from napari_ulm3d.pipeline.localizers.cost import Cost, MeasuredNetwork, cost, measured_network
from napari_ulm3d.pipeline.localizers.network import NetworkBase
from napari_ulm3d.pipeline.localizers.protocol import BlockLocalizer, Found, NetworkLocalizer, Rate
from napari_ulm3d.pipeline.localizers.registry import localizer_of, network_named

__all__ = [
    "BlockLocalizer",
    "Cost",
    "Found",
    "MeasuredNetwork",
    "NetworkBase",
    "NetworkLocalizer",
    "Rate",
    "cost",
    "localizer_of",
    "measured_network",
    "network_named",
]
