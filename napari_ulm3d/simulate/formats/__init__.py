"""Simulated acquisitions as laboratories store theirs: one file a layout."""

from __future__ import annotations

from napari_ulm3d.simulate.formats.write import FORMATS, write_simulation

__all__ = ["FORMATS", "write_simulation"]
