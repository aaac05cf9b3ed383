"""Log: messages and errors of the package, with details."""

from __future__ import annotations

import logging

from qtpy.QtCore import Qt
from qtpy.QtGui import QColor, QFontDatabase
from qtpy.QtWidgets import (
    QAbstractItemView,
    QApplication,
    QComboBox,
    QListWidget,
    QListWidgetItem,
    QPlainTextEdit,
)

from napari_ulm3d.plugin.panels.panel import Panel, button
from napari_ulm3d.plugin.state.logbook import LogLine

__all__ = ["LogPanel"]

_LEVELS = {"Everything": logging.INFO, "Warnings and errors": logging.WARNING}
_COLOURS = {logging.WARNING: "#ffb454", logging.ERROR: "#ff7b72", logging.CRITICAL: "#ff7b72"}
_MOST_SEEN = 2000
_LINE = Qt.ItemDataRole.UserRole


class LogPanel(Panel):
    """The lines of the log, newest last, with the details of the selected one."""

    title = "Log"

    def build(self) -> None:
        self.level = QComboBox()
        self.level.addItems(list(_LEVELS))
        self.level.setToolTip("Choose which messages to show.")
        self.level.currentIndexChanged.connect(self._show_all)
        self.copy_button = button(
            "Copy", "Copy the selected messages, or all of them, with their details.", self._copy
        )
        self.clear_button = button("Clear", "Delete all messages.", self._clear)
        self.row(self.level, self.copy_button, self.clear_button)
        self.lines = QListWidget()
        self.lines.setToolTip("Click a message to see its details.")
        self.lines.setWordWrap(True)
        self.lines.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.lines.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.lines.setMinimumHeight(220)
        self.lines.itemSelectionChanged.connect(self._show_details)
        self.column.addWidget(self.lines, 1)
        self.details = QPlainTextEdit()
        self.details.setReadOnly(True)
        self.details.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.details.setToolTip(
            "Where in the program it happened; include this when you report it."
        )
        self.details.setMinimumHeight(140)
        self.details.hide()
        self.column.addWidget(self.details)
        self.session.logbook.added.connect(self._on_added)
        self._show_all()

    # --- lines ----------------------------------------------------------------------------------

    def _on_added(self, line: LogLine) -> None:
        bar = self.lines.verticalScrollBar()
        at_end = bar.value() >= bar.maximum() - 4
        self._append(line)
        while self.lines.count() > _MOST_SEEN:
            self.lines.takeItem(0)
        if at_end:
            self.lines.scrollToBottom()

    def _append(self, line: LogLine) -> None:
        if line.level < _LEVELS[self.level.currentText()]:
            return
        more = "  (details)" if line.details else ""
        item = QListWidgetItem(f"{line.time}  {line.text}{more}")
        item.setData(_LINE, line)
        item.setToolTip(line.kind.lower())
        if line.level in _COLOURS:
            item.setForeground(QColor(_COLOURS[line.level]))
        self.lines.addItem(item)

    def _show_all(self) -> None:
        self.lines.clear()
        for line in self.session.logbook.lines():
            self._append(line)
        self.lines.scrollToBottom()
        self._show_details()

    def _chosen(self) -> list[LogLine]:
        items = sorted(self.lines.selectedItems(), key=self.lines.row)
        return [item.data(_LINE) for item in items]

    def _show_details(self) -> None:
        details = [line.details for line in self._chosen() if line.details]
        self.details.setPlainText("\n".join(details))
        self.details.setVisible(bool(details))

    def _copy(self) -> None:
        shown = [self.lines.item(k).data(_LINE) for k in range(self.lines.count())]
        text = "\n".join(str(line) for line in self._chosen() or shown)
        QApplication.clipboard().setText(text)

    def _clear(self) -> None:
        self.session.logbook.clear()
        self._show_all()
