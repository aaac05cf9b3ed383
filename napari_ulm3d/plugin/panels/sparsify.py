"""Sparsify: which voxels of the correlation map are kept, seen on the frame at hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QCheckBox

from napari_ulm3d.config import SparsifyConfig
from napari_ulm3d.evaluate import bubbles_kept, read_truth
from napari_ulm3d.evaluate.pairing import inner
from napari_ulm3d.pipeline.localizers import MeasuredNetwork, cost, measured_network
from napari_ulm3d.plugin.controls.form import SettingsForm
from napari_ulm3d.plugin.controls.frame_follower import FrameFollower
from napari_ulm3d.plugin.controls.plot import Curve, Plot
from napari_ulm3d.plugin.jobs.job import LatestJob, Stop, waits
from napari_ulm3d.plugin.layers.convert import mask_layer
from napari_ulm3d.plugin.layers.place import find_layer, make_layer, place, remove
from napari_ulm3d.plugin.panels.panel import Panel, heading, note
from napari_ulm3d.plugin.session import Session
from napari_ulm3d.plugin.state.preview import block_at, for_network, kept_in
from napari_ulm3d.sparse_frames import SparseFrames
from napari_ulm3d.sparsify import (
    local_contrast_db,
    power,
    reaches_threshold,
    sparsify_topk,
    stands_out,
)

__all__ = ["SparsifyPanel"]

_ROLE = "kept voxels"
_BINS = 100
_CONTRAST_RANGE_DB = (-20.0, 30.0)
# The setting that is dragged in the histogram, by strategy.
_THRESHOLDS = {"threshold": "threshold", "contrast": "min_snr_db"}
# Settings that act on a level that is there; all others need another one.
_BARS = {"threshold", "min_snr_db", "top_k"}


@dataclass(frozen=True)
class _Level:
    """The quantity that a strategy compares, on one frame, and its histogram.

    Attributes
    ----------
    values
        (z, y, x): |c|^2, or the local contrast in dB.
    strongest, at
        topk: the strongest voxels of the whole block, and the place of the frame in it.
    learned
        learned: the mask; else None.
    """

    frame: int
    strategy: str
    values: NDArray[np.float32]
    centres: NDArray[np.float64]
    counts: NDArray[np.int64]
    strongest: SparseFrames | None = None
    at: int = 0
    learned: NDArray[np.bool_] | None = None

    def kept(self, config: SparsifyConfig) -> tuple[NDArray[np.bool_], float]:
        """Which voxels are kept, by the rules of the stage, and the value from which on."""
        if self.learned is not None:
            return self.learned, np.nan
        if self.strategy == "contrast":
            return stands_out(self.values, config), config.min_snr_db
        if self.strongest is None:
            return reaches_threshold(self.values, config), config.threshold
        among = self.strongest
        chosen = sparsify_topk([among.values.reshape(1, 1, 1, -1)], config).coordinates[:, 3]
        mask = kept_in(
            SparseFrames(among.coordinates[chosen], among.values[chosen], among.shape), self.at
        )
        bar = power(among.values[chosen]).min() if chosen.size else np.finfo(np.float32).tiny
        return mask, float(bar)

    def serves(self, config: SparsifyConfig) -> bool:
        """Whether as many of the block's strongest voxels are at hand as are to be kept."""
        return self.strongest is None or config.top_k <= len(self.strongest)


class SparsifyPanel(Panel):
    """Strategy and threshold, with the histogram and the kept voxels of the current frame."""

    title = "Sparsify"

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._follower = FrameFollower(self, self._look)

    def build(self) -> None:
        self._level: _Level | None = None
        self._looked_with = self.session.config.sparsify
        self._job = LatestJob(self)
        self._job.finished.connect(self._on_level)
        self._job.failed.connect(self._on_failed)
        # Many moves of the slider within one turn of the event loop are one redraw.
        self._redraw = QTimer(self)
        self._redraw.setSingleShot(True)
        self._redraw.setInterval(0)
        self._redraw.timeout.connect(self._show_kept)
        self._rate: MeasuredNetwork | None = None
        self._measuring = LatestJob(self)
        self._measuring.finished.connect(self._on_rate)
        self._measuring.failed.connect(self._on_no_rate)
        # True bubbles by frame, where a truth lies beside the data.
        self._truth: dict[int, NDArray[np.float64]] | None = None
        self._truth_path: Path | None = None
        self._reading = LatestJob(self)
        self._reading.finished.connect(self._on_truth)
        self._reading.failed.connect(self._on_failed)
        self.form = SettingsForm(self.session, "sparsify")
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
        self.survivors = note()
        self.survivors.setToolTip(
            "True bubbles of this frame with a kept voxel within one voxel: what is dropped here "
            "no network can find."
        )
        self.column.addWidget(self.survivors)
        self.column.addWidget(heading("What a network run would cost"))
        self.costs = note()
        self.costs.setToolTip(
            "Time of the whole series if every frame keeps as many voxels as this one, from the "
            "rate of the network measured on this device; memory of its windows at their peak. It "
            "is the network that localizes, or else the bubble network. Where "
            "memory is short, windows are made smaller."
        )
        self.column.addWidget(self.costs)
        self.histogram.show_message("The histogram of the current frame comes here.")
        self.session.config_changed.connect(self._on_config)
        self.session.acquisition_changed.connect(self._on_acquisition)

    # --- when to look again -----------------------------------------------------------------

    def showEvent(self, event: Any) -> None:
        """Look when the panel comes into sight."""
        super().showEvent(event)
        self._look()
        self._read_truth()

    def _on_acquisition(self) -> None:
        self._level = None
        self._truth = None
        self._truth_path = None
        self.survivors.setText("")
        remove(self.viewer, _ROLE)
        self._look()
        self._read_truth()

    def _on_config(self, section: str) -> None:
        if section in ("clutter", "psf", "load"):
            self._look()
        elif section == "sparsify":
            level, config = self._level, self.session.config.sparsify
            same = _same_level(self._looked_with, config)
            if level is not None and same and level.serves(config):
                self._redraw.start()
            else:
                self._look()
        elif section in ("network", "localize", "device"):
            self._measure()

    def _look(self) -> None:
        preview, frame = self.session.preview, self.session.frame
        if preview is None or not self.isVisible():
            return
        config = for_network(self.session.config)
        settings = config.sparsify
        if self._level is None:
            self.kept.setText("Correlating with the PSF…")

        def work(stop: Stop) -> _Level:
            learned = strongest = None
            correlation = preview.correlation(config, frame)
            if settings.strategy == "contrast":
                values = local_contrast_db(correlation, settings.patch_voxels)
                low, high = _CONTRAST_RANGE_DB
            else:
                values = power(correlation)
                low, high = 0.0, 1.0
            if settings.strategy == "topk":
                strongest = preview.strongest(config, frame, stop)
            elif settings.strategy == "learned":
                learned = preview.learned(config, frame)
            at = frame - block_at(preview.acquisition, config, frame).first_frame
            shown = np.clip(np.nan_to_num(values, nan=low), low, high)
            counts, edges = np.histogram(shown, _BINS, (low, high))
            centres = (edges[1:] + edges[:-1]) / 2
            return _Level(frame, settings.strategy, values, centres, counts, strongest, at, learned)

        self._looked_with = settings
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
        curves = [Curve(level.centres, counts, bars=True)]
        if level.learned is not None:
            chosen = np.clip(level.values[level.learned], *span)
            kept = np.histogram(chosen, _BINS, span)[0].astype(float)
            curves.append(Curve(level.centres, kept, "#50c878", bars=True))
        self.histogram.show_curves(
            curves, x_range=span, y_range=(0.8, max(float(counts.max()) * 1.5, 10.0))
        )
        self._show_kept()
        if self._rate is None:
            self._measure()

    def _show_kept(self) -> None:
        level, acquisition = self._level, self.session.acquisition
        if level is None or acquisition is None or level.values.shape != acquisition.grid.shape:
            return
        config = self.session.config.sparsify
        mask, bar = level.kept(config)
        if level.learned is None:
            end = float(level.centres[-1]) * 1.1 + 1
            draggable = level.strategy in _THRESHOLDS
            self.histogram.set_lines([bar], draggable=draggable, shade=(bar, end))
        else:
            self.histogram.set_lines([], draggable=False)
        n_kept = int(np.count_nonzero(mask))
        share = 100 * n_kept / mask.size
        self.kept.setText(
            f"Frame {level.frame}: {n_kept:,} of {mask.size:,} voxels kept ({share:.3g} %)."
        )
        self._show_survivors(level.frame, mask)
        self._show_cost(n_kept)
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

    # --- what it costs ---------------------------------------------------------------------------

    def _measure(self) -> None:
        """Measure the network's speed on the device, once the overlay is there."""
        config = self.session.config
        if self._level is None or not self.isVisible():
            return
        if self._rate is None:
            self.costs.setText("Measuring the network's speed on this device…")
        acquisition = self.session.acquisition
        flat = acquisition is not None and acquisition.grid.shape[1] == 1
        self._measuring.request(waits(lambda stop: measured_network(config, stop, flat=flat)))

    def _on_no_rate(self, problem: Any) -> None:
        self.costs.setText(problem.sentence)

    def _on_rate(self, rate: MeasuredNetwork) -> None:
        self._rate = rate
        if self._level is not None:
            self._show_cost(
                int(np.count_nonzero(self._level.kept(self.session.config.sparsify)[0]))
            )

    def _show_cost(self, n_kept: int) -> None:
        acquisition, measured, config = self.session.acquisition, self._rate, self.session.config
        if acquisition is None or measured is None:
            return
        sparse = cost(measured, n_kept, acquisition, config)
        dense = cost(measured, acquisition.grid.size, acquisition, config)
        where = "GPU" if measured.loaded.device == "cuda" else "CPU"
        both = (
            f"Dense, as it always is: {dense}."
            if measured.rate.dense
            else f"Sparse: {sparse}.\nDense: {dense}."
        )
        self.costs.setText(
            f"{both}\n{acquisition.n_frames:,} frames by the {measured.whose} on the {where}, "
            f"{measured.rate.voxels_per_s:,.0f} voxels/s measured."
        )

    # --- the truth -------------------------------------------------------------------------------

    def _read_truth(self) -> None:
        path = self.session.truth_path
        if path is None or not self.isVisible() or path == self._truth_path:
            return
        self._truth_path = path

        def work(stop: Stop) -> dict[int, NDArray[np.float64]]:
            truth = read_truth(path)
            order = np.argsort(truth.frames, kind="stable")
            frames, first = np.unique(truth.frames[order], return_index=True)
            parts = np.split(truth.positions_um[order], first[1:])
            return dict(zip(frames.tolist(), parts, strict=True))

        self._reading.request(waits(work))

    def _on_truth(self, truth: dict[int, NDArray[np.float64]]) -> None:
        self._truth = truth
        self._redraw.start()

    def _show_survivors(self, frame: int, mask: NDArray[np.bool_]) -> None:
        acquisition = self.session.acquisition
        if self._truth is None or acquisition is None:
            return
        positions = self._truth.get(frame, np.empty((0, 3)))
        in_view = positions[inner(positions, acquisition.grid, 0.0)]
        n = len(in_view)
        if not n:
            self.survivors.setText("No true bubble in view in this frame.")
            return
        survive = int(bubbles_kept(mask, in_view, acquisition.grid).sum())
        self.survivors.setText(
            f"{survive} of {n} true bubbles survive ({100 * survive / n:.0f} %)."
        )


def _same_level(before: SparsifyConfig, now: SparsifyConfig) -> bool:
    """Whether a level that was looked at with other settings still serves."""
    return before.model_dump(exclude=_BARS) == now.model_dump(exclude=_BARS)
