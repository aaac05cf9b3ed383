"""Localize & track: a frame, a block, or the whole series, with progress and cancel."""

from __future__ import annotations

import time
from typing import Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFileDialog, QLineEdit, QProgressBar

from napari_ulm3d.plugin import runs
from napari_ulm3d.plugin.forms import SettingsForm
from napari_ulm3d.plugin.job import Job, Work
from napari_ulm3d.plugin.placing import Placer, place
from napari_ulm3d.plugin.results import Result
from napari_ulm3d.plugin.widgets.panel import Panel, button, heading, note
from napari_ulm3d.plugin.widgets.section import Section

__all__ = ["LocalizePanel"]

_LINK = ("max_speed_mm_s", "max_gap_frames", "min_length_frames", "smoothing_frames")
_LOCALIZE = ("localizer", "min_snr_db", "min_fit_snr_db", "min_correlation", "max_bubbles")
_STEPS = 1000


class LocalizePanel(Panel):
    """Conventional localization and linking of what is asked for."""

    title = "Localize & track"

    def build(self) -> None:
        self._job = Job(self)
        self._job.progressed.connect(self._on_progress)
        self._job.finished.connect(self._on_finished)
        self._job.failed.connect(self._on_failed)
        self._job.stopped.connect(self._on_stopped)
        self._job.ended.connect(self._enable)
        self._placer = Placer(self)
        self.column.addWidget(heading("Bubbles"))
        self.form = SettingsForm(self.session, "localize", _LOCALIZE)
        self.column.addWidget(self.form)
        rest = [
            name
            for name in type(self.session.config.localize).model_fields
            if name not in _LOCALIZE
        ]
        more = Section("More", SettingsForm(self.session, "localize", rest, hint="none"))
        self.column.addWidget(more)
        self.column.addWidget(heading("Tracks"))
        self.link_form = SettingsForm(self.session, "link", _LINK)
        self.column.addWidget(self.link_form)
        self.relink_button = button(
            "Link again",
            "Make tracks and maps anew from the localizations that are there, with the settings "
            "above; no localization runs again.",
            self._relink,
        )
        self.column.addWidget(self.relink_button)

        self.column.addWidget(heading("Run"))
        self.folder = QLineEdit()
        self.folder.setPlaceholderText("keep the whole series in memory only")
        self.folder.setToolTip(
            "Results folder of a whole-series run: tables, maps and run.toml. A run that was "
            "stopped there goes on where it stopped."
        )
        self.row(self.folder, button("…", "Choose a results folder.", self._choose_folder))
        self.frame_button = button(
            "This frame", "Localize the frame under the time slider.", self._run_frame
        )
        self.block_button = button(
            "This block", "Localize and track the block under the time slider.", self._run_block
        )
        self.series_button = button(
            "Whole series", "Localize, track and map the whole acquisition.", self._run_series
        )
        self.row(self.frame_button, self.block_button, self.series_button)
        self.bar = QProgressBar()
        self.bar.setRange(0, _STEPS)
        self.bar.setTextVisible(True)
        self.cancel_button = button(
            "Cancel", "Stop within a second; what is finished is kept.", self._cancel
        )
        self.row(self.bar, self.cancel_button)
        self.status = note("No acquisition yet.")
        self.column.addWidget(self.status)
        self.session.acquisition_changed.connect(self._on_acquisition)
        self.session.result_changed.connect(self._enable)
        self._on_acquisition()

    # --- starting ----------------------------------------------------------------------------

    def _choose_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Results folder")
        if path:
            self.folder.setText(path)

    def _run_frame(self) -> None:
        preview = self.session.preview
        if preview is not None:
            self._start(runs.frame_work(preview, self.session.config, self.session.frame))

    def _run_block(self) -> None:
        preview = self.session.preview
        if preview is not None:
            self._start(runs.block_work(preview, self.session.config, self.session.frame))

    def _run_series(self) -> None:
        acquisition = self.session.acquisition
        if acquisition is not None:
            folder = self.folder.text().strip() or None
            self._start(runs.series_work(acquisition, self.session.config, folder))

    def _relink(self) -> None:
        result = self.session.result
        if result is not None:
            self._start(runs.relink_work(result, self.session.config))

    def _start(self, work: Work) -> None:
        self.problem.say(None)
        self._began = time.perf_counter()
        self.bar.setRange(0, 0)
        self.bar.setFormat("")
        self.status.setText("Starting…")
        self._job.start(work)
        self._enable()

    def _cancel(self) -> None:
        self._job.stop()
        self.status.setText("Stopping…")
        self.cancel_button.setEnabled(False)

    # --- hearing -------------------------------------------------------------------------------

    def _on_progress(self, progress: runs.Progress) -> None:
        if progress.share is None:
            self.bar.setRange(0, 0)
        else:
            self.bar.setRange(0, _STEPS)
            self.bar.setValue(round(_STEPS * progress.share))
            self.bar.setFormat("%p %")
        self.status.setText(progress.text(time.perf_counter() - self._began))
        for layer in progress.layers:
            place(self.viewer, layer)

    def _on_finished(self, outcome: runs.Outcome) -> None:
        self.status.setText("Showing…")
        self._placer.start(
            self.viewer, outcome.layers, outcome.stale_roles, lambda: self._conclude(outcome.result)
        )

    def _conclude(self, result: Result) -> None:
        self.session.set_result(result)
        QTimer.singleShot(0, self._enable)
        rows = result.rows() if result.report is None else result.report.rows()
        lines = [f"{name}: {value}" for name, value in rows]
        if result.folder is not None:
            lines.append(f"results folder: {result.folder}")
        if not result.complete:
            lines.append("What was finished is kept; its layers say that it was stopped early.")
        self.status.setText("\n".join(lines))

    def _on_stopped(self) -> None:
        self.status.setText("Stopped before a block was finished.")

    def _on_failed(self, problem: Any) -> None:
        self.status.setText("")
        self.problem.say(problem)

    def _on_acquisition(self) -> None:
        acquisition = self.session.acquisition
        self.status.setText(
            "No acquisition yet."
            if acquisition is None
            else f"{acquisition.name}: {acquisition.n_frames:,} frames."
        )
        self._enable()

    def _enable(self) -> None:
        idle = not (self._job.running or self._placer.busy)
        ready = idle and self.session.acquisition is not None
        for push in (self.frame_button, self.block_button, self.series_button):
            push.setEnabled(ready)
        self.relink_button.setEnabled(idle and self.session.result is not None)
        self.cancel_button.setEnabled(not idle and not self._job.stopping)
        if idle:
            self.bar.setRange(0, _STEPS)
            self.bar.setValue(0)
            self.bar.setFormat("")
