"""Opening a results folder in the viewer."""

from __future__ import annotations

from os import PathLike
from typing import Any

from napari_ulm3d.io.results import ResultsFolder
from napari_ulm3d.plugin.layers.convert import map_layer, tracks_layer
from napari_ulm3d.plugin.layers.place import make_layer, place

__all__ = ["add_results", "show_results"]


def add_results(viewer: Any, folder: str | PathLike[str]) -> None:
    """Add a run's density map and tracks to a napari viewer, in 3-D, with a scale bar."""
    results = ResultsFolder.open(folder)
    # A run of the trajectory network has a volume of its own, and no tracks.
    tracks = results.tracks()
    name = "density" if len(tracks) or "trajectory" not in results.map_names() else "trajectory"
    place(viewer, make_layer(map_layer(results.map(name)), "map"))
    if len(tracks):
        place(viewer, make_layer(tracks_layer(tracks), "tracks"))
    viewer.dims.ndisplay = 3
    viewer.canvas.overlays.scale_bar.visible = True


def show_results(folder: str | PathLike[str]) -> None:
    """Open napari on a results folder and stay until its window is closed."""
    import napari

    viewer = napari.Viewer(title=f"napari-ulm3d: {folder}")
    add_results(viewer, folder)
    napari.run()
