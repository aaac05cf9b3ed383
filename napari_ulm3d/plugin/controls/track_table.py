"""A sortable table of tracks, a row each, for any number of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from qtpy.QtCore import QAbstractTableModel, QItemSelectionModel, Qt, Signal
from qtpy.QtWidgets import QAbstractItemView, QTableView

from napari_ulm3d.tables import Tracks

__all__ = ["TrackTable", "table_of_tracks"]

_NAMES = {
    "frames": "Frames",
    "first": "First",
    "length": "Length (um)",
    "speed": "Speed (mm/s)",
    "score": "Score",
    "depth": "Depth (um)",
    "verified": "Verified",
}


def table_of_tracks(tracks: Tracks) -> pd.DataFrame:
    """One row a track, by `track_id`: frames, first frame, length, mean speed, score, depth."""
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
        return 1 + len(_NAMES)

    def headerData(self, section: int, way: Any, role: int = 0) -> Any:
        if role != Qt.ItemDataRole.DisplayRole or way != Qt.Orientation.Horizontal:
            return None
        return "Track" if section == 0 else list(_NAMES.values())[section - 1]

    def data(self, index: Any, role: int = 0) -> Any:
        if role != Qt.ItemDataRole.DisplayRole:
            return None
        if index.column() == 0:
            return str(self.rows.index[index.row()])
        value = self.rows.iat[index.row(), index.column() - 1]
        if list(_NAMES)[index.column() - 1] == "verified":
            return "yes" if value else ""
        return f"{value:.4g}" if isinstance(value, float | np.floating) else f"{value:,}"

    def sort(self, column: int, order: Any = Qt.SortOrder.AscendingOrder) -> None:
        up = order == Qt.SortOrder.AscendingOrder
        if column == 0:
            self.show(self.rows.sort_index(ascending=up))
        elif column > 0:
            name = list(_NAMES)[column - 1]
            self.show(self.rows.sort_values(name, ascending=up, kind="stable"))


class TrackTable(QTableView):
    """Tracks by their numbers; a click on a head sorts.

    Signals
    -------
    chosen_changed()
        A person selected others.
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
        self.setMinimumHeight(200)
        self.selectionModel().selectionChanged.connect(lambda *_: self.chosen_changed.emit())

    @property
    def chosen(self) -> tuple[int, ...]:
        """The numbers of the selected tracks, in the table's order."""
        rows = sorted(index.row() for index in self.selectionModel().selectedRows())
        return tuple(int(self._rows.rows.index[row]) for row in rows)

    def show_tracks(self, tracks: Tracks) -> None:
        """Show these; what was selected stays selected where it is still there."""
        before = self.chosen
        self._rows.show(table_of_tracks(tracks))
        header = self.horizontalHeader()
        self._rows.sort(header.sortIndicatorSection(), header.sortIndicatorOrder())
        self.choose(before)

    def choose(self, numbers: tuple[int, ...]) -> None:
        """Select tracks by their numbers, and scroll to the first."""
        model = self.selectionModel()
        model.blockSignals(True)
        model.clearSelection()
        places = self._rows.rows.index.get_indexer(list(numbers))
        for row in places[places >= 0]:
            flags = QItemSelectionModel.SelectionFlag
            model.select(self._rows.index(int(row), 0), flags.Select | flags.Rows)
        model.blockSignals(False)
        if (places >= 0).any():
            self.scrollTo(self._rows.index(int(places[places >= 0][0]), 0))
        self.viewport().update()
        self.chosen_changed.emit()
