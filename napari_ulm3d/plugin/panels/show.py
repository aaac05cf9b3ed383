"""Opening one of the plugin's widgets from another, by its name in the menu."""

from __future__ import annotations

from typing import Any

from napari_ulm3d.plugin.jobs.compare import Source

__all__ = ["show_compare", "show_load"]

PLUGIN = "napari-ulm3d"
LOAD_NAME = "Load acquisition"
COMPARE_NAME = "Compare & measure"


def show_load(viewer: Any, paths: list[str]) -> None:
    """Open the Load widget on some paths."""
    _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, LOAD_NAME)
    dock.panel.set_paths(paths)


def show_compare(viewer: Any, first: Source, second: Source) -> None:
    """Open the Compare & measure widget on two results."""
    _, dock = viewer.window.add_plugin_dock_widget(PLUGIN, COMPARE_NAME)
    dock.panel.choose(first, second)
