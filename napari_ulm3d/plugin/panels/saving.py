"""Saving and opening a session, from the menu and from buttons."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from qtpy.QtWidgets import QFileDialog, QWidget

from napari_ulm3d.errors import UlmError
from napari_ulm3d.io.session_file import SESSION_SUFFIX, write_session
from napari_ulm3d.plugin.controls.save_dialog import ask_where_to_save
from napari_ulm3d.plugin.napari_private import main_window
from napari_ulm3d.plugin.notices import show_error, show_info, show_warning
from napari_ulm3d.plugin.panels.panel import button
from napari_ulm3d.plugin.saved_session.gather import gather
from napari_ulm3d.plugin.saved_session.restore import restore_session
from napari_ulm3d.plugin.session import session_of

if TYPE_CHECKING:
    import napari

    from napari_ulm3d.plugin.session import Session

__all__ = ["open_session", "save_button", "save_session"]

_SAVE = (
    "Save layers, appearance, settings, filters, drawn regions and view as a small text file. A "
    "session in a results folder is restored when the folder is opened."
)


def save_session(viewer: napari.Viewer) -> None:
    """Save layers, appearance, settings, filters, regions and view as a session file."""
    session = session_of(viewer)
    path = ask_where_to_save(
        main_window(viewer), "Save session", "session", [SESSION_SUFFIX], _folder(session)
    )
    if path is None:
        return
    try:
        saved, lost = gather(session, Path(path))
        write_session(saved, path)
    except UlmError as error:
        show_error(str(error))
        return
    if lost:
        show_warning(f"Saved {path}, without {'; '.join(lost)}.")
    else:
        show_info(f"Saved {path}.")


def open_session(viewer: napari.Viewer) -> None:
    """Choose a session file and restore it."""
    session = session_of(viewer)
    path, _ = QFileDialog.getOpenFileName(
        main_window(viewer), "Open session", _folder(session), f"*{SESSION_SUFFIX}"
    )
    if path:
        restore_session(session, Path(path))


def save_button(session: Session) -> QWidget:
    """A button that saves the session."""
    return button("Save session…", _SAVE, lambda: save_session(session.viewer))


def _folder(session: Any) -> str:
    """Default place of a session file: the results folder, or else beside the frames."""
    if session.result is not None and session.result.folder is not None:
        return str(session.result.folder)
    return str(Path(session.files[0]).parent) if session.files else ""
