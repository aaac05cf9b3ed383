"""Writers of simulated acquisitions in the layouts of several laboratories."""

from __future__ import annotations

from napari_ulm3d.simulate.formats.write import FORMATS, write_simulation

__all__ = ["FORMATS", "write_simulation"]
