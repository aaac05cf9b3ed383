"""A sortable table with one row per track, for any number of tracks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from qtpy.QtCore import QAbstractTableModel, QItemSelection, QItemSelectionModel, Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QTableView

from napari_ulm3d.tables import Tracks

__all__ = ["TrackTable", "table_of_tracks"]

_NAMES = {
    "frames": "Frames",
    "first": "First",
    "length": "Length\nµm",
    "speed": "Speed\nmm/s",
    "score": "Score",
    "depth": "Depth\nµm",
    "verified": "Verified",
}
_RIGHT = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
_NUMBER_PIXELS, _COLUMN_PIXELS = 68, 61


def table_of_tracks(tracks: Tracks) -> pd.DataFrame:
    """One row per track, by `track_id`: frames, first frame, length, mean speed, score, depth."""
    table = tracks.table
    if not len(table):
        return pd.DataFrame(columns=list(_NAMES))
    identity = table["track_id"].to_numpy()
    places = tracks.positions_um
    steps = np.linalg.norm(np.diff(places, axis=0, prepend=places[:1]), axis=1)
    steps[np.append(True, identity[1:] != identity[:-1])] = 0.0
    groups = table.assign(step_um=steps).groupby("track_id")
    found = groups.agg(
        frames=("frame", "size"),
        first=("frame", "min"),
        length=("step_um", "sum"),
        speed=("speed_mm_s", "mean"),
        score=("score", "mean"),
        depth=("z_um", "mean"),
    )
    verified = groups["verified"].any() if "verified" in table else False
    return found.assign(verified=verified)


class _Model(QAbstractTableModel):
    headers = ("Track", *_NAMES.values())

    def __init__(self) -> None:
        super().__init__()
        self.rows = pd.DataFrame(columns=list(_NAMES))

    def show(self, rows: pd.DataFrame) -> None:
        self.beginResetModel()
        self.rows = rows
        self.endResetModel()

    def rowCount(self, parent: Any = None) -> int:
        return len(self.rows)

    def columnCount(self, parent: Any = None) -> int:
        return len(self.headers)

    def headerData(self, section: int, way: Any, role: int = 0) -> Any:
        if role != Qt.ItemDataRole.DisplayRole or way != Qt.Orientation.Horizontal:
            return None
        return self.headers[section]

    def data(self, index: Any, role: int = 0) -> Any:
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _RIGHT
        if role != Qt.ItemDataRole.DisplayRole:
            return None
        if index.column() == 0:
            return str(self.rows.index[index.row()])
        value = self.rows.iat[index.row(), index.column() - 1]
        if list(_NAMES)[index.column() - 1] == "verified":
            return "yes" if value else ""
        return f"{value:.4g}" if isinstance(value, float | np.floating) else f"{value:,}"

    def sort(self, column: int, order: Any = Qt.SortOrder.AscendingOrder) -> None:
        self.show(in_order(self.rows, column, order))


def in_order(rows: pd.DataFrame, column: int, order: Any) -> pd.DataFrame:
    """Positions of the rows, ordered by the values of a column."""
    up = order == Qt.SortOrder.AscendingOrder
    if column <= 0:
        return rows.sort_index(ascending=up)
    return rows.sort_values(list(_NAMES)[column - 1], ascending=up, kind="stable")


class TrackTable(QTableView):
    """Tracks by number; clicking a heading sorts them.

    Signals
    -------
    chosen_changed()
        The user changed the selection.
    """

    chosen_changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._rows = _Model()
        self.setModel(self._rows)
        self.setSortingEnabled(True)
        self.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.verticalHeader().hide()
        self.horizontalHeader().setDefaultSectionSize(_COLUMN_PIXELS)
        self.setColumnWidth(0, _NUMBER_PIXELS)
        self.setMinimumHeight(200)
        self.selectionModel().selectionChanged.connect(lambda *_: self.chosen_changed.emit())
        # Sorting rebuilds all rows: the selection is kept.
        self._before: tuple[int, ...] = ()
        self._rows.modelAboutToBeReset.connect(self._on_leaving)
        self._rows.modelReset.connect(lambda: self.choose(self._before))

    def _on_leaving(self) -> None:
        self._before = self.chosen

    @property
    def chosen(self) -> tuple[int, ...]:
        """The numbers of the selected tracks, in the table's order."""
        selected = self.selectionModel().selection()
        parts = [selected.at(number) for number in range(selected.count())]
        ranges = [(part.top(), part.bottom() + 1) for part in parts]
        index = self._rows.rows.index
        return tuple(int(index[row]) for ends in sorted(ranges) for row in range(*ends))

    @property
    def rows(self) -> pd.DataFrame:
        """The tracks, as in `table_of_tracks`, in display order."""
        return self._rows.rows

    def show_tracks(self, tracks: Tracks) -> None:
        """Show these tracks; the selection is kept as far as its tracks are still there."""
        header = self.horizontalHeader()
        by = header.sortIndicatorSection(), header.sortIndicatorOrder()
        self._rows.show(in_order(table_of_tracks(tracks), *by))

    def choose(self, numbers: tuple[int, ...]) -> None:
        """Select tracks by their numbers, and scroll to the first."""
        places = self._rows.rows.index.get_indexer(list(numbers))
        rows = np.unique(places[places >= 0])
        # Adjacent rows form one range, so that thousands are selected at once.
        wanted, last = QItemSelection(), len(self._rows.headers) - 1
        if rows.size:
            breaks = np.flatnonzero(np.diff(rows) > 1) + 1
            for run in np.split(rows, breaks):
                top, bottom = int(run[0]), int(run[-1])
                wanted.select(self._rows.index(top, 0), self._rows.index(bottom, last))
        model = self.selectionModel()
        model.blockSignals(True)
        model.select(wanted, QItemSelectionModel.SelectionFlag.ClearAndSelect)
        model.blockSignals(False)
        if rows.size:
            first = int(places[places >= 0][0])
            self.scrollTo(self._rows.index(first, 0))
        self.viewport().update()
        self.chosen_changed.emit()
