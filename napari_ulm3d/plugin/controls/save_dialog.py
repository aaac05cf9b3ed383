"""The save dialog: suggests a name for what is saved and uses the suffix as typed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QMessageBox, QWidget

__all__ = ["ask_where_to_save"]


def ask_where_to_save(
    parent: QWidget, title: str, name: str, suffixes: Sequence[str], folder: str = ""
) -> str | None:
    """Ask for a file to write; an existing one is replaced only if the user agrees.

    Parameters
    ----------
    title
        Title of the dialog.
    name
        Suggested file name, without its suffix.
    suffixes
        Formats to choose from, the usual one first. A typed suffix overrides the one
        chosen in the list, even if it is not in the list; the writer of the file then reports
        an unsupported format.
    folder
        Initial folder; empty: the current folder.

    Returns
    -------
    The path, with a suffix; None if the user cancelled.
    """
    filters = [f"{suffix[1:]} (*{suffix})" for suffix in suffixes]
    start = str(Path(folder) / f"{name}{suffixes[0]}")
    typed, chosen = QFileDialog.getSaveFileName(parent, title, start, ";;".join(filters))
    if not typed:
        return None
    # "mouse 1.5" is a name without a suffix.
    if re.search(r"\.[A-Za-z]\w*$", Path(typed).name):
        return str(typed)
    place = filters.index(chosen) if chosen in filters else 0
    path = Path(f"{typed}{suffixes[place]}")
    if path.exists():  # the dialog asked about the name without this suffix
        answer = QMessageBox.question(parent, title, f"{path} already exists. Replace it?")
        if answer != QMessageBox.StandardButton.Yes:
            return None
    return str(path)
