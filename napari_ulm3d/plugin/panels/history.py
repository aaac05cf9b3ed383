"""Run history: all runs with their settings, to reopen or compare."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QTableWidget,
    QTableWidgetItem,
)

from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.plugin.controls.tables import dress, fill_table
from napari_ulm3d.plugin.jobs import run_series as runs
from napari_ulm3d.plugin.jobs.compare import Source
from napari_ulm3d.plugin.jobs.job import Job, Problem, Work, waits
from napari_ulm3d.plugin.layers.place import Placer
from napari_ulm3d.plugin.panels.panel import Panel, button, heading, note
from napari_ulm3d.plugin.panels.show import show_compare
from napari_ulm3d.plugin.state.history import RunEntry, differing_settings
from napari_ulm3d.plugin.state.results import Result
from napari_ulm3d.plugin.state.setting_texts import settings_of

__all__ = ["HistoryPanel"]

_KEY = Qt.ItemDataRole.UserRole


class HistoryPanel(Panel):
    """The runs, newest first, with the settings of the selected run or how two differ."""

    title = "Run history"

    def build(self) -> None:
        self._job = Job(self)
        self._job.finished.connect(self._on_opened)
        self._job.failed.connect(self._on_failed)
        self._job.ended.connect(self._enable)
        self._placer = Placer(self)
        self.runs = QTableWidget(0, 4)
        dress(self.runs, ["Data", "What", "Method", "When"])
        self.runs.setToolTip("Select one run to see its settings, or two to see how they differ.")
        self.runs.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.runs.setSelectionMode(QAbstractItemView.SelectionMode.ExtendedSelection)
        self.runs.setMinimumHeight(150)
        self.runs.show()
        self.runs.itemSelectionChanged.connect(self._on_chosen)
        self.runs.cellDoubleClicked.connect(lambda *_: self._reopen())
        self.column.addWidget(self.runs)
        self.reopen_button = button(
            "Reopen", "Restore the layers, tables and settings of this run.", self._reopen
        )
        self.compare_button = button(
            "Compare", "Open both runs in Compare & measure.", self._compare
        )
        self.forget_button = button(
            "Forget", "Remove the selected runs from the list; their files are kept.", self._forget
        )
        self.add_button = button(
            "Add folder…",
            "Add a results folder, for example one written by the command line.",
            self._choose_folder,
        )
        self.row(self.reopen_button, self.compare_button)
        self.row(self.forget_button, self.add_button)
        self.status = note()
        self.column.addWidget(self.status)
        self.numbers = QTableWidget(0, 2)
        dress(self.numbers, ["", ""])
        self.numbers.horizontalHeader().hide()
        self.column.addWidget(self.numbers)
        self.settings_title = heading("")
        self.column.addWidget(self.settings_title)
        self.settings = QTableWidget(0, 3)
        self.settings.setToolTip(
            "For one run, the settings that differ from their defaults; for two, the "
            "settings that differ."
        )
        dress(self.settings, ["Setting", "", ""])
        self.column.addWidget(self.settings)
        self.session.history.changed.connect(self._show_runs)
        self._show_runs()

    # --- the list -------------------------------------------------------------------------------

    def _show_runs(self) -> None:
        chosen = {entry.key for entry in self.chosen}
        self.runs.blockSignals(True)
        entries = self.session.history.entries
        self.runs.setRowCount(len(entries))
        for row, entry in enumerate(entries):
            method = entry.settings.get("localize.localizer", "")
            when = entry.created[5:16].replace("T", " ")
            for column, text in enumerate((entry.name, entry.scope, method, when)):
                item = QTableWidgetItem(text)
                item.setData(_KEY, entry.key)
                place = entry.folder or "in memory only, lost when the viewer closes"
                item.setToolTip(f"{entry.name}, {entry.scope}, {entry.created}\n{place}")
                self.runs.setItem(row, column, item)
        self.runs.clearSelection()
        self.runs.blockSignals(False)
        for row, entry in enumerate(entries):
            if entry.key in chosen:
                self.runs.selectRow(row)
        self._on_chosen()

    @property
    def chosen(self) -> list[RunEntry]:
        """The selected runs, from the top."""
        rows = sorted({index.row() for index in self.runs.selectedIndexes()})
        keys = [self.runs.model().index(row, 0).data(_KEY) for row in rows]
        found = [self.session.history.of_key(key) for key in keys]
        return [entry for entry in found if entry is not None]

    def _on_chosen(self) -> None:
        chosen = self.chosen
        if len(chosen) == 2:
            rows = differing_settings(*chosen)
            self.settings_title.setText(
                f"{len(rows)} setting{'s differ' if len(rows) > 1 else ' differs'}"
                if rows
                else "All settings are the same"
            )
            self.settings.setHorizontalHeaderLabels(["Setting", "Upper run", "Lower run"])
            self._fill(rows)
            self.numbers.hide()
        elif len(chosen) == 1:
            rows = _changed(chosen[0])
            self.settings_title.setText(
                "Settings changed from their defaults" if rows else "All settings at their defaults"
            )
            self.settings.setHorizontalHeaderLabels(["Setting", "Value", "Default"])
            self._fill(rows)
            fill_table(self.numbers, chosen[0].rows)
            self.numbers.setVisible(bool(chosen[0].rows))
        else:
            self.settings_title.setText(
                "Select one run to see its settings, or two to see how they differ."
                if self.session.history.entries
                else "No runs yet. Finished runs will be listed here."
            )
            self._fill([])
            self.numbers.hide()
        self._enable()

    def _fill(self, rows: list[tuple[str, str, str]]) -> None:
        fill_table(self.settings, rows)
        self.settings.setVisible(bool(rows))

    def _enable(self) -> None:
        chosen, idle = self.chosen, not self._job.running
        self.reopen_button.setEnabled(idle and len(chosen) == 1 and chosen[0].reopens)
        self.compare_button.setEnabled(len(chosen) == 2 and all(e.reopens for e in chosen))
        self.forget_button.setEnabled(bool(chosen))
        self.add_button.setEnabled(idle)

    # --- what is done with them -------------------------------------------------------------------

    def _reopen(self) -> None:
        if len(self.chosen) != 1 or self._job.running:
            return
        entry = self.chosen[0]
        result = entry.result
        if result is not None:
            self._start(waits(lambda stop: runs.outcome_of(result)))
        elif entry.folder:
            self._start(runs.reopen_work(entry.folder))

    def _choose_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Results folder of a run")
        if path:
            self.open_folder(path)

    def open_folder(self, path: str) -> None:
        """Open a results folder and add it to the list."""
        self._start(runs.reopen_work(path))

    def _start(self, work: Work) -> None:
        self.problem.say(None)
        self.status.setText("Opening…")
        self._job.start(work)
        self._enable()

    def _on_opened(self, outcome: runs.Outcome) -> None:
        self.status.setText("Showing…")
        result = outcome.result

        def done() -> None:
            self._take(result)

        self._placer.start(self.viewer, outcome.layers, outcome.stale_roles, done)

    def _take(self, result: Result) -> None:
        session = self.session
        session.reopen(result)
        text = f"{result.name}, {result.title}: layers and settings restored."
        files = {str(Path(path)) for path in result.files}
        mine = session.acquisition
        if files and (mine is None or mine.name != result.name):
            where = Path(result.files[0]).parent
            text += f" Its frames are in {where}; load them to see them too."
        self.status.setText(text)

    def _on_failed(self, problem: Problem) -> None:
        self.status.setText("")
        self.problem.say(problem)

    def _compare(self) -> None:
        if len(self.chosen) != 2:
            return

        upper, lower = (_source(entry) for entry in self.chosen)
        show_compare(self.viewer, upper, lower)

    def _forget(self) -> None:
        history, n = self.session.history, len(self.chosen)
        before = tuple(history.entries)
        history.remove([entry.key for entry in self.chosen])
        text = f"forget {n} run{'' if n == 1 else 's'}"
        self.session.undo.push(text, before, tuple(history.entries), history.restore)


def _changed(entry: RunEntry) -> list[tuple[str, str, str]]:
    """Settings that differ from their default: name, value, default."""
    default = settings_of(PipelineConfig())
    return [
        (name, value, default.get(name, "unknown"))
        for name, value in entry.settings.items()
        if value != default.get(name)
    ]


def _source(entry: RunEntry) -> Source:
    if entry.result is not None:
        return Source(entry.key, entry.label, "result", entry.result)
    return Source(entry.key, entry.label, "folder", path=Path(entry.folder))
