"""Localize & track: a frame, a window, a block, or the whole series, with progress and cancel."""

from __future__ import annotations

import time
from typing import Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QFileDialog, QLineEdit, QProgressBar

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.errors import UlmError
from napari_ulm3d.plugin.controls.form import SettingsForm
from napari_ulm3d.plugin.controls.rows import form, whole_number
from napari_ulm3d.plugin.controls.section import Section
from napari_ulm3d.plugin.jobs import run_series as runs
from napari_ulm3d.plugin.jobs import run_window as window_runs
from napari_ulm3d.plugin.jobs.job import Job, Work
from napari_ulm3d.plugin.layers.place import Placer, place
from napari_ulm3d.plugin.panels.panel import Panel, button, heading, note
from napari_ulm3d.plugin.panels.parts.changed import what_changed
from napari_ulm3d.plugin.panels.parts.methods import Methods
from napari_ulm3d.plugin.panels.parts.track_colors import TrackColours
from napari_ulm3d.plugin.panels.parts.workers import WorkersBox
from napari_ulm3d.plugin.state.results import Result

__all__ = ["LocalizePanel"]

_STEPS = 1000
# Of so many localizations tracks are linked again as soon as a setting changes.
_LINKED_AT_ONCE = 300_000
_SETTLED_MS = 150


class LocalizePanel(Panel):
    """Localization by any method, and linking, of what is asked for."""

    title = "Localize & track"

    def build(self) -> None:
        self._job = Job(self)
        self._job.progressed.connect(self._on_progress)
        self._job.finished.connect(self._on_finished)
        self._job.failed.connect(self._on_failed)
        self._job.stopped.connect(self._on_stopped)
        self._job.ended.connect(self._enable)
        self._placer = Placer(self)
        # The result as it was computed, before it was linked again.
        self._computed: Result | None = None
        self._relinking = QTimer(self)
        self._relinking.setSingleShot(True)
        self._relinking.setInterval(_SETTLED_MS)
        self._relinking.timeout.connect(self._relink_when_idle)
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
        self.relink_button = button(
            "Link again",
            "Make tracks and maps anew from the localizations that are there, with the settings "
            "above and the least score; nothing is localized again. Up to "
            f"{_LINKED_AT_ONCE:,} localizations it is done as soon as a setting changes.",
            self._relink,
        )
        self.column.addWidget(self.relink_button)
        self.linking = note()
        self.linking.hide()
        self.column.addWidget(self.linking)
        self.colours = TrackColours(self.session)
        self.column.addWidget(Section("Colours of the tracks", self.colours))

    def _build_runs(self) -> None:
        self.column.addWidget(heading("Run"))
        self.folder = QLineEdit()
        self.folder.setPlaceholderText("keep the whole series in memory only")
        self.folder.setToolTip(
            "Results folder of a whole-series run: tables, maps and run.toml. A run that was "
            "stopped there goes on where it stopped."
        )
        self.row(self.folder, button("…", "Choose a results folder.", self._choose_folder))
        self.workers = WorkersBox()
        self.column.addWidget(Section("Workers", self.workers))
        self.window_frames = whole_number(
            2, 100_000, 32, "Length of a window about the frame under the time slider.", "frames"
        )
        rows = form()
        rows.addRow("Window", self.window_frames)
        self.column.addLayout(rows)
        self.frame_button = button(
            "This frame", "Localize the frame under the time slider.", self._run_frame
        )
        self.window_button = button(
            "This window", "Localize, track and map the frames about the time slider.",
            self._run_window,
        )  # fmt: skip
        self.block_button = button(
            "This block", "Localize, track and map the block under the time slider.",
            self._run_block,
        )  # fmt: skip
        self.series_button = button(
            "Whole series", "Localize, track and map the whole acquisition.", self._run_series
        )
        self.row(self.frame_button, self.window_button)
        self.row(self.block_button, self.series_button)
        self.bar = QProgressBar()
        self.bar.setRange(0, _STEPS)
        self.bar.setTextVisible(True)
        self.cancel_button = button(
            "Cancel", "Stop within a second; what is finished is kept.", self._cancel
        )
        self.row(self.bar, self.cancel_button)
        self.cluster = note()
        self.cluster.setOpenExternalLinks(True)
        self.cluster.hide()
        self.column.addWidget(self.cluster)
        self.status = note("No acquisition yet.")
        self.column.addWidget(self.status)
        self.changed = note()
        self.changed.setStyleSheet("color: #e08a00;")
        self.changed.hide()
        self.column.addWidget(self.changed)
        self.retry_button = button(
            "Retry broken blocks",
            "Work again on the blocks that were left out, with the settings of the run and into its "
            "results folder; the others are kept. Load files that were mended again first.",
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

    def _retry(self) -> None:
        acquisition, computed = self.session.acquisition, self._computed
        if acquisition is None or computed is None or not _can_retry(computed, acquisition):
            return
        try:
            execution = self.workers.execution()
        except UlmError as error:
            self.problem.say(str(error))
            return
        folder, tell = str(computed.folder), self._job.tell
        self._start(runs.series_work(acquisition, computed.config, folder, execution, tell))

    def _relink(self) -> None:
        computed = self._computed
        if computed is None:
            return
        self._linked_from = computed
        self._start(window_runs.relink_work(computed, self.session.config))

    def _start(self, work: Work) -> None:
        self.problem.say(None)
        self._began = time.perf_counter()
        self.bar.setRange(0, 0)
        self.bar.setFormat("")
        self.status.setText("Starting…")
        self._running_with = self.session.config
        self._say_what_changed()
        self.cluster.hide()
        self._job.start(work)
        self._enable()

    def _cancel(self) -> None:
        self._job.stop()
        self.status.setText("Stopping…")
        self.cancel_button.setEnabled(False)

    # --- linking again when settings change ------------------------------------------------------

    def _on_config(self, section: str) -> None:
        self._say_what_changed()
        if section in ("link", "network") and self._computed is not None:
            self._relinking.start()

    def _relink_when_idle(self) -> None:
        computed, shown = self._computed, self.session.result
        if computed is None or shown is None:
            return
        if self._job.running or self._placer.busy:
            self._relinking.start()
            return
        if not self._differs(shown):
            return
        self._say_about_score()
        if len(computed.localizations) <= _LINKED_AT_ONCE:
            self._relink()

    def _say_what_changed(self) -> None:
        session = self.session
        said = what_changed(session.config, self._running_with, self._computed, session.result)
        self.changed.setText(said)
        self.changed.setVisible(bool(said))

    def _differs(self, shown: Result) -> bool:
        """Whether the settings would make other tracks of the same localizations."""
        config = self.session.config
        same = shown.config.link == config.link
        if shown.config.localize.localizer == "network":
            same = same and shown.config.network.min_score == config.network.min_score
        return not same and len(shown.localizations) + len(shown.tracks) > 0

    def _say_about_score(self) -> None:
        computed, config = self._computed, self.session.config
        low = None if computed is None else computed.least_score(computed.config)
        least = None if computed is None else computed.least_score(config)
        below = low is not None and least is not None and least < low
        self.linking.setText(
            f"The run kept bubbles from a score of {low:g} on: for a lower one run it again."
            if below
            else ""
        )
        self.linking.setVisible(below)

    def _on_result(self) -> None:
        result = self.session.result
        computed = None if result is None else self.session.history.computed_of(result)
        if computed is not self._computed:
            self._computed = computed
            self.linking.hide()
        self._say_what_changed()
        self._enable()

    # --- hearing -------------------------------------------------------------------------------

    def _on_progress(self, progress: runs.Progress) -> None:
        if progress.share is None:
            self.bar.setRange(0, 0)
        else:
            self.bar.setRange(0, _STEPS)
            self.bar.setValue(round(_STEPS * progress.share))
            self.bar.setFormat("%p %")
        if progress.note:
            self.cluster.setText(progress.note)
            self.cluster.show()
        self.status.setText(progress.text(time.perf_counter() - self._began))
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
        rows = result.rows() if result.report is None else result.report.rows()
        lines = [f"{name}: {value}" for name, value in rows]
        if result.folder is not None:
            lines.append(f"results folder: {result.folder}")
        if not result.complete:
            lines.append("What was finished is kept; its layers say that it was stopped early.")
        lines += [f"left out: {block.reason}" for block in result.failed[:5]]
        self.status.setText("\n".join(lines))
        self._say_what_changed()

    def _on_stopped(self) -> None:
        self._linked_from = self._running_with = None
        self._say_what_changed()
        self.status.setText("Stopped before a block was finished.")

    def _on_failed(self, problem: Any) -> None:
        self._linked_from = self._running_with = None
        self._say_what_changed()
        self.status.setText("")
        self.problem.say(problem)

    _linked_from: Result | None = None
    # Settings of the run that is going on.
    _running_with: PipelineConfig | None = None

    def _on_acquisition(self) -> None:
        acquisition = self.session.acquisition
        self._computed = None
        self.status.setText(
            "No acquisition yet."
            if acquisition is None
            else f"{acquisition.name}: {acquisition.n_frames:,} frames."
        )
        self._enable()

    def _enable(self) -> None:
        idle = not (self._job.running or self._placer.busy)
        ready = idle and self.session.acquisition is not None
        for push in (
            self.frame_button, self.window_button, self.block_button, self.series_button
        ):  # fmt: skip
            push.setEnabled(ready)
        computed, acquisition = self._computed, self.session.acquisition
        self.relink_button.setEnabled(idle and computed is not None)
        self.retry_button.setVisible(
            computed is not None and acquisition is not None and _can_retry(computed, acquisition)
        )
        self.retry_button.setEnabled(ready)
        self.cancel_button.setEnabled(not idle and not self._job.stopping)
        if idle:
            self.bar.setRange(0, _STEPS)
            self.bar.setValue(0)
            self.bar.setFormat("")


def _can_retry(computed: Result, acquisition: Acquisition) -> bool:
    """Whether blocks are missing from the results folder of this very acquisition."""
    same = set(computed.files) == set(runs.files_of(acquisition))
    return bool(computed.failed) and computed.folder is not None and same
