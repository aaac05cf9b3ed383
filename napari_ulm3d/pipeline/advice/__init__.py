"""Advice to the user before and after a run."""

from __future__ import annotations

from napari_ulm3d.pipeline.advice.after import verdict
from napari_ulm3d.pipeline.advice.before import advice

__all__ = ["advice", "verdict"]
