"""Opening a results folder in the viewer."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

from napari_ulm3d.io.session_file import SESSION_NAME
from napari_ulm3d.plugin.jobs.run_series import outcome_of
from napari_ulm3d.plugin.layers.place import place
from napari_ulm3d.plugin.layers.vessel_view import show_vessel_map
from napari_ulm3d.plugin.saved_session.restore import restore_session
from napari_ulm3d.plugin.state.saved_results import result_of_folder

__all__ = ["add_results", "show_results"]


def add_results(viewer: Any, folder: str | PathLike[str]) -> None:
    """Show a run in a napari viewer: its vessel map, with tracks and localizations hidden.

    If a session was saved in the folder, restore that instead.
    """
    from napari_ulm3d.plugin.session import session_of

    session_path = Path(folder) / SESSION_NAME
    if session_path.is_file():
        restore_session(session_of(viewer), session_path)
        return
    outcome = outcome_of(result_of_folder(folder))
    for layer in outcome.layers:
        place(viewer, layer)
    session_of(viewer).reopen(outcome.result)
    show_vessel_map(viewer)


def show_results(folder: str | PathLike[str]) -> None:
    """Open napari on a results folder and wait until its window is closed."""
    import napari

    viewer = napari.Viewer(title=f"napari-ulm3d: {folder}")
    add_results(viewer, folder)
    napari.run()
