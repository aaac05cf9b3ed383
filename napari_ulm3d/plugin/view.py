"""Opening a results folder in the viewer."""

from __future__ import annotations

from os import PathLike
from typing import Any

from napari_ulm3d.plugin.jobs.run_series import outcome_of
from napari_ulm3d.plugin.layers.place import place
from napari_ulm3d.plugin.layers.vessel_view import show_vessel_map
from napari_ulm3d.plugin.state.saved_results import result_of_folder

__all__ = ["add_results", "show_results"]


def add_results(viewer: Any, folder: str | PathLike[str]) -> None:
    """Show a run in a napari viewer: its vessel map, with tracks and localizations hidden."""
    from napari_ulm3d.plugin.session import session_of

    outcome = outcome_of(result_of_folder(folder))
    for layer in outcome.layers:
        place(viewer, layer)
    session_of(viewer).reopen(outcome.result)
    show_vessel_map(viewer)


def show_results(folder: str | PathLike[str]) -> None:
    """Open napari on a results folder and stay until its window is closed."""
    import napari

    viewer = napari.Viewer(title=f"napari-ulm3d: {folder}")
    add_results(viewer, folder)
    napari.run()
