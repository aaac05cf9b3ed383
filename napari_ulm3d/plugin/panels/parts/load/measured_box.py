"""Measure on the data: what a run would measure first, to check and to change."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.plugin.controls.pictures import frames_picture, psf_picture
from napari_ulm3d.plugin.controls.plot import Curve, Plot
from napari_ulm3d.plugin.controls.tables import dress, fill_table
from napari_ulm3d.plugin.jobs.job import Job, Problem, waits
from napari_ulm3d.plugin.panels.panel import ProblemLine, button, heading, note
from napari_ulm3d.plugin.session import Session
from napari_ulm3d.plugin.state.measured import (
    Measured,
    Row,
    measure_acquisition,
    rows_of,
    with_value,
)

__all__ = ["MeasuredBox"]

_VALUE = 1  # the editable column


class MeasuredBox(QWidget):
    """A button that measures, and a table of the findings beside small pictures.

    An edited value becomes a setting; *Use these values* does this for all of them, so
    that the other panels show what a run would do.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._rows: list[Row] = []
        self.measured: Measured | None = None
        self.job = Job(self)
        self.job.finished.connect(self._on_measured)
        self.job.failed.connect(self._on_failed)
        self.job.ended.connect(self._refresh)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(4)
        column.addWidget(heading("Measure on the data"))
        self.start_button = button(
            "Measure",
            "Measure noise, bubble width, tissue components and block length on a few blocks, as "
            "a run does first.",
            self._start,
        )
        self.cancel_button = button("Cancel", "Stop measuring after the current block.", self._stop)
        buttons = QHBoxLayout()
        buttons.addWidget(self.start_button)
        buttons.addWidget(self.cancel_button)
        column.addLayout(buttons)
        self.found = QWidget()
        inner = QVBoxLayout(self.found)
        inner.setContentsMargins(0, 0, 0, 0)
        inner.setSpacing(4)
        self.table = QTableWidget(0, 3)
        dress(self.table, ["", "value", "how"])
        self.table.setToolTip("Double-click a value to change it; the later panels then use it.")
        self.table.setEditTriggers(
            QAbstractItemView.EditTrigger.DoubleClicked
            | QAbstractItemView.EditTrigger.EditKeyPressed
        )
        self.table.show()
        self.table.itemChanged.connect(self._on_edited)
        inner.addWidget(self.table)
        self.warnings = note()
        self.warnings.setStyleSheet("color: #e08a00;")
        inner.addWidget(self.warnings)
        self.use_button = button(
            "Use these values",
            "Set the values of the table, so that all panels start from them. Otherwise they stay "
            "on auto, and every run measures them again.",
            self._use_all,
        )
        inner.addWidget(self.use_button)
        self.frames = QLabel()
        self.frames.setToolTip(
            "The middle frame of the first block before and after the clutter filter (maximum "
            "along y)."
        )
        inner.addWidget(self.frames)
        self.spectrum = Plot("singular component", "dB", height=120)
        self.spectrum.setToolTip(
            "Largest singular values; those left of the line are removed as tissue."
        )
        inner.addWidget(self.spectrum)
        self.noise = Plot("depth, mm", "noise, rms", height=120)
        self.noise.setToolTip("Noise after the clutter filter at each depth.")
        inner.addWidget(self.noise)
        self.psf = QLabel()
        self.psf.setToolTip("Slices through the centre of the PSF on the working grid.")
        inner.addWidget(self.psf)
        column.addWidget(self.found)
        self.problem = ProblemLine()
        column.addWidget(self.problem)
        session.acquisition_changed.connect(self._on_acquisition)
        self._on_acquisition()

    # --- measuring ---------------------------------------------------------------------------

    def _start(self) -> None:
        acquisition, config = self._session.acquisition, self._session.config
        if acquisition is None or self.job.running:
            return
        self.problem.say(None)
        self.job.start(waits(lambda stop: measure_acquisition(acquisition, config, stop)))
        self._refresh()

    def _stop(self) -> None:
        self.job.stop()
        self._refresh()

    def _on_acquisition(self) -> None:
        self.job.stop()
        self.measured = None
        self.problem.say(None)
        self._refresh()

    def _on_failed(self, problem: Problem) -> None:
        self.problem.say(problem)

    def _on_measured(self, measured: Measured) -> None:
        if measured.acquisition is not self._session.acquisition:
            return
        self.measured = measured
        self._show(measured)

    # --- showing -----------------------------------------------------------------------------

    def _refresh(self) -> None:
        self.setVisible(self._session.acquisition is not None)
        self.start_button.setEnabled(not self.job.running)
        self.start_button.setText("Measuring…" if self.job.running else "Measure")
        self.cancel_button.setVisible(self.job.running)
        self.cancel_button.setEnabled(not self.job.stopping)
        self.found.setVisible(self.measured is not None)

    def _show(self, measured: Measured) -> None:
        calibration, grid = measured.calibration, measured.acquisition.grid
        self._rows = rows_of(measured)
        self.table.blockSignals(True)
        fill_table(self.table, [(row.name, row.value, row.how) for row in self._rows])
        for at, row in enumerate(self._rows):
            for column in range(self.table.columnCount()):
                item = self.table.item(at, column)
                if item is not None and (column != _VALUE or row.setting is None):
                    item.setFlags(item.flags() & ~Qt.ItemFlag.ItemIsEditable)
        self.table.blockSignals(False)
        self.warnings.setText("\n".join(calibration.warnings))
        self.warnings.setVisible(bool(calibration.warnings))
        ink = self.palette().windowText().color()
        self.frames.setPixmap(frames_picture(measured.before, measured.after, grid).pixmap(ink))
        self.psf.setPixmap(psf_picture(calibration.psf).pixmap(ink))
        self.spectrum.setVisible(measured.spectrum_db is not None)
        if measured.spectrum_db is not None:
            component = np.arange(1, len(measured.spectrum_db) + 1)
            self.spectrum.show_curves([Curve(component, measured.spectrum_db)])
            cut = (calibration.svd_first or 1) - 0.5
            self.spectrum.set_lines([cut], draggable=False, shade=(cut, float(component[-1])))
        depth = (grid.origin_um[0] + np.arange(grid.shape[0]) * grid.spacing_um[0]) / 1e3
        noise = np.array(calibration.noise_by_depth)
        self.noise.setVisible(len(noise) > 1)
        if len(noise) > 1:
            self.noise.show_curves([Curve(depth, noise)], y_range=(0, float(noise.max()) * 1.1))

    # --- changing ----------------------------------------------------------------------------

    def _on_edited(self, item: QTableWidgetItem) -> None:
        row = self._rows[item.row()]
        if self.measured is None or row.setting is None or item.column() != _VALUE:
            return
        try:
            changes = with_value(self.measured, row.setting, item.text())
            self._session.change(row.setting[0], **changes)
            self.problem.say(None)
        except ConfigError as error:
            self.problem.say(str(error))
            self.table.blockSignals(True)
            item.setText(row.value)
            self.table.blockSignals(False)

    def _use_all(self) -> None:
        if self.measured is None:
            return
        for at, row in enumerate(self._rows):
            item = self.table.item(at, _VALUE)
            if row.setting is not None and item is not None:
                self._session.change(
                    row.setting[0], **with_value(self.measured, row.setting, item.text())
                )
