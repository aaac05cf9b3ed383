"""A movie of the view: rotating, or through time."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import (
    QComboBox,
    QHBoxLayout,
    QProgressBar,
    QVBoxLayout,
    QWidget,
)

from napari_ulm3d.plugin.controls.calm import calm
from napari_ulm3d.plugin.controls.rows import form, number, whole_number
from napari_ulm3d.plugin.jobs.movie import SUFFIXES, Movie, MovieMaker, missing
from napari_ulm3d.plugin.panels.panel import ProblemLine, button, note
from napari_ulm3d.plugin.panels.parts.export.preview import PreviewLabel

__all__ = ["MovieBox"]

_KINDS = {"turn": "camera, one turn of the 3-D view", "time": "time, first frame to last"}


class MovieBox(QWidget):
    """Settings, preview and saving of a movie, which is drawn frame by frame and can be stopped."""

    def __init__(self, panel: Any) -> None:
        super().__init__()
        self._panel = panel
        self.maker = MovieMaker(self)
        self.maker.progressed.connect(self._on_progress)
        self.maker.finished.connect(self._on_finished)
        self.maker.previewed.connect(self._on_previewed)
        self.maker.failed.connect(self._on_failed)
        self.maker.ended.connect(self._enable)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(6)
        rows = form()
        self.kind = calm(QComboBox())
        for name, label in _KINDS.items():
            self.kind.addItem(label, name)
        self.kind.setToolTip("Rotate the camera about the vertical axis, or play through time.")
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
        self.preview_button = button(
            "Preview", "Show four frames as they will look in the movie.", self._preview
        )
        self.save_button = button(
            "Save movie…", "Save as .mp4, .gif, .mov, .avi or .mkv.", self._choose_file
        )
        self.stop_button = button("Stop", "Stop the movie; no file is saved.", self.maker.stop)
        for push in (self.preview_button, self.save_button, self.stop_button):
            row.addWidget(push)
        column.addLayout(row)
        self.preview = PreviewLabel()
        column.addWidget(self.preview)
        self.bar = QProgressBar()
        self.bar.hide()
        column.addWidget(self.bar)
        self.status = note(missing())
        column.addWidget(self.status)
        self.problem = ProblemLine()
        column.addWidget(self.problem)
        self._enable()

    def _choose_file(self) -> None:
        path = self._panel.ask_where("Movie", "movie", SUFFIXES)
        if path is not None:
            self.save(path)

    def save(self, path: str) -> None:
        """Draw the movie into a file."""
        self.problem.say(None)
        self.status.setText("Rendering frames…")
        self.maker.start(self._panel.viewer, path, self._movie())
        self._enable()

    def _preview(self) -> None:
        self.problem.say(None)
        self.maker.preview(self._panel.viewer, self._movie())
        self._enable()

    def _movie(self) -> Movie:
        """The values of the fields."""
        viewer, acquisition = self._panel.viewer, self._panel.session.acquisition
        span = (0.0, 0.0)
        if acquisition is not None:
            span = (0.0, (acquisition.n_frames - 1) / acquisition.rate_hz)
        elif viewer.dims.ndim > 3:
            first, last, _ = viewer.dims.range[-4]
            span = (float(first), float(last))
        return Movie(
            self.kind.currentData(),
            seconds=self.seconds.value(),
            fps=self.fps.value(),
            width=self.width_px.value(),
            span_s=span,
        )

    def _enable(self) -> None:
        running = self.maker.running
        for push in (self.save_button, self.preview_button):
            push.setEnabled(not running and not missing())
        self.stop_button.setEnabled(running)
        self.bar.setVisible(running)
        self.status.setVisible(bool(self.status.text()))

    def _on_progress(self, done: int, of: int) -> None:
        self.bar.setRange(0, of)
        self.bar.setValue(done)
        self.bar.setFormat("frame %v of %m")

    def _on_finished(self, path: str) -> None:
        self.status.setText(f"Wrote {path}")

    def _on_previewed(self, frames: list[Any]) -> None:
        height, width, _ = frames[0].shape
        self.preview.show_pictures(
            frames, f"Four of the frames, {width} x {height} pixels, reduced"
        )

    def _on_failed(self, sentence: str) -> None:
        self.status.setText("")
        self.problem.say(sentence)
