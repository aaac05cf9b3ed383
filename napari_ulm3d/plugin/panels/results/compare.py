"""Compare & measure: two results side by side, their summaries, and measurements on their maps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QApplication, QComboBox, QFileDialog, QFormLayout, QTableWidget

from napari_ulm3d.plugin.controls.calm import calm
from napari_ulm3d.plugin.controls.tables import copy, dress, fill_table
from napari_ulm3d.plugin.jobs.compare import Compared, Source, compare
from napari_ulm3d.plugin.jobs.job import LatestJob, Problem, Stop, waits
from napari_ulm3d.plugin.panels.panel import Panel, button, heading, note
from napari_ulm3d.plugin.panels.parts.compare.compared_maps import VIEWS, ComparedMaps
from napari_ulm3d.plugin.panels.parts.compare.measure import MeasureBox

__all__ = ["ComparePanel"]

_MAPS = {
    "density": "Density",
    "speed": "Speed",
    "velocity_z": "Axial velocity",
    "direction": "Direction",
}
#: The result with the filters of the maps widget.
_SHOWN = "shown"


class ComparePanel(Panel):
    """Choose two results, see their maps and summaries together, and measure on both."""

    title = "Compare & measure"

    def build(self) -> None:
        self._job = LatestJob(self)
        self._job.finished.connect(self._on_compared)
        self._job.failed.connect(self._on_failed)
        self._maps = ComparedMaps(self)
        self._maps.failed.connect(self._on_failed)
        self._maps.absent.connect(self._on_absent)
        self._more: list[Source] = []
        self._compared: Compared | None = None
        form = QFormLayout()
        form.setContentsMargins(0, 0, 0, 0)
        form.setVerticalSpacing(3)
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        self.first = _combo("The result to compare and measure.")
        self.second = _combo("What to compare it with: another run, a table or the ground truth.")
        self.which = _combo("The map to show and measure.")
        for name, label in _MAPS.items():
            self.which.addItem(label, name)
        self.view = _combo(
            "How to show the two maps, both on the same scale. In the overlay, magenta and "
            "green add up to white where A and B agree."
        )
        for name, label in VIEWS.items():
            self.view.addItem(label, name)
        form.addRow("A", self.first)
        form.addRow("B", self.second)
        self.column.addLayout(form)
        self.row(
            button("Results folder…", "Add a results folder to the lists.", self._choose_folder),
            button(
                "Table…", "Add a saved table of tracks (.csv, .parquet) to the lists.",
                self._choose_table,
            ),
        )  # fmt: skip
        shown = QFormLayout()
        shown.setContentsMargins(0, 0, 0, 0)
        shown.setVerticalSpacing(3)
        shown.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        shown.addRow("Map", self.which)
        shown.addRow("Show", self.view)
        self.column.addLayout(shown)
        self.numbers = QTableWidget(0, 3)
        self.numbers.setToolTip(
            "Summary of both results. Against the ground truth: Jaccard index, precision "
            "and recall of localizations within a quarter wavelength (PALA's definitions), "
            "and Dice of the 25 µm voxels that tracks cross."
        )
        dress(self.numbers, ["", "A", "B"])
        self.column.addWidget(self.numbers)
        self.row(
            button("Copy numbers", "Copy the table, ready to paste into a spreadsheet.", self._copy)
        )
        self.status = note("No results yet: run Localize & track, or open a results folder.")
        self.column.addWidget(self.status)
        self.column.addWidget(heading("Measure on the map"))
        self.measuring = MeasureBox(self)
        self.column.addWidget(self.measuring)
        self.first.currentIndexChanged.connect(self._on_choice)
        self.second.currentIndexChanged.connect(self._on_choice)
        self.which.currentIndexChanged.connect(self._on_which)
        self.view.currentIndexChanged.connect(self._on_view)
        self.session.history.changed.connect(self._offer)
        self.session.result_changed.connect(self._on_result)
        self.session.acquisition_changed.connect(self._offer)
        self._offer()

    # --- what can be chosen -------------------------------------------------------------------

    @property
    def compared(self) -> Compared | None:
        """The results available."""
        return self._compared

    def choose(self, first: Source, second: Source) -> None:
        """Compare these two."""
        known = {source.key for source in self._sources()}
        self._more += [source for source in (first, second) if source.key not in known]
        self._offer()
        for box, source in ((self.first, first), (self.second, second)):
            box.setCurrentIndex(max(box.findData(source.key), 0))
        self.view.setCurrentIndex(self.view.findData("overlay"))

    def showEvent(self, event: Any) -> None:
        """Update when the panel becomes visible."""
        super().showEvent(event)
        self._compare()

    def _sources(self) -> list[Source]:
        session, sources = self.session, []
        if session.shown is not None:
            text = "What the maps show"
            sources.append(Source(_SHOWN, text, "result", session.shown))
        for entry in session.history.entries:
            if entry.result is not None:
                sources.append(Source(entry.key, entry.label, "result", entry.result))
            elif entry.folder:
                sources.append(Source(entry.key, entry.label, "folder", path=Path(entry.folder)))
        truth = session.truth_path
        if truth is not None:
            sources.append(Source("truth", "Ground truth", "truth", path=truth))
        return sources + self._more

    def _offer(self) -> None:
        sources = self._sources()
        for box, none in ((self.first, ""), (self.second, "nothing")):
            chosen = box.currentData()
            box.blockSignals(True)
            box.clear()
            if none or not sources:
                box.addItem(none or "none yet", None)
            for source in sources:
                box.addItem(source.label, source.key)
                box.setItemData(
                    box.count() - 1, str(source.path or source.label), Qt.ItemDataRole.ToolTipRole
                )
            box.setCurrentIndex(max(box.findData(chosen), 0))
            box.blockSignals(False)
        self._on_choice()

    def _choose_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Results folder of a run")
        if path:
            self.add_source(Source(path, Path(path).name, "folder", path=Path(path)))

    def _choose_table(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Table of tracks", "", "*.parquet *.csv")
        if path:
            self.add_source(Source(path, Path(path).name, "table", path=Path(path)))

    def add_source(self, source: Source) -> None:
        """Add a result and compare with it; it becomes A if there is no other."""
        alone = self.first.currentData() is None
        if source.key not in {other.key for other in self._sources()}:
            self._more.append(source)
            self._offer()
        box = self.first if alone else self.second
        box.setCurrentIndex(box.findData(source.key))

    # --- comparing ----------------------------------------------------------------------------

    def _on_result(self) -> None:
        self._compared = None
        self._offer()

    def _on_choice(self) -> None:
        if self.second.currentData() is None and self.view.currentData() != "off":
            self.view.setCurrentIndex(0)
        self._compare()

    def _compare(self) -> None:
        if not self.isVisible():
            return
        keys = [self.first.currentData(), self.second.currentData()]
        known = {source.key: source for source in self._sources()}
        chosen = tuple(known[key] for key in keys if key in known)
        if keys[0] not in known:
            self._compared = None
            self.numbers.setRowCount(0)
            self.numbers.hide()
            self.measuring.refresh()
            return
        acquisition, truth = self.session.acquisition, self.session.truth_path

        def work(stop: Stop) -> Compared:
            return compare(chosen, acquisition, truth, stop)

        self.problem.say(None)
        self.status.setText("Comparing…")
        self._job.request(waits(work))

    def _on_compared(self, compared: Compared) -> None:
        self._compared = compared
        self.status.setText(compared.note)
        self.status.setVisible(bool(compared.note))
        fill_table(self.numbers, compared.rows)
        self.numbers.show()
        self.numbers.setColumnHidden(2, len(compared.results) < 2)
        self._show()
        self.measuring.refresh()

    def _on_failed(self, problem: Problem) -> None:
        self.status.setText("")
        self.problem.say(problem)

    def _copy(self) -> None:
        QApplication.clipboard().setText(copy(self.numbers))

    # --- showing ------------------------------------------------------------------------------

    @property
    def map_name(self) -> str:
        """The map shown and measured."""
        return str(self.which.currentData())

    def one_picture(self) -> None:
        """Leave the side-by-side view, in which one cannot draw on both maps at once."""
        if self.view.currentData() == "side by side":
            self.view.setCurrentIndex(self.view.findData("overlay"))

    def _on_which(self) -> None:
        self._show()
        self.measuring.refresh()

    def _on_view(self) -> None:
        self._show()

    def _show(self) -> None:
        self._maps.show_maps(self._compared, self.map_name, str(self.view.currentData()))

    def _on_absent(self) -> None:
        self.status.setText("One of the two results does not have this map.")
        self.status.show()


def _combo(tooltip: str) -> Any:
    box = calm(QComboBox())
    box.setToolTip(tooltip)
    # Long run names must not widen the dock.
    box.setSizeAdjustPolicy(QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
    box.setMinimumContentsLength(18)
    return box
