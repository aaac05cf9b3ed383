"""Progress of a run, and its report at the end."""

from __future__ import annotations

import time
from typing import Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QHBoxLayout, QProgressBar, QScrollArea, QVBoxLayout, QWidget

from napari_ulm3d._caches import nothing_compiled_yet
from napari_ulm3d.plugin.controls.words import in_the_widgets_words
from napari_ulm3d.plugin.jobs.progress import Progress
from napari_ulm3d.plugin.panels.panel import button, note
from napari_ulm3d.plugin.state.results import Result
from napari_ulm3d.system.shown_units import in_display_units

__all__ = ["RunProgress"]

_STEPS = 1000
_COMPILING = "The first run after installation also compiles its functions, about a minute."


class RunProgress(QWidget):
    """The progress bar with its cancel button, the link to the workers, and a note.

    Attributes
    ----------
    bar, cancel_button, cluster, status
        The widgets.
    """

    def __init__(self, cancel: Any) -> None:
        super().__init__()
        self._began = 0.0
        self._compiles = False
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        self.bar = QProgressBar()
        self.bar.setRange(0, _STEPS)
        self.bar.setTextVisible(True)
        self.cancel_button = button("Cancel", "Stop the run; finished blocks are kept.", cancel)
        row = QHBoxLayout()
        row.setSpacing(6)
        row.addWidget(self.bar)
        row.addWidget(self.cancel_button)
        column.addLayout(row)
        self.cluster = note()
        self.cluster.setOpenExternalLinks(True)
        self.cluster.hide()
        column.addWidget(self.cluster)
        self.status = note("No acquisition loaded.")
        column.addWidget(self.status)

    def begin(self) -> None:
        """Show that a run has started."""
        self._began = time.perf_counter()
        self._compiles = nothing_compiled_yet()
        self.bar.setRange(0, 0)
        self.bar.setFormat("")
        self.status.setText("Starting…")
        self.cluster.hide()

    def come_into_view(self) -> None:
        """Scroll the panel to the bar once it is laid out."""
        QTimer.singleShot(0, self, self._scroll)

    def _scroll(self) -> None:
        area = self.parentWidget()
        while area is not None and not isinstance(area, QScrollArea):
            area = area.parentWidget()
        if area is not None:
            area.ensureWidgetVisible(self, 0, 8)

    def stopping(self) -> None:
        """Show that the run was asked to stop."""
        self.status.setText("Stopping…")
        self.cancel_button.setEnabled(False)

    def show_progress(self, progress: Progress) -> None:
        """Show the progress."""
        if progress.share is None:
            self.bar.setRange(0, 0)
        else:
            self.bar.setRange(0, _STEPS)
            self.bar.setValue(round(_STEPS * progress.share))
            self.bar.setFormat("%p %")
        if progress.note:
            self.cluster.setText(progress.note)
            self.cluster.show()
        text = progress.text(time.perf_counter() - self._began)
        waits = self._compiles and not progress.n_frames
        self.status.setText(f"{text}\n{_COMPILING}" if waits else text)

    def show_result(self, result: Result) -> None:
        """Show the outcome."""
        rows = result.rows() if result.report is None else result.report.rows()
        lines = [in_display_units(f"{name}: {value}") for name, value in rows]
        if result.folder is not None:
            lines.append(f"results folder: {result.folder}")
        if not result.complete:
            lines.append("Finished blocks are kept; their layers are marked as stopped early.")
        lines += [f"skipped: {block.reason}" for block in result.failed[:5]]
        if result.report is not None:
            advice = map(in_the_widgets_words, result.report.advised())
            lines += [in_display_units(f"What next: {said}") for said in advice]
        self.status.setText("\n".join(lines))

    def rest(self) -> None:
        """Show that nothing is running."""
        self.bar.setRange(0, _STEPS)
        self.bar.setValue(0)
        self.bar.setFormat("")
