"""Vessels: measured from a map and listed in a table that is linked with the view."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtCore import QItemSelection, QItemSelectionModel, Qt, QTimer
from qtpy.QtWidgets import (
    QAbstractItemView,
    QComboBox,
    QHeaderView,
    QLineEdit,
    QProgressBar,
    QTableView,
)

from napari_ulm3d.errors import UlmError
from napari_ulm3d.plugin.controls.save_dialog import ask_where_to_save
from napari_ulm3d.plugin.jobs.job import Job, Problem
from napari_ulm3d.plugin.jobs.measure_vessels import Measured, measurable, measure_work
from napari_ulm3d.plugin.layers.convert import value_of
from napari_ulm3d.plugin.layers.place import ROLE, find_layer
from napari_ulm3d.plugin.layers.vessel_lines import (
    ROLE_OF_VESSELS,
    VesselLines,
    show_chosen,
    show_vessels,
)
from napari_ulm3d.plugin.panels.panel import Panel, button, note
from napari_ulm3d.plugin.panels.parts.vessel_picking import VesselPicking, name_vessels_of_tracks
from napari_ulm3d.plugin.panels.parts.vessel_table import SHOWN, VesselTable
from napari_ulm3d.vasculature import VesselGraph

__all__ = ["VesselsPanel"]

_COLOUR_FIRST = "diameter_um"
_REDRAW_MS = 120
_MOST_LIT = 200


class VesselsPanel(Panel):
    """The vessels with length, diameter, speed and flow, selectable in table and view."""

    title = "Vessels"

    def build(self) -> None:
        self._job = Job(self)
        self._job.progressed.connect(self._on_progress)
        self._job.finished.connect(self._on_measured)
        self._job.failed.connect(self._on_failed)
        self._job.stopped.connect(lambda: self.status.setText("Cancelled."))
        self._job.ended.connect(self._enable)
        self._sources: list[Any] = []
        self._folder = ""
        self.lines: VesselLines | None = None
        self._choosing()
        self._filtering()
        self._tabling()
        self._picking = VesselPicking(self.viewer, self._drawn, self.choose)
        self._redraw = QTimer(self)
        self._redraw.setSingleShot(True)
        self._redraw.setInterval(_REDRAW_MS)
        self._redraw.timeout.connect(self._draw)
        self.session.result_changed.connect(self._refresh)
        layers = self.viewer.layers.events
        for event in (layers.inserted, layers.removed):
            event.connect(self._refresh)
        self.destroyed.connect(self._picking.end)
        self._refresh()

    def _choosing(self) -> None:
        self.source = QComboBox()
        self.source.setToolTip(
            "The current result has tracks, which give diameters, speeds and flow; any other "
            "image or labels layer gives lengths and diameters from its voxels."
        )
        self.measure_button = button(
            "Measure", "Find the vessels and measure them, in the background.", self._measure
        )
        self.cancel_button = button("Cancel", "Stop measuring.", self._job.stop)
        self.row(self.source, self.measure_button, self.cancel_button)
        self.progress = QProgressBar()
        self.progress.setRange(0, 0)
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(6)
        self.column.addWidget(self.progress)
        self.status = note()
        self.column.addWidget(self.status)

    def _filtering(self) -> None:
        self.colour_by = QComboBox()
        self.colour_by.setToolTip("Column that sets the colours of the vessels.")
        self.filter_by = QComboBox()
        self.filter_by.setToolTip("Column to filter by the two limits.")
        for name, heading, _ in SHOWN[1:]:
            text = heading.replace("\n", " ")
            self.colour_by.addItem(f"Colour: {text}", name)
            if name != "kind":
                self.filter_by.addItem(text, name)
        self.colour_by.setCurrentIndex(self.colour_by.findData(_COLOUR_FIRST))
        self.low, self.high = QLineEdit(), QLineEdit()
        for box, text in ((self.low, "from"), (self.high, "to")):
            box.setPlaceholderText(text)
            box.setToolTip("Empty: no limit.")
            box.setFixedWidth(70)
            box.textChanged.connect(self._filter)
        self.kind = QComboBox()
        for text, value in (("All kinds", ""), ("Arteries", "artery"), ("Veins", "vein")):
            self.kind.addItem(text, value)
        self.kind.currentIndexChanged.connect(self._filter)
        self.filter_by.currentIndexChanged.connect(self._filter)
        self.colour_by.currentIndexChanged.connect(lambda *_: self._draw())
        self.row(self.filter_by, self.low, self.high)
        self.row(self.kind, self.colour_by)

    def _tabling(self) -> None:
        self.model = VesselTable(self)
        self.table = QTableView()
        self.table.setModel(self.model)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.table.setSortingEnabled(True)
        self.table.sortByColumn(1, Qt.SortOrder.DescendingOrder)
        self.table.setMinimumHeight(240)
        self.table.setToolTip("Click a row to highlight its vessel, a heading to sort.")
        rows = self.table.verticalHeader()
        rows.hide()
        # Automatic sizes would query every row.
        rows.setSectionResizeMode(QHeaderView.ResizeMode.Fixed)
        rows.setDefaultSectionSize(self.fontMetrics().height() + 6)
        self.table.horizontalHeader().setDefaultSectionSize(78)
        self.table.selectionModel().selectionChanged.connect(self._on_chosen)
        self.column.addWidget(self.table, 1)
        self.export_button = button(
            "Export…",
            "Save the vessels: .csv (with their junctions), .swc, .graphml, .vtp for ParaView.",
            self._export,
        )
        self.centre_button = button(
            "Go to vessel", "Centre the view on the selected vessels.", self._look_at_chosen
        )
        self.row(self.centre_button, self.export_button)

    # --- measuring --------------------------------------------------------------------------

    def _refresh(self, *_: Any) -> None:
        self._take_opened()
        found = measurable(self.viewer, self.session.shown)
        before = self.source.currentText()
        self._sources = [source for _, source in found]
        names = [name for name, _ in found]
        if names != [self.source.itemText(k) for k in range(self.source.count())]:
            self.source.clear()
            self.source.addItems(names)
            if before in names:
                self.source.setCurrentText(before)
        if not names and not self.status.text():
            self.status.setText("No vessel map yet: run Localize & track, or open a map or image.")
        self._enable()

    def _enable(self, *_: Any) -> None:
        running = self._job.running
        self.measure_button.setEnabled(bool(self._sources) and not running)
        self.cancel_button.setVisible(running)
        self.progress.setVisible(running)
        self.export_button.setEnabled(self.lines is not None)
        self.centre_button.setEnabled(bool(self.chosen))

    def _measure(self) -> None:
        at = self.source.currentIndex()
        if not 0 <= at < len(self._sources):
            return
        self.problem.say(None)
        self.status.setText("Measuring…")
        config = self.session.config.vessels
        self._job.start(measure_work(self._sources[at], self.session.shown, config, self._job.tell))
        self._enable()

    def _on_progress(self, step: str) -> None:
        self.status.setText(f"{step[:1].upper()}{step[1:]}…")

    def _on_failed(self, problem: Problem) -> None:
        self.status.setText("")
        self.problem.say(problem)

    def _take_opened(self) -> None:
        """List the vessels of a file that was opened."""
        newest = (
            la for la in reversed(self.viewer.layers) if la.metadata.get(ROLE) == ROLE_OF_VESSELS
        )
        layer = next(newest, None)
        graph = None if layer is None else value_of(layer, VesselGraph)
        if graph is not None and (self.lines is None or self.lines.graph is not graph):
            self._list(graph)

    def _list(self, graph: VesselGraph) -> None:
        self.lines = VesselLines.of(graph)
        self.model.show_graph(graph)
        self._filter()

    def _on_measured(self, measured: Measured) -> None:
        self._list(measured.graph)
        name_vessels_of_tracks(self.viewer, measured)
        self._draw()
        layer = find_layer(self.viewer, ROLE_OF_VESSELS)
        if layer is not None:
            self.viewer.layers.selection.active = layer

    # --- table and view -----------------------------------------------------------------------

    @property
    def chosen(self) -> list[int]:
        """Rows in the graph's table of the selected vessels."""
        rows = self.table.selectionModel().selectedRows()
        return [int(self.model.order[index.row()]) for index in rows]

    def choose(self, place: int | None, add: bool = False) -> None:
        """Select the row of a vessel and scroll to it; None clears the selection."""
        selection = self.table.selectionModel()
        row = None if place is None else self.model.row_of(place)
        if row is None:
            if not add:
                selection.clearSelection()
            return
        flags = QItemSelectionModel.SelectionFlag
        how = flags.Toggle if add else flags.ClearAndSelect
        first, last = self.model.index(row, 0), self.model.index(row, len(SHOWN) - 1)
        selection.select(QItemSelection(first, last), how)
        self.table.scrollTo(first)

    def _on_chosen(self, *_: Any) -> None:
        if self.lines is not None:
            active = self.viewer.layers.selection.active
            show_chosen(self.viewer, self.lines, self.chosen[:_MOST_LIT])
            if active is not None and active in self.viewer.layers:
                self.viewer.layers.selection.active = active
        self._enable()

    def _filter(self, *_: Any) -> None:
        chosen, low, high = self.chosen, _limit(self.low), _limit(self.high)
        self.model.filter(self.filter_by.currentData(), low, high, self.kind.currentData())
        for place in chosen:
            self.choose(place, add=True)
        n, every = len(self.model.order), len(self.model.kept)
        if every:
            length = 0.0
            if self.lines is not None:
                length = float(
                    self.lines.graph.table["length_um"].to_numpy()[self.model.order].sum()
                )
            noun = "vessel" if every == 1 else "vessels"
            shown = f"{n:,} {noun}" if n == every else f"{n:,} of {every:,} {noun}"
            self.status.setText(f"{shown}, {length / 1000:.2f} mm in total.")
        self._redraw.start()

    def _draw(self) -> None:
        if self.lines is not None:
            active = self.viewer.layers.selection.active
            show_vessels(self.viewer, self.lines, self.colour_by.currentData(), self.model.kept)
            if active is not None and active in self.viewer.layers:
                self.viewer.layers.selection.active = active

    def _drawn(self) -> tuple[VesselLines, np.ndarray] | None:
        """What can be clicked in the view; None if nothing is drawn."""
        layer = find_layer(self.viewer, ROLE_OF_VESSELS)
        if self.lines is None or layer is None or not layer.visible:
            return None
        return self.lines, self.model.kept

    def _look_at_chosen(self) -> None:
        if self.lines is None or not self.chosen:
            return
        pieces = np.isin(self.lines.owner, self.chosen)
        middle = (self.lines.start + self.lines.along / 2)[pieces].mean(axis=0)
        shown = [axis - (self.viewer.dims.ndim - 3) for axis in self.viewer.dims.displayed]
        hidden = {0, 1, 2} - set(shown)
        for axis in hidden:
            self.viewer.dims.set_point(axis + self.viewer.dims.ndim - 3, middle[axis])
        self.viewer.scene.camera.center = middle[shown]

    def _export(self) -> None:
        if self.lines is None:
            return
        from napari_ulm3d.vasculature.formats import SUFFIXES

        path = ask_where_to_save(self, "Vessels", "vessels", list(SUFFIXES), self._folder)
        if path is None:
            return
        self.problem.say(None)
        try:
            self.lines.graph.write(path)
        except UlmError as error:
            self.problem.say(str(error))
        else:
            self.status.setText(f"Wrote {path}")


def _limit(box: QLineEdit) -> float | None:
    """The number typed; invalid text is marked and sets no limit."""
    text = box.text().strip().replace(",", ".")
    try:
        number = float(text) if text else None
    except ValueError:
        number = None
    box.setStyleSheet("border: 1px solid #ff7b72;" if text and number is None else "")
    return number
