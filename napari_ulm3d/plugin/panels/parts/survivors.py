"""How many true bubbles of a frame survive sparsification, if the ground truth is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_ulm3d.evaluate import bubbles_kept, read_truth
from napari_ulm3d.evaluate.pairing import inner
from napari_ulm3d.plugin.jobs.job import LatestJob, Stop, waits
from napari_ulm3d.plugin.panels.panel import note
from napari_ulm3d.plugin.session import Session

__all__ = ["Survivors"]


class Survivors(QWidget):
    """A line about the true bubbles that are kept.

    Signals
    -------
    came()
        The truth was read.
    failed(Problem)
        It cannot be read.
    """

    came = Signal()
    failed = Signal(object)

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        # Positions (n, 3), um, by frame.
        self._truth: dict[int, NDArray[np.float64]] | None = None
        self._path: Path | None = None
        self._job = LatestJob(self)
        self._job.finished.connect(self._on_read)
        self._job.failed.connect(self.failed.emit)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        self._note: QLabel = note()
        self._note.setToolTip(
            "True bubbles in this frame with a kept voxel within one voxel. No network can "
            "find a bubble dropped here."
        )
        column.addWidget(self._note)

    def text(self) -> str:
        """The text shown."""
        return str(self._note.text())

    def forget(self) -> None:
        """Reset: another acquisition has another ground truth."""
        self._truth = self._path = None
        self._note.setText("")

    def read(self) -> None:
        """Read the acquisition's ground truth, if it has one, once."""
        path = self._session.truth_path
        if path is None or path == self._path:
            return
        self._path = path

        def work(stop: Stop) -> dict[int, NDArray[np.float64]]:
            truth = read_truth(path)
            order = np.argsort(truth.frames, kind="stable")
            frames, first = np.unique(truth.frames[order], return_index=True)
            parts = np.split(truth.positions_um[order], first[1:])
            return dict(zip(frames.tolist(), parts, strict=True))

        self._job.request(waits(work))

    def _on_read(self, truth: dict[int, NDArray[np.float64]]) -> None:
        self._truth = truth
        self.came.emit()

    def show_of(self, frame: int, mask: NDArray[np.bool_]) -> None:
        """Count the true bubbles of a frame that keep a voxel of `mask` (z, y, x)."""
        acquisition = self._session.acquisition
        if self._truth is None or acquisition is None:
            return
        positions = self._truth.get(frame, np.empty((0, 3)))
        in_view = positions[inner(positions, acquisition.grid, 0.0)]
        n = len(in_view)
        if not n:
            self._note.setText("No true bubbles in this frame.")
            return
        survive = int(bubbles_kept(mask, in_view, acquisition.grid).sum())
        self._note.setText(f"{survive} of {n} true bubbles kept ({100 * survive / n:.0f} %).")
