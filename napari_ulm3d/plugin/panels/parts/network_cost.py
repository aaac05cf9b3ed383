"""Estimated cost of a network run, from its speed measured on this device."""

from __future__ import annotations

from typing import Any

from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_ulm3d.pipeline.localizers import MeasuredNetwork, cost, measured_network
from napari_ulm3d.plugin.jobs.job import LatestJob, Problem, waits
from napari_ulm3d.plugin.panels.panel import heading, note
from napari_ulm3d.plugin.session import Session

__all__ = ["NetworkCost"]


class NetworkCost(QWidget):
    """Time and memory for the whole series, if all frames keep as many voxels as the current one.

    Attributes
    ----------
    measured
        The network and its speed; None before it is measured.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        self._n_kept = 0
        self.measured: MeasuredNetwork | None = None
        self._job = LatestJob(self)
        self._job.finished.connect(self._on_measured)
        self._job.failed.connect(self._on_failed)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.addWidget(heading("Estimated cost of a network run"))
        self._note = note()
        self._note.setToolTip(
            "Time for the whole series if every frame keeps as many voxels as this one, "
            "from the network's speed measured on this device, and peak memory of its "
            "windows. The estimate is for the chosen localization network, or for the "
            "bubble network if none is chosen. Windows are smaller if memory is short."
        )
        column.addWidget(self._note)

    def text(self) -> str:
        """The text shown."""
        return str(self._note.text())

    def measure(self) -> None:
        """Measure the speed of the chosen network on the chosen device."""
        if not self.isVisible():
            return
        config, acquisition = self._session.config, self._session.acquisition
        if self.measured is None:
            self._note.setText("Measuring the network's speed on this device…")
        flat = acquisition is not None and acquisition.grid.shape[1] == 1
        self._job.request(waits(lambda stop: measured_network(config, stop, flat=flat)))

    def _on_failed(self, problem: Problem) -> None:
        self._note.setText(problem.sentence)

    def _on_measured(self, measured: Any) -> None:
        self.measured = measured
        self.show_cost(self._n_kept)

    def show_cost(self, n_kept: int) -> None:
        """Show the cost for frames of `n_kept` voxels."""
        self._n_kept = n_kept
        acquisition, measured, config = (
            self._session.acquisition, self.measured, self._session.config
        )  # fmt: skip
        if acquisition is None or measured is None:
            return
        sparse = cost(measured, n_kept, acquisition, config)
        dense = cost(measured, acquisition.grid.size, acquisition, config)
        where = "GPU" if measured.loaded.device == "cuda" else "CPU"
        both = (
            f"Dense (this network is always dense): {dense}."
            if measured.rate.dense
            else f"Sparse: {sparse}.\nDense: {dense}."
        )
        self._note.setText(
            f"{both}\n{acquisition.n_frames:,} frames with the {measured.whose} on the "
            f"{where}, measured at {measured.rate.voxels_per_s:,.0f} voxels/s."
        )
