"""What localizes a block: conventional localizers and networks, a file each.

`protocol` says what a localizer must tell and do, `registry` which there are. Nothing else
in the program asks which localizer it deals with.
"""

from __future__ import annotations

from napari_ulm3d.pipeline.localizers.protocol import BlockLocalizer, Found, NetworkLocalizer
from napari_ulm3d.pipeline.localizers.registry import LOCALIZERS, localizer_of, network_localizers

__all__ = [
    "LOCALIZERS",
    "BlockLocalizer",
    "Found",
    "NetworkLocalizer",
    "localizer_of",
    "network_localizers",
]
