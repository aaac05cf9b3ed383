"""Importing a table from elsewhere: the user assigns its columns and units."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from napari.layers import Layer
from qtpy.QtWidgets import QComboBox, QDialog, QTableWidget, QVBoxLayout

from napari_ulm3d.io.formats.tables.mapping import (
    LENGTHS_UM,
    PIXELS,
    ROLES,
    TIMES_S,
    ColumnMap,
    read_mapped,
)
from napari_ulm3d.io.formats.tables.spreadsheet import first_rows, guess_role, raw_header
from napari_ulm3d.plugin.controls.rows import form, number, side_by_side
from napari_ulm3d.plugin.controls.tables import dress, fill_table
from napari_ulm3d.plugin.jobs.job import Job, Stop, waits
from napari_ulm3d.plugin.layers.convert import (
    LayerData,
    localizations_layer,
    rate_of,
    tracks_layer,
)
from napari_ulm3d.plugin.napari_private import main_window
from napari_ulm3d.plugin.panels.panel import ProblemLine, button, note
from napari_ulm3d.tables import Tracks

__all__ = ["ColumnsDialog", "ask_about_columns"]

_LABELS = {
    "track_id": "Track number",
    "frame": "Frame",
    "time_s": "Time",
    "z_um": "z (depth)",
    "y_um": "y",
    "x_um": "x",
    "score": "Score",
}
_NONE, _UNIT = "(none)", "(unit?)"
_ROWS_SHOWN = 4
_BUBBLE_UM = 100.0


def ask_about_columns(viewer: Any, path: Path) -> ColumnsDialog:
    """Open the dialog for a table; accepting it turns the rows into a layer."""
    dialog = ColumnsDialog(viewer, path)
    dialog.show()
    return dialog


class ColumnsDialog(QDialog):
    """A choice of column for each role, and the units."""

    def __init__(self, viewer: Any, path: Path) -> None:
        super().__init__(main_window(viewer))
        self._viewer, self._path = viewer, path
        self.setWindowTitle(f"Columns of {path.name}")
        self._job = Job(self)
        self._job.finished.connect(self._on_read)
        self._job.failed.connect(self._on_failed)
        header = raw_header(path)
        column = QVBoxLayout(self)
        column.addWidget(note("Assign the columns and their units."))
        column.addWidget(_first_rows(path, header))
        rows = form()
        self.columns: dict[str, QComboBox] = {}
        guessed = {guess_role(cell): cell for cell in reversed(header)}
        for role in ROLES:
            box = QComboBox()
            box.addItems([_NONE, *header])
            box.setCurrentText(guessed.get(role, _NONE))
            box.currentIndexChanged.connect(self._check)
            self.columns[role] = box
        self.length = _choice([_UNIT, *LENGTHS_UM, PIXELS], "Unit of z, y and x.", self._check)
        self.time = _choice([_UNIT, *TIMES_S], "Unit of time.", self._check)
        self.rate = number(
            1e-3,
            1e6,
            None,
            "Frames per second; needed if there is no time column.",
            unit="Hz",
            blank="unknown",
        )
        self.pixel = [
            number(1e-4, 1e5, None, f"Size of a pixel along {axis}.", blank=f"{axis} (µm)")
            for axis in "zyx"
        ]
        for role, box in self.columns.items():
            rows.addRow(_LABELS[role], side_by_side(box, self.time) if role == "time_s" else box)
        rows.addRow("Unit of z, y, x", self.length)
        rows.addRow("Pixel size (µm)", side_by_side(*self.pixel))
        rows.addRow("Frame rate", self.rate)
        for field in (self.rate, *self.pixel):
            field.valueChanged.connect(self._check)
        column.addLayout(rows)
        self.hint = note()
        column.addWidget(self.hint)
        self.problem = ProblemLine()
        column.addWidget(self.problem)
        self.open_button = button("Open", "Read the table and show it as a layer.", self._open)
        self.cancel_button = button("Cancel", "Open nothing.", self.reject)
        # Enter in a field only accepts its input.
        for push in (self.open_button, self.cancel_button):
            push.setAutoDefault(False)
        column.addWidget(side_by_side(self.open_button, self.cancel_button))
        self._check()

    @property
    def chosen(self) -> ColumnMap:
        """The columns and units chosen."""
        names = {role: box.currentText() for role, box in self.columns.items()}
        sizes = [box.value() for box in self.pixel]
        # A plane has no y spacing.
        z, y, x = sizes[0], sizes[1] or 1.0, sizes[2]
        flat = names["y_um"] == _NONE
        known = z and x and (flat or sizes[1])
        return ColumnMap(
            {role: "" if name == _NONE else name for role, name in names.items()},
            length=self.length.currentText(),
            time=self.time.currentText(),
            pixel_um=(z, y, x) if known else None,
            rate_hz=self.rate.value(),
        )

    def _check(self, *_: Any) -> None:
        chosen = self.chosen
        self.hint.setText(chosen.problem)
        self.hint.setVisible(bool(chosen.problem))
        self.open_button.setEnabled(not chosen.problem and not self._job.running)
        for box in self.pixel:
            box.setEnabled(chosen.length == PIXELS)
        self.time.setEnabled(bool(chosen.columns["time_s"]))

    def _open(self) -> None:
        path, chosen = self._path, self.chosen

        def work(stop: Stop) -> LayerData:
            found = read_mapped(path, chosen)
            if isinstance(found, Tracks):
                return tracks_layer(found)
            return localizations_layer(found, rate_of(found.table), _BUBBLE_UM)

        self.problem.say(None)
        self._job.start(waits(work))
        self.open_button.setEnabled(False)

    def _on_read(self, made: LayerData) -> None:
        self._viewer.add_layer(Layer.create(*made))
        self.accept()

    def _on_failed(self, problem: Any) -> None:
        self.problem.say(problem)
        self._check()


def _choice(words: list[str], tooltip: str, told: Any) -> QComboBox:
    box = QComboBox()
    box.addItems(words)
    box.setToolTip(tooltip)
    box.currentIndexChanged.connect(told)
    return box


def _first_rows(path: Path, header: list[str]) -> QTableWidget:
    table = QTableWidget(0, len(header))
    dress(table, header)
    fill_table(table, first_rows(path, _ROWS_SHOWN))
    table.show()
    return table
