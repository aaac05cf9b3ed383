"""Opening one of the plugin's widgets from another, by its name in the menu."""

from __future__ import annotations

from typing import Any

from napari_ulm3d.plugin.jobs.compare import Source
from napari_ulm3d.plugin.tabs import open_panel

__all__ = ["show_compare", "show_load"]

LOAD_NAME = "Load acquisition"
COMPARE_NAME = "Compare & measure"


def show_load(viewer: Any, paths: list[str]) -> None:
    """Open the Load widget on some paths."""
    open_panel(viewer, LOAD_NAME).set_paths(paths)


def show_compare(viewer: Any, first: Source, second: Source) -> None:
    """Open the Compare & measure widget on two results."""
    open_panel(viewer, COMPARE_NAME).choose(first, second)
