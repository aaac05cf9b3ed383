"""The blocks of an acquisition as a table; clicking one goes to it."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_ulm3d.plugin.panels.panel import heading
from napari_ulm3d.plugin.session import Session

__all__ = ["BlocksTable"]

_MOST_BLOCKS = 2000


class BlocksTable(QWidget):
    """One row per block: number, frames and file.

    Attributes
    ----------
    table, title
        The widgets.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        self.title = heading("Blocks")
        column.addWidget(self.title)
        self.table = QTableWidget(0, 3)
        self.table.setHorizontalHeaderLabels(["Block", "Frames", "File"])
        self.table.setToolTip("Blocks of frames that are filtered together. Click one to go to it.")
        self.table.verticalHeader().hide()
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.horizontalHeader().setSectionResizeMode(2, QHeaderView.ResizeMode.Stretch)
        self.table.setMinimumHeight(110)
        self.table.setMaximumHeight(160)
        self.table.cellClicked.connect(self._go_to_block)
        column.addWidget(self.table)
        session.acquisition_changed.connect(self.refresh)
        session.config_changed.connect(self._on_config)
        self.refresh()

    def _on_config(self, section: str) -> None:
        if section == "load":
            self.refresh()

    def refresh(self) -> None:
        """Show the blocks of the open acquisition."""
        acquisition = self._session.acquisition
        self.setVisible(acquisition is not None)
        if acquisition is None:
            return
        blocks = acquisition.blocks(self._session.config.load.block_frames)
        self.title.setText(
            f"Blocks of {acquisition.name}: {len(blocks)}, {acquisition.n_frames} frames, "
            f"{acquisition.duration_s:.2f} s"
        )
        self.table.setRowCount(min(len(blocks), _MOST_BLOCKS))
        for row, block in enumerate(blocks[:_MOST_BLOCKS]):
            last = block.first_frame + block.n_frames - 1
            cells = (str(block.index), f"{block.first_frame}-{last}", Path(block.source.name).name)
            for column, text in enumerate(cells):
                self.table.setItem(row, column, QTableWidgetItem(text))
        self.table.resizeColumnToContents(0)
        self.table.resizeColumnToContents(1)

    def _go_to_block(self, row: int, column: int) -> None:
        acquisition, viewer = self._session.acquisition, self._session.viewer
        if acquisition is None or viewer.dims.ndim < 4:
            return
        block = acquisition.blocks(self._session.config.load.block_frames)[row]
        viewer.dims.set_point(0, block.first_frame / acquisition.rate_hz)
