"""What a run tells a person to look at: before it begins, and at its end."""

from __future__ import annotations

from napari_ulm3d.pipeline.advice.after import verdict
from napari_ulm3d.pipeline.advice.before import advice

__all__ = ["advice", "verdict"]
