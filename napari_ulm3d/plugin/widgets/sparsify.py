"""Sparsify: which voxels of the correlation map are kept, seen on the frame at hand."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QCheckBox

from napari_ulm3d.config import SparsifyConfig
from napari_ulm3d.plugin.forms import SettingsForm
from napari_ulm3d.plugin.job import LatestJob, Stop, waits
from napari_ulm3d.plugin.layers import mask_layer
from napari_ulm3d.plugin.placing import find_layer, make_layer, place, remove
from napari_ulm3d.plugin.plots import Curve, Plot
from napari_ulm3d.plugin.session import Session
from napari_ulm3d.plugin.widgets.following import FrameFollower
from napari_ulm3d.plugin.widgets.panel import Panel, note
from napari_ulm3d.sparsify import local_contrast_db

__all__ = ["SparsifyPanel"]

_ROLE = "kept voxels"
_BINS = 100
_CONTRAST_RANGE_DB = (-20.0, 30.0)
# Settings that a strategy's map depends on, beside the filter and the PSF.
_THRESHOLDS = {"threshold": "threshold", "contrast": "min_snr_db"}


@dataclass(frozen=True)
class _Level:
    """The quantity that a strategy compares, on one frame, and its histogram.

    Attributes
    ----------
    values
        (z, y, x): |c|^2, or the local contrast in dB.
    powers
        topk: |c|^2 of the whole block, ascending; else None.
    """

    frame: int
    strategy: str
    values: NDArray[np.float32]
    centres: NDArray[np.float64]
    counts: NDArray[np.int64]
    powers: NDArray[np.float32] | None

    def bar(self, config: SparsifyConfig) -> float:
        """The value from which on voxels are kept."""
        if self.strategy == "contrast":
            return config.min_snr_db
        if self.powers is None:
            return config.threshold
        n = self.powers.size
        bar = float(self.powers[max(n - config.top_k, 0)])
        return max(bar, float(np.nextafter(np.float32(0), np.float32(1))))


class SparsifyPanel(Panel):
    """Strategy and threshold, with the histogram and the kept voxels of the current frame."""

    title = "Sparsify"

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._follower = FrameFollower(self, self._look)

    def build(self) -> None:
        self._level: _Level | None = None
        self._job = LatestJob(self)
        self._job.finished.connect(self._on_level)
        self._job.failed.connect(self._on_failed)
        # Many moves of the slider within one turn of the event loop are one redraw.
        self._redraw = QTimer(self)
        self._redraw.setSingleShot(True)
        self._redraw.setInterval(0)
        self._redraw.timeout.connect(self._show_kept)
        self.form = SettingsForm(
            self.session, "sparsify", when={"patch_voxels": ("strategy", ("contrast",))}
        )
        self.column.addWidget(self.form)
        self.histogram = Plot("squared correlation |c|²", "voxels", log_y=True)
        self.histogram.setToolTip(
            "Voxels of the current frame. Drag the yellow line: what lies to the right is kept."
        )
        self.histogram.dragged.connect(self._on_dragged)
        self.column.addWidget(self.histogram)
        self.show_overlay = QCheckBox("Show kept voxels in the viewer")
        self.show_overlay.setToolTip("Green over the current frame; follows the time slider.")
        self.show_overlay.setChecked(True)
        self.show_overlay.clicked.connect(self._show_kept)
        self.column.addWidget(self.show_overlay)
        self.kept = note("No acquisition yet.")
        self.column.addWidget(self.kept)
        self.histogram.show_message("The histogram of the current frame comes here.")
        self.session.config_changed.connect(self._on_config)
        self.session.acquisition_changed.connect(self._on_acquisition)

    # --- when to look again -----------------------------------------------------------------

    def showEvent(self, event: Any) -> None:
        """Look when the panel comes into sight."""
        super().showEvent(event)
        self._look()

    def _on_acquisition(self) -> None:
        self._level = None
        remove(self.viewer, _ROLE)
        self._look()

    def _on_config(self, section: str) -> None:
        if section in ("clutter", "psf", "load"):
            self._look()
        elif section == "sparsify":
            config = self.session.config.sparsify
            level = self._level
            same = level is not None and level.strategy == config.strategy
            if (same and config.strategy != "contrast") or (
                same and config.patch_voxels == self._patch
            ):
                self._redraw.start()
            else:
                self._look()

    def _look(self) -> None:
        preview, config, frame = self.session.preview, self.session.config, self.session.frame
        if preview is None or not self.isVisible():
            return
        settings = config.sparsify
        if self._level is None:
            self.kept.setText("Correlating with the PSF…")

        def work(stop: Stop) -> _Level:
            correlation = preview.correlation(config, frame)
            powers = None
            if settings.strategy == "contrast":
                values = local_contrast_db(correlation, settings.patch_voxels)
                low, high = _CONTRAST_RANGE_DB
                values = np.nan_to_num(values, neginf=-1e3, posinf=1e3)
            else:
                values = np.square(np.abs(correlation)).astype(np.float32, copy=False)
                low, high = 0.0, 1.0
            if settings.strategy == "topk":
                powers = preview.block_powers(config, frame, stop)
            counts, edges = np.histogram(np.clip(values, low, high), _BINS, (low, high))
            return _Level(
                frame, settings.strategy, values, (edges[1:] + edges[:-1]) / 2, counts, powers
            )

        self._patch = settings.patch_voxels
        self._job.request(waits(work))

    # --- showing -----------------------------------------------------------------------------

    def _on_level(self, level: _Level) -> None:
        self.problem.say(None)
        self._level = level
        contrast = level.strategy == "contrast"
        self.histogram.x_label = "local contrast (dB)" if contrast else "squared correlation |c|²"
        step = float(level.centres[1] - level.centres[0])
        span = (float(level.centres[0]) - step / 2, float(level.centres[-1]) + step / 2)
        counts = level.counts.astype(float)
        self.histogram.show_curves(
            [Curve(level.centres, counts, bars=True)],
            x_range=span,
            y_range=(0.8, max(float(counts.max()) * 1.5, 10.0)),
        )
        self._show_kept()

    def _show_kept(self) -> None:
        level, acquisition = self._level, self.session.acquisition
        if level is None or acquisition is None or level.values.shape != acquisition.grid.shape:
            return
        bar = level.bar(self.session.config.sparsify)
        self.histogram.set_lines(
            [bar],
            draggable=level.strategy in _THRESHOLDS,
            shade=(bar, float(level.centres[-1]) * 1.1 + 1),
        )
        mask = level.values >= np.float32(bar)
        n_kept = int(np.count_nonzero(mask))
        share = 100 * n_kept / mask.size
        self.kept.setText(
            f"Frame {level.frame}: {n_kept:,} of {mask.size:,} voxels kept ({share:.3g} %)."
        )
        if not self.show_overlay.isChecked():
            remove(self.viewer, _ROLE)
            return
        old = find_layer(self.viewer, _ROLE)
        if old is not None and old.data.shape == mask.shape:
            old.data = mask.view(np.uint8)
        else:
            place(self.viewer, make_layer(mask_layer("kept voxels", mask, acquisition.grid), _ROLE))

    def _on_dragged(self, line: int, place_: float) -> None:
        name = _THRESHOLDS[self.session.config.sparsify.strategy]
        self.session.change("sparsify", **{name: round(place_, 4)})

    def _on_failed(self, problem: Any) -> None:
        self.kept.setText("")
        self.problem.say(problem)
