"""What localizes a block: conventional localizers and networks.

`protocol` says what a localizer must tell and do, `registry` finds it by its name. Nothing else
in the program asks which localizer it deals with.
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
