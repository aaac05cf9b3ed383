"""Motion of the tissue in the current block: curves, and an M-mode picture before and after correction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_ulm3d.motion import BlockMotion, bends, bent_um, gains, rms_um
from napari_ulm3d.plugin.controls.form import SettingsForm
from napari_ulm3d.plugin.controls.pictures import Picture, m_mode_picture
from napari_ulm3d.plugin.controls.plot import Plot
from napari_ulm3d.plugin.jobs.job import LatestJob, Problem, Stop, waits
from napari_ulm3d.plugin.panels.panel import ProblemLine, heading, note
from napari_ulm3d.plugin.panels.parts.motion.motion_curves import motion_curves
from napari_ulm3d.plugin.session import Session

__all__ = ["MotionBox"]


@dataclass(frozen=True)
class _Moved:
    """The motion of one block as shown by the box."""

    table: pd.DataFrame
    words: str
    picture: Picture


class MotionBox(QWidget):
    """Settings of the motion correction, and what they find in the current block."""

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._job = LatestJob(self)
        self._job.finished.connect(self._on_moved)
        self._job.failed.connect(self._on_failed)
        self._moved: _Moved | None = None
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(heading("Motion of the tissue"))
        self.form = SettingsForm(session, "motion")
        column.addWidget(self.form)
        self.words = note()
        column.addWidget(self.words)
        self.curves = Plot("time (s)", "displacement (µm)", height=160)
        self.curves.setToolTip(
            "Displacement along z (blue), y (green) and x (orange) in the current block. Dashed: rms "
            "deformation. Red: frames left out because the tissue moved abruptly."
        )
        column.addWidget(self.curves)
        self.picture = QLabel()
        self.picture.setToolTip(
            "The central axial line over time, unfiltered: depth downwards. After correction, "
            "the tissue appears as horizontal stripes."
        )
        column.addWidget(self.picture)
        self.problem = ProblemLine()
        column.addWidget(self.problem)
        self._show()

    def clear(self) -> None:
        """Show nothing, for another acquisition."""
        self._moved = None
        self._show()

    def look(self) -> None:
        """Estimate the motion in the current block if it is to be corrected."""
        session = self._session
        preview, config, frame = session.preview, session.config, session.frame
        if preview is None or config.motion.method == "none":
            self._job.stop()
            self.clear()
            return

        def work(stop: Stop) -> _Moved:
            block, motion, before, after = preview.motion(config, frame)
            spacing = preview.acquisition.grid.spacing_um
            return _Moved(
                motion.to_table(block.first_frame, preview.acquisition.rate_hz),
                _words(motion, spacing, config.motion.method == "auto"),
                m_mode_picture(before, after),
            )

        self.words.setText("Estimating the motion…")
        self.words.setVisible(True)
        self._job.request(waits(work))

    def changeEvent(self, event: Any) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and "_moved" in self.__dict__:
            self._draw()

    def _on_moved(self, moved: _Moved) -> None:
        self.problem.say(None)
        # The method may have been changed to none in the meantime.
        self._moved = None if self._session.config.motion.method == "none" else moved
        self._show()

    def _on_failed(self, problem: Problem) -> None:
        self.clear()
        self.problem.say(problem)

    def _show(self) -> None:
        moved = self._moved
        for part in (self.words, self.curves, self.picture):
            part.setVisible(moved is not None)
        self.words.setText("" if moved is None else moved.words)
        if moved is not None:
            curves, y_range = motion_curves(moved.table)
            self.curves.show_curves(curves, y_range=y_range)
        self._draw()

    def _draw(self) -> None:
        if self._moved is not None:
            ink = self.palette().windowText().color()
            self.picture.setPixmap(self._moved.picture.pixmap(ink))


def _words(motion: BlockMotion, spacing_um: tuple[float, float, float], auto: bool) -> str:
    lines = [
        f"{rms_um(motion.displacement_um[~motion.broken]):.1f} µm rms; correlation of the frames "
        f"{motion.before.mean():.3f}, corrected {motion.correlation.mean():.3f}; "
        f"{int(motion.broken.sum())} of {len(motion.broken)} frames left out."
    ]
    if motion.deformed is not None:
        field = motion.deformed
        lines.append(
            f"Deformation {bent_um([field]):.1f} µm rms; correlation {field.before:.4f} without, "
            f"{field.after:.4f} with it."
        )
    if auto:
        gain, bent = gains([motion], [np.zeros(3)], spacing_um), bends([motion], spacing_um)
        chosen = "deformable" if bent else "rigid" if gain else "none"
        lines.append(f"In this block alone, auto would choose: {chosen}.")
    return "\n".join(lines)
