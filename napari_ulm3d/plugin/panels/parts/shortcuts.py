"""Keyboard shortcuts: a list with a button for each."""

from __future__ import annotations

from qtpy.QtWidgets import QGridLayout, QLabel

from napari_ulm3d.plugin.keys import SHORTCUTS
from napari_ulm3d.plugin.panels.panel import Panel, button, note

__all__ = ["ShortcutsPanel"]


class ShortcutsPanel(Panel):
    """A list of the plugin's keys."""

    title = "Keyboard shortcuts"

    def build(self) -> None:
        self.column.addWidget(
            note("These keys work anywhere in the window once a ULM 3D widget is open.")
        )
        grid = QGridLayout()
        for row, shortcut in enumerate(SHORTCUTS):
            tooltip = (shortcut.act.__doc__ or "").strip()
            act = shortcut.act
            grid.addWidget(QLabel(f"<b>{shortcut.keys}</b>"), row, 0)
            grid.addWidget(
                button(shortcut.label, tooltip, lambda act=act: act(self.viewer)), row, 1
            )
        self.column.addLayout(grid)
        self.column.addWidget(
            note("In the widgets, <b>Ctrl+Z</b> undoes and <b>Ctrl+Shift+Z</b> redoes.")
        )
