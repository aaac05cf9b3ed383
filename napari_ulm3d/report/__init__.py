"""Report of a run as one self-contained page for browser or printer."""

from __future__ import annotations

from napari_ulm3d.report.page import write_report

__all__ = ["write_report"]
