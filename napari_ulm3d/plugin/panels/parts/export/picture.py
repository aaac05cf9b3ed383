"""A picture of the view of any width, with a preview."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QHBoxLayout, QSpinBox, QVBoxLayout, QWidget

from napari_ulm3d.plugin.jobs.job import Job
from napari_ulm3d.plugin.jobs.picture import picture_of, picture_size, png_work
from napari_ulm3d.plugin.napari_private import canvas_size
from napari_ulm3d.plugin.panels.panel import button
from napari_ulm3d.plugin.panels.parts.export.preview import PreviewLabel

__all__ = ["PictureBox"]


class PictureBox(QWidget):
    """Width, preview and saving of a picture of the canvas.

    Parameters
    ----------
    panel
        The panel, which asks for a path and shows messages and errors.
    """

    def __init__(self, panel: Any) -> None:
        super().__init__()
        self._panel = panel
        self.job = Job(self)
        self.job.finished.connect(lambda path: panel.status.setText(f"Wrote {path}"))
        self.job.failed.connect(lambda problem: panel.problem.say(problem))
        self.job.ended.connect(self._on_ended)
        self.width_px = QSpinBox()
        self.width_px.setRange(200, 8000)
        self.width_px.setValue(1600)
        self.width_px.setSuffix(" pixels wide")
        self.width_px.setToolTip(
            "Width of the image, independent of the window size; it shows what the view shows."
        )
        self.preview_button = button(
            "Preview", "Show below what the picture will look like.", self._preview
        )
        self.save_button = button(
            "Save PNG…", "Save the canvas with its colour bar and scale bar.", self._choose
        )
        self.preview = PreviewLabel()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        row = QHBoxLayout()
        for widget in (self.width_px, self.preview_button, self.save_button):
            row.addWidget(widget)
        column.addLayout(row)
        column.addWidget(self.preview)

    def _on_ended(self) -> None:
        self.save_button.setEnabled(True)

    def _take(self) -> Any:
        viewer = self._panel.viewer
        size = picture_size(viewer, self.width_px.value())
        return picture_of(viewer, size, canvas_size(viewer))

    def _preview(self) -> None:
        picture = self._take()
        height, width, _ = picture.shape
        self.preview.show_pictures([picture], f"{width} x {height} pixels, reduced")

    def _choose(self) -> None:
        path = self._panel.ask_where("Picture", "view", [".png"])
        if path is not None:
            self.save(path)

    def save(self, path: str) -> None:
        """Write the canvas as a picture of the chosen width."""
        if self.job.running:
            return
        self._panel.problem.say(None)
        self._panel.status.setText("Writing…")
        self.save_button.setEnabled(False)
        self.job.start(png_work(self._take(), path))
