"""Localize & track: run on a frame, a window, a block or the whole series."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFileDialog, QLineEdit

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.errors import UlmError
from napari_ulm3d.plugin.controls.form import SettingsForm
from napari_ulm3d.plugin.controls.rows import form, whole_number
from napari_ulm3d.plugin.controls.section import Section
from napari_ulm3d.plugin.controls.tint import tint
from napari_ulm3d.plugin.jobs import run_series as runs
from napari_ulm3d.plugin.jobs import run_window as window_runs
from napari_ulm3d.plugin.jobs.job import Job, Work
from napari_ulm3d.plugin.layers.place import Placer, place
from napari_ulm3d.plugin.panels.panel import Panel, button, heading, note
from napari_ulm3d.plugin.panels.parts.localize.changed import what_changed
from napari_ulm3d.plugin.panels.parts.localize.methods import Methods
from napari_ulm3d.plugin.panels.parts.localize.relinking import Relinking
from napari_ulm3d.plugin.panels.parts.localize.run_progress import RunProgress
from napari_ulm3d.plugin.panels.parts.localize.workers import WorkersBox
from napari_ulm3d.plugin.panels.parts.track_colors import TrackColours
from napari_ulm3d.plugin.state.results import Result

__all__ = ["LocalizePanel"]


class LocalizePanel(Panel):
    """Localization by any method, and linking, for a chosen part of the acquisition."""

    title = "Localize & track"

    def build(self) -> None:
        self._job = Job(self)
        self._job.progressed.connect(self._on_progress)
        self._job.finished.connect(self._on_finished)
        self._job.failed.connect(self._on_failed)
        self._job.stopped.connect(self._on_stopped)
        self._job.ended.connect(self._enable)
        self._placer = Placer(self)
        self._build_methods()
        self._build_tracks()
        self._build_runs()
        self.session.acquisition_changed.connect(self._on_acquisition)
        self.session.result_changed.connect(self._on_result)
        self.session.config_changed.connect(self._on_config)
        self._on_acquisition()

    def _build_methods(self) -> None:
        self.column.addWidget(heading("Bubbles"))
        self.methods = Methods(self.session)
        self.column.addWidget(self.methods)
        self.form, self.network_form = self.methods.form, self.methods.network_form
        self.network = self.methods.network

    def _build_tracks(self) -> None:
        self.column.addWidget(heading("Tracks"))
        self.link_form = SettingsForm(self.session, "link")
        self.column.addWidget(self.link_form)
        self.relinking = Relinking(self.session)
        self.relinking.wanted.connect(self._relink)
        self.relink_button, self.linking = self.relinking.button, self.relinking.note
        self.column.addWidget(self.relinking)
        self.colours = TrackColours(self.session)
        self.column.addWidget(Section("Track colours", self.colours))

    def _build_runs(self) -> None:
        self.column.addWidget(heading("Run"))
        self.folder = QLineEdit()
        self.folder.setPlaceholderText("blank: keep results in memory only")
        self.folder.setToolTip(
            "Where a whole-series run saves its tables, maps and run.toml. If the folder "
            "holds a stopped run, it resumes where it left off."
        )
        self.row(self.folder, button("…", "Choose a results folder.", self._choose_folder))
        self.workers = WorkersBox()
        self.column.addWidget(Section("Workers", self.workers))
        self.window_frames = whole_number(
            2, 100_000, 32, "Number of frames in a window centred on the current frame.", "frames"
        )
        rows = form()
        rows.addRow("Window", self.window_frames)
        self.column.addLayout(rows)
        self.frame_button = button(
            "This frame", "Localize bubbles in the current frame.", self._run_frame
        )
        self.window_button = button(
            "This window", "Localize, track and map the frames around the current one.",
            self._run_window,
        )  # fmt: skip
        self.block_button = button(
            "This block", "Localize, track and map the current block.",
            self._run_block,
        )  # fmt: skip
        self.series_button = button(
            "Whole series", "Localize, track and map the whole acquisition.", self._run_series
        )
        self.folder.textChanged.connect(self._name_series)
        self.row(self.frame_button, self.window_button)
        self.row(self.block_button, self.series_button)
        self.progress = RunProgress(self._cancel)
        self.bar, self.cancel_button = self.progress.bar, self.progress.cancel_button
        self.status, self.cluster = self.progress.status, self.progress.cluster
        self.column.addWidget(self.progress)
        self.changed = note()
        tint(self.changed, "caution")
        self.changed.hide()
        self.column.addWidget(self.changed)
        self.retry_button = button(
            "Retry failed blocks",
            "Rerun the failed blocks with the settings of the run and save them in its "
            "results folder; the other blocks are kept. If you repaired a file, load it "
            "again first.",
            self._retry,
        )
        self.column.addWidget(self.retry_button)

    # --- starting ----------------------------------------------------------------------------

    def _choose_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Results folder")
        if path:
            self.folder.setText(path)

    def _run_frame(self) -> None:
        preview, session = self.session.preview, self.session
        if preview is not None:
            self._start(window_runs.frame_work(preview, session.config, session.frame))

    def _run_window(self) -> None:
        preview, session = self.session.preview, self.session
        if preview is not None:
            n = self.window_frames.value()
            self._start(window_runs.window_work(preview, session.config, session.frame, n))

    def _run_block(self) -> None:
        preview, session = self.session.preview, self.session
        if preview is not None:
            self._start(window_runs.window_work(preview, session.config, session.frame))

    def _run_series(self) -> None:
        acquisition = self.session.acquisition
        if acquisition is None:
            return
        folder = self.folder.text().strip() or None
        try:
            execution = self.workers.execution()
        except UlmError as error:
            self.problem.say(str(error))
            return
        config, tell = self.session.config, self._job.tell
        self._start(runs.series_work(acquisition, config, folder, execution, tell))
        self.progress.come_into_view()

    def _name_series(self, *_: Any) -> None:
        """Show on the button how many blocks an earlier run in the folder has finished."""
        acquisition, done = self.session.acquisition, runs.blocks_done(self.folder.text().strip())
        if acquisition is None or done is None:
            self.series_button.setText("Whole series")
            return
        n_blocks = len(acquisition.blocks(self.session.config.load.block_frames))
        self.series_button.setText(f"Resume ({done} of {n_blocks} blocks done)")

    def _retry(self) -> None:
        acquisition, computed = self.session.acquisition, self.relinking.computed
        if acquisition is None or computed is None or not _can_retry(computed, acquisition):
            return
        try:
            execution = self.workers.execution()
        except UlmError as error:
            self.problem.say(str(error))
            return
        folder, tell = str(computed.folder), self._job.tell
        self._start(runs.series_work(acquisition, computed.config, folder, execution, tell))

    def _relink(self, computed: Result) -> None:
        self._linked_from = computed
        self._start(window_runs.relink_work(computed, self.session.config))

    def _start(self, work: Work) -> None:
        self.problem.say(None)
        self.progress.begin()
        self._running_with = self.session.config
        self._say_what_changed()
        self._job.start(work)
        self._enable()

    def _cancel(self) -> None:
        self._job.stop()
        self.progress.stopping()

    # --- what the settings have to do with what is shown ------------------------------------------

    def _on_config(self, section: str) -> None:
        self._say_what_changed()

    def _say_what_changed(self) -> None:
        session = self.session
        said = what_changed(
            session.config, self._running_with, self.relinking.computed, session.result
        )
        self.changed.setText(said)
        self.changed.setVisible(bool(said))

    def _on_result(self) -> None:
        self._say_what_changed()
        self._enable()

    # --- hearing -------------------------------------------------------------------------------

    def _on_progress(self, progress: runs.Progress) -> None:
        self.progress.show_progress(progress)
        for layer in progress.layers:
            place(self.viewer, layer)

    def _on_finished(self, outcome: runs.Outcome) -> None:
        self.status.setText("Showing…")
        self._placer.start(
            self.viewer, outcome.layers, outcome.stale_roles, lambda: self._conclude(outcome.result)
        )

    def _conclude(self, result: Result) -> None:
        self._running_with = None
        computed, self._linked_from = self._linked_from, None
        self.session.set_result(result, computed)
        QTimer.singleShot(0, self._enable)
        self.progress.show_result(result)
        self._say_what_changed()

    def _on_stopped(self) -> None:
        self._linked_from = self._running_with = None
        self._say_what_changed()
        self.status.setText("Stopped before the first block was finished.")

    def _on_failed(self, problem: Any) -> None:
        self._linked_from = self._running_with = None
        self._say_what_changed()
        self.status.setText("")
        self.problem.say(problem)

    _linked_from: Result | None = None
    # Settings of the running run.
    _running_with: PipelineConfig | None = None

    def _on_acquisition(self) -> None:
        acquisition = self.session.acquisition
        self.relinking.computed = None
        self.status.setText(
            "No acquisition loaded."
            if acquisition is None
            else f"{acquisition.name}: {acquisition.n_frames:,} frames."
        )
        self._enable()

    def _enable(self) -> None:
        idle = not (self._job.running or self._placer.busy)
        self.relinking.busy = not idle
        ready = idle and self.session.acquisition is not None
        for push in (
            self.frame_button, self.window_button, self.block_button, self.series_button
        ):  # fmt: skip
            push.setEnabled(ready)
        computed, acquisition = self.relinking.computed, self.session.acquisition
        self.relink_button.setEnabled(idle and computed is not None)
        self.retry_button.setVisible(
            computed is not None and acquisition is not None and _can_retry(computed, acquisition)
        )
        self.retry_button.setEnabled(ready)
        self.cancel_button.setEnabled(not idle and not self._job.stopping)
        if idle:
            self._name_series()
            self.progress.rest()


def _can_retry(computed: Result, acquisition: Acquisition) -> bool:
    """Whether blocks are missing from the results folder of this very acquisition."""
    same = set(computed.files) == set(runs.files_of(acquisition))
    return bool(computed.failed) and computed.folder is not None and same
