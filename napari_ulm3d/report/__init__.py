"""A run as one self-contained page for a browser or a printer."""

from __future__ import annotations

from napari_ulm3d.report.page import write_report

__all__ = ["write_report"]
