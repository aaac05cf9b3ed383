"""What a run tells a person to look at: before it begins, and at its end."""

from __future__ import annotations

from napari_ulm3d.pipeline.advice.after import Sample, shuffled_share, verdict
from napari_ulm3d.pipeline.advice.before import advice

__all__ = ["Sample", "advice", "shuffled_share", "verdict"]
