"""Measurements on a map: the profile along a drawn line, the statistics of a drawn box."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import (
    QApplication,
    QComboBox,
    QFileDialog,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QTableWidget,
    QVBoxLayout,
    QWidget,
)

from napari_ulm3d.errors import ResultsError, UlmError
from napari_ulm3d.plugin.controls.calm import calm
from napari_ulm3d.plugin.controls.plot import Curve, Plot
from napari_ulm3d.plugin.controls.rows import number
from napari_ulm3d.plugin.controls.tables import copy, dress, fill_table
from napari_ulm3d.plugin.controls.tint import tint
from napari_ulm3d.plugin.jobs.job import LatestJob, Problem, Stop, waits
from napari_ulm3d.plugin.jobs.measure import (
    SLAB_UM,
    Drawn,
    Measured,
    drawn_shape,
    measure,
    measure_layer,
    slab_of,
    start_drawing,
    thicken,
    thickness_of,
)
from napari_ulm3d.plugin.layers.shapes.shapes_ear import ShapesEar
from napari_ulm3d.plugin.layers.vessel_view import look_at_a_plane
from napari_ulm3d.plugin.panels.panel import ProblemLine, button, note
from napari_ulm3d.plugin.panels.parts.compare.measures_table import (
    caution,
    measure_rows,
    profile_table,
)
from napari_ulm3d.system.atomic import atomic_path
from napari_ulm3d.system.shown_units import shown_as

__all__ = ["MeasureBox"]

_COLOURS = ("#e36bff", "#5ad469")
_SLABS = {
    "view": "as seen",
    "slab": "slab",
    "plane": "single plane",
    "volume": "whole volume",
}


class MeasureBox(QWidget):
    """Lines and boxes drawn on a map, with measurements for one or two results."""

    def __init__(self, panel: Any) -> None:
        super().__init__()
        self._panel = panel
        self._measured: tuple[Measured, ...] = ()
        self._ear = ShapesEar(self.refresh)
        # The Qt object of a closed panel is gone: napari must not call into it.
        self.destroyed.connect(self._ear.close)
        self._job = LatestJob(self)
        self._job.finished.connect(self._on_measured)
        self._job.failed.connect(self._on_failed)
        self._soon = QTimer(self)
        self._soon.setSingleShot(True)
        self._soon.setInterval(30)
        self._soon.timeout.connect(self._measure)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        row = QHBoxLayout()
        self.line_button = button(
            "Draw a line",
            "Drag a line across a vessel to get its profile and width.",
            self._draw_line,
        )
        self.box_button = button(
            "Draw a box",
            "Drag a box to get the speed, density and number of tracks inside.",
            self._draw_box,
        )
        self.clear_button = button("Clear", "Remove the line or box.", self._clear)
        for push in (self.line_button, self.box_button, self.clear_button):
            row.addWidget(push)
        column.addLayout(row)
        column.addLayout(self._build_settings())
        self.plot = Plot("distance along the line (µm)", "", height=150)
        self.plot.setToolTip(
            "Map values along the line: A magenta, B green. Yellow lines mark the half "
            "maximum of A's highest peak."
        )
        column.addWidget(self.plot)
        self.numbers = QTableWidget(0, 3)
        self.numbers.setToolTip("Measurements along the line or in the box, for A and B.")
        dress(self.numbers, ["", "A", "B"])
        column.addWidget(self.numbers)
        row = QHBoxLayout()
        self.save_button = button(
            "Save profile…", "Save the profile as a table (.csv).", self._choose_profile
        )
        self.copy_button = button(
            "Copy", "Copy the measurements, ready to paste into a spreadsheet.", self._copy
        )
        row.addWidget(self.save_button)
        row.addWidget(self.copy_button)
        column.addLayout(row)
        self.caution: QLabel = note()
        tint(self.caution, "caution")
        self.caution.hide()
        column.addWidget(self.caution)
        self.status: QLabel = note()
        column.addWidget(self.status)
        self.problem = ProblemLine()
        column.addWidget(self.problem)
        self._say_how()

    def _build_settings(self) -> QFormLayout:
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setVerticalSpacing(3)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.width_um = number(
            0,
            1e5,
            0.0,
            "Average the profile over a band of this width; 0 uses the line alone.",
            unit="µm",
            step=10,
        )
        self.baseline = calm(QComboBox())
        self.baseline.addItem("zero", 0.0)
        self.baseline.addItem("profile minimum", None)
        self.baseline.setToolTip(
            "Baseline for the peak height: zero for densities, the profile minimum where "
            "the background is not empty."
        )
        self.slab = calm(QComboBox())
        for name, label in _SLABS.items():
            self.slab.addItem(label, name)
        self.slab.setToolTip(
            "Depth range to measure, perpendicular to the view. As seen: the slab, or the whole "
            "volume while tracks are shown, because napari draws tracks of all depths. Profiles "
            "are taken from the maximum projection. Single-plane data is measured in full."
        )
        self.slab_um = number(
            0,
            1e5,
            SLAB_UM,
            "Thickness of the slab about the plane shown, in the view and in the measurements; "
            "0 is one plane.",
            unit="µm",
            step=50,
        )
        form.addRow("Width", self.width_um)
        form.addRow("Baseline", self.baseline)
        form.addRow("Depth", self.slab)
        form.addRow("Slab thickness", self.slab_um)
        self.width_um.valueChanged.connect(self.refresh)
        self.baseline.currentIndexChanged.connect(self.refresh)
        self.slab.currentIndexChanged.connect(self.refresh)
        self.slab_um.valueChanged.connect(self._thicken)
        return form

    def _thicken(self, *_: Any) -> None:
        thicken(self._panel.viewer, float(self.slab_um.value()))
        self.refresh()

    # --- drawing --------------------------------------------------------------------------------

    def _draw_line(self) -> None:
        self._draw("add_line")

    def _draw_box(self) -> None:
        self._draw("add_rectangle")

    def _draw(self, mode: str) -> None:
        viewer = self._panel.viewer
        self._panel.one_picture()
        look_at_a_plane(viewer)
        if thickness_of(viewer) > self.slab_um.value():  # chosen with napari's own slider
            self.slab_um.setValue(thickness_of(viewer))
        else:
            thicken(viewer, float(self.slab_um.value()))
        self._ear.listen(start_drawing(viewer, mode))
        what = "a line across a vessel" if mode == "add_line" else "a box"
        self.status.setText(f"Drag {what} in the viewer.")

    def _clear(self) -> None:
        layer = measure_layer(self._panel.viewer)
        if layer is not None:
            layer.data = []
        self.refresh()

    # --- measuring ------------------------------------------------------------------------------

    def refresh(self, event: Any = None) -> None:
        """Schedule a measurement; rapid calls count once."""
        self._soon.start()

    def _measure(self) -> None:
        if not self.isVisible():  # measured when the panel is seen again
            return
        viewer, compared = self._panel.viewer, self._panel.compared
        layer = measure_layer(viewer)
        if layer is not None:
            self._ear.listen(layer)
        try:
            drawn = drawn_shape(layer, viewer)
        except UlmError as error:
            self.problem.say(str(error))
            return
        if drawn is None or compared is None or not compared.results:
            self._show_nothing(drawn)
            return
        name, width = self._panel.map_name, self.width_um.value()
        baseline = self.baseline.currentData()
        slab = slab_of(self.slab.currentData(), viewer, drawn.axis)
        results = compared.results

        def work(stop: Stop) -> tuple[Drawn, float | None, tuple[Measured, ...]]:
            return (
                drawn,
                slab,
                tuple(
                    measure(result, name, drawn, slab, width, baseline)
                    for result in results
                    if name in result.maps or drawn.kind == "region"
                ),
            )

        self._job.request(waits(work))

    def _on_measured(self, outcome: tuple[Drawn, float | None, tuple[Measured, ...]]) -> None:
        drawn, slab, self._measured = outcome
        self.problem.say(None)
        first = self._measured[0] if self._measured else Measured()
        self.plot.setVisible(drawn.kind == "line")
        self.save_button.setEnabled(first.profile is not None)
        self.copy_button.setEnabled(bool(self._measured))
        if drawn.kind == "line" and first.profile is not None:
            self._show_profiles()
        fill_table(self.numbers, measure_rows(self._measured))
        self.numbers.setVisible(bool(self._measured))
        self.numbers.setColumnHidden(2, len(self._measured) < 2)
        names = [label for k, label in enumerate("zyx") if k != drawn.axis]
        across, at = "zyx"[drawn.axis], drawn.position_um
        depth = (
            "over the whole depth"
            if slab is None
            else f"in the plane {across} = {at:.0f} µm"
            if slab == 0
            else f"from {across} = {at - slab / 2:.0f} to {at + slab / 2:.0f} µm"
        )
        self.status.setText(f"{names[0]}-{names[1]} plane, {depth}.")
        self._warn(caution(self._measured))

    def _show_profiles(self) -> None:
        profiles = [m.profile for m in self._measured if m.profile is not None]
        curves = [
            Curve(p.distance_um, p.values, colour)
            for p, colour in zip(profiles, _COLOURS, strict=False)
        ]
        unit = shown_as(profiles[0].unit)
        self.plot.y_label = f"{profiles[0].name.replace('_', ' ')} [{unit}]" if unit else "map"
        low = min(0.0, *(float(p.values.min()) for p in profiles))
        high = max(*(float(p.values.max()) for p in profiles), low + 1e-9)
        self.plot.show_curves(curves, y_range=(low, low + 1.05 * (high - low)))
        width = self._measured[0].width
        known = width is not None and np.isfinite(width.fwhm_um)
        lines = [width.left_um, width.right_um] if known and width else []
        shade = (lines[0], lines[1]) if lines else None
        self.plot.set_lines(lines, draggable=False, shade=shade)

    def _warn(self, sentence: str) -> None:
        self.caution.setText(sentence)
        self.caution.setVisible(bool(sentence))

    def _on_failed(self, problem: Problem) -> None:
        self._measured = ()
        self.problem.say(problem)

    def _show_nothing(self, drawn: Drawn | None) -> None:
        self._measured = ()
        self.problem.say(None)
        self.numbers.hide()
        self._warn("")
        self.save_button.setEnabled(False)
        self.copy_button.setEnabled(False)
        self._say_how()
        if drawn is not None:
            self.status.setText("No result to measure yet: run Localize & track first.")

    def _say_how(self) -> None:
        self.plot.show()
        self.plot.show_message("The profile along the line will appear here.")
        self.status.setText("")
        self.save_button.setEnabled(bool(self._measured))
        self.copy_button.setEnabled(bool(self._measured))

    # --- keeping --------------------------------------------------------------------------------

    def profile_table(self) -> pd.DataFrame:
        """Columns: distance, and the map along the line for A and B."""
        return profile_table(self._measured)

    def save_profile(self, path: str) -> None:
        """Write the profile as CSV, atomically."""
        try:
            with atomic_path(path) as part:
                self.profile_table().to_csv(part, index=False)
        except ResultsError as error:
            self.problem.say(str(error))
        else:
            self.status.setText(f"Wrote {path}")

    def _choose_profile(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Profile", "profile.csv", "*.csv")
        if path:
            self.save_profile(path if path.lower().endswith(".csv") else f"{path}.csv")

    def _copy(self) -> None:
        QApplication.clipboard().setText(copy(self.numbers))
