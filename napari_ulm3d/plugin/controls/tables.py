"""Small read-only tables of names and numbers that can be copied."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QAbstractItemView, QHeaderView, QTableWidget, QTableWidgetItem

from napari_ulm3d.system.shown_units import in_display_units

__all__ = ["copy", "dress", "fill_table"]

_MOST_ROWS_SEEN = 14
_WIDEST = 112
_FITTED = "ulm3d_fitted"


def dress(table: QTableWidget, names: list[str]) -> None:
    """A read-only table without row numbers; the first column is the widest."""
    table.setHorizontalHeaderLabels(names)
    table.verticalHeader().hide()
    table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
    header = table.horizontalHeader()
    header.setMaximumSectionSize(_WIDEST)
    header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
    header.setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
    table.setTextElideMode(Qt.TextElideMode.ElideMiddle)
    table.hide()


def fill_table(table: QTableWidget, rows: Sequence[Sequence[str]]) -> None:
    """Show rows of text; the table grows with them up to a limit."""
    table.setRowCount(len(rows))
    for at, row in enumerate(rows):
        for column in range(table.columnCount()):
            text = in_display_units(row[column]) if column < len(row) else ""
            item = QTableWidgetItem(text)
            item.setToolTip(text)
            table.setItem(at, column, item)
    _fit_height(table)
    if not table.property(_FITTED):
        # Names that do not fit beside wide values wrap.
        table.setProperty(_FITTED, True)
        table.horizontalHeader().sectionResized.connect(lambda *_: _fit_height(table))


def _fit_height(table: QTableWidget) -> None:
    table.resizeRowsToContents()
    height = sum(table.rowHeight(k) for k in range(min(table.rowCount(), _MOST_ROWS_SEEN)))
    table.setFixedHeight(height + table.horizontalHeader().sizeHint().height() + 4)


def copy(table: QTableWidget) -> str:
    """The table as text, one line per row, tab-separated."""
    lines = []
    for row in range(table.rowCount()):
        cells = [table.item(row, column) for column in range(table.columnCount())]
        lines.append("\t".join(cell.text() if cell else "" for cell in cells))
    return "\n".join(lines)
