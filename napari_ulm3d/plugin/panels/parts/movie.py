"""A movie of the view: turning, or over time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtWidgets import (
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QProgressBar,
    QVBoxLayout,
    QWidget,
)

from napari_ulm3d.plugin.controls.calm import calm
from napari_ulm3d.plugin.controls.rows import form, number, whole_number
from napari_ulm3d.plugin.jobs.movie import SUFFIXES, MovieMaker, missing
from napari_ulm3d.plugin.panels.panel import ProblemLine, button, note

__all__ = ["MovieBox"]

_KINDS = {"turn": "camera, one turn of the 3-D view", "time": "time, first frame to last"}
_ENDINGS = ";;".join(f"*{suffix}" for suffix in SUFFIXES)


class MovieBox(QWidget):
    """What moves, how long, how large; drawn frame by frame, and it can be stopped."""

    def __init__(self, panel: Any) -> None:
        super().__init__()
        self._panel = panel
        self.maker = MovieMaker(self)
        self.maker.progressed.connect(self._on_progress)
        self.maker.finished.connect(self._on_finished)
        self.maker.failed.connect(self._on_failed)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        rows = form()
        self.kind = calm(QComboBox())
        for name, label in _KINDS.items():
            self.kind.addItem(label, name)
        self.kind.setToolTip("Animate the camera around the vertical axis, or time.")
        self.seconds = number(0.1, 600, 6.0, "Duration of the movie.", unit="s")
        self.fps = whole_number(1, 60, 20, "Frame rate of the movie.", "frames/s")
        self.width_px = whole_number(
            64,
            4096,
            960,
            "Width of each frame; the height follows from the shape of the canvas.",
            "pixels wide",
        )
        rows.addRow("Animate", self.kind)
        rows.addRow("Duration", self.seconds)
        rows.addRow("Frame rate", self.fps)
        rows.addRow("Width", self.width_px)
        column.addLayout(rows)
        row = QHBoxLayout()
        self.save_button = button(
            "Save movie…", "Save as .mp4, .gif, .mov, .avi or .mkv.", self._choose_file
        )
        self.stop_button = button("Stop", "Stop the movie; no file is saved.", self.maker.stop)
        row.addWidget(self.save_button)
        row.addWidget(self.stop_button)
        column.addLayout(row)
        self.bar = QProgressBar()
        self.bar.hide()
        column.addWidget(self.bar)
        self.status = note(missing())
        column.addWidget(self.status)
        self.problem = ProblemLine()
        column.addWidget(self.problem)
        self._enable()

    def _choose_file(self) -> None:
        path, _ = QFileDialog.getSaveFileName(self, "Movie", "movie.mp4", _ENDINGS)
        if path:
            self.save(path if Path(path).suffix else f"{path}.mp4")

    def save(self, path: str) -> None:
        """Draw the movie into a file."""
        self.problem.say(None)
        viewer, acquisition = self._panel.viewer, self._panel.session.acquisition
        span = (0.0, 0.0)
        if acquisition is not None:
            span = (0.0, (acquisition.n_frames - 1) / acquisition.rate_hz)
        elif viewer.dims.ndim > 3:
            first, last, _ = viewer.dims.range[-4]
            span = (float(first), float(last))
        self.status.setText("Rendering frames…")
        self.maker.start(
            viewer,
            path,
            self.kind.currentData(),
            seconds=self.seconds.value(),
            fps=self.fps.value(),
            width=self.width_px.value(),
            span_s=span,
        )
        self._enable()

    def _enable(self) -> None:
        running = self.maker.running
        self.save_button.setEnabled(not running and not missing())
        self.stop_button.setEnabled(running)
        self.bar.setVisible(running)
        self.status.setVisible(bool(self.status.text()))

    def _on_progress(self, done: int, of: int) -> None:
        self.bar.setRange(0, of)
        self.bar.setValue(done)
        self.bar.setFormat("frame %v of %m")

    def _on_finished(self, path: str) -> None:
        self.status.setText(f"Wrote {path}")
        self._enable()

    def _on_failed(self, sentence: str) -> None:
        self.status.setText("")
        self.problem.say(sentence)
        self._enable()
