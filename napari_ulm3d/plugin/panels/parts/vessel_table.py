"""The vessels as a table that sorts and filters thousands of rows quickly."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from qtpy.QtCore import QAbstractTableModel, Qt

from napari_ulm3d.vasculature import VESSEL_COLUMNS, VesselGraph

__all__ = ["SHOWN", "VesselTable"]

#: Column, heading, decimals.
SHOWN: tuple[tuple[str, str, int], ...] = (
    ("vessel_id", "Vessel", 0),
    ("length_um", "Length\nµm", 0),
    ("diameter_um", "Diameter\nµm", 1),
    ("mean_speed_mm_s", "Speed\nmm/s", 2),
    ("flow_nl_min", "Flow\nnl/min", 2),
    ("tortuosity", "Tortuosity", 2),
    ("n_tracks", "Tracks", 0),
    ("peak_speed_mm_s", "Peak speed\nmm/s", 2),
    ("diameter_error_um", "Diameter\nerror µm", 1),
    ("flow_error_nl_min", "Flow error\nnl/min", 2),
    ("direction_agreement", "One way", 2),
    ("kind", "Kind", 0),
)

_RIGHT = int(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)


class VesselTable(QAbstractTableModel):
    """One row per vessel; Qt fetches only the visible rows, and numpy sorts.

    `order` maps displayed rows, from the top, to rows of the graph's table.
    """

    def __init__(self, parent: Any = None) -> None:
        super().__init__(parent)
        self._table = pd.DataFrame({name: [] for name, _, _ in SHOWN})
        self._columns: list[NDArray[Any]] = []
        self._kept = np.zeros(0, bool)
        self._sort = (0, Qt.SortOrder.AscendingOrder)
        self.order = np.zeros(0, np.int64)
        self._row_of = np.zeros(0, np.int64)

    # --- what it shows -------------------------------------------------------------------

    def show_graph(self, graph: VesselGraph | None) -> None:
        """Show other vessels."""
        self.beginResetModel()
        self._table = graph.table if graph is not None else self._table.iloc[:0]
        self._columns = [self._table[name].to_numpy() for name, _, _ in SHOWN]
        self._kept = np.ones(len(self._table), bool)
        self._put_in_order()
        self.endResetModel()

    @property
    def kept(self) -> NDArray[np.bool_]:
        """(vessels,) mask of the vessels that pass the filter."""
        return self._kept

    def filter(self, column: str, low: float | None, high: float | None, kind: str = "") -> None:
        """Keep vessels of a kind ("": all) whose column lies within limits; unknown values fail."""
        kept = np.ones(len(self._table), bool)
        if low is not None or high is not None:
            values = self._table[column].to_numpy(np.float64)
            at_least, at_most = -np.inf if low is None else low, np.inf if high is None else high
            kept = (values >= at_least) & (values <= at_most)
        if kind:
            kept = kept & (self._table["kind"] == kind).to_numpy()
        self.beginResetModel()
        self._kept = kept
        self._put_in_order()
        self.endResetModel()

    def row_of(self, place: int) -> int | None:
        """The displayed row of a vessel; None if it is filtered out."""
        row = int(self._row_of[place])
        return row if row >= 0 else None

    def _put_in_order(self) -> None:
        places = np.flatnonzero(self._kept)
        column, way = self._sort
        if len(places):
            values = self._columns[column][places]
            if values.dtype == object:
                order = np.argsort(values.astype(str), kind="stable")
                order = order if way == Qt.SortOrder.AscendingOrder else order[::-1]
            else:
                values = values.astype(np.float64)
                key = values if way == Qt.SortOrder.AscendingOrder else -values
                order = np.argsort(key, kind="stable")  # unknown values sort last in either order
            places = places[order]
        self.order = places
        self._row_of = np.full(len(self._table), -1)
        self._row_of[places] = np.arange(len(places))

    # --- as Qt asks -----------------------------------------------------------------------

    def rowCount(self, parent: Any = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(self.order)

    def columnCount(self, parent: Any = None) -> int:
        return 0 if parent is not None and parent.isValid() else len(SHOWN)

    def data(self, index: Any, role: int = Qt.ItemDataRole.DisplayRole) -> Any:
        if not index.isValid():
            return None
        if role == Qt.ItemDataRole.TextAlignmentRole:
            return _RIGHT if SHOWN[index.column()][0] != "kind" else None
        if role != Qt.ItemDataRole.DisplayRole:
            return None
        value = self._columns[index.column()][self.order[index.row()]]
        if isinstance(value, str):
            return value
        return "" if np.isnan(value) else f"{value:,.{SHOWN[index.column()][2]}f}"

    def headerData(
        self, section: int, orientation: Any, role: int = Qt.ItemDataRole.DisplayRole
    ) -> Any:
        if orientation != Qt.Orientation.Horizontal:
            return None
        name, heading, _ = SHOWN[section]
        if role == Qt.ItemDataRole.DisplayRole:
            return heading
        if role == Qt.ItemDataRole.ToolTipRole:
            return f"{name}: {VESSEL_COLUMNS[name]}"
        return None

    def sort(self, column: int, order: Any = Qt.SortOrder.AscendingOrder) -> None:
        """Sort by a column; the selection is kept."""
        self.layoutAboutToBeChanged.emit()
        before = self.persistentIndexList()
        places = [self.order[index.row()] for index in before]
        self._sort = (column, order)
        self._put_in_order()
        after = [
            self.index(int(self._row_of[place]), index.column())
            for place, index in zip(places, before, strict=True)
        ]
        self.changePersistentIndexList(before, after)
        self.layoutChanged.emit()
