"""Sparsify: choose which voxels of the correlation map are kept, as seen on the current frame."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QCheckBox

from napari_ulm3d.plugin.controls.form import SettingsForm
from napari_ulm3d.plugin.controls.frame_follower import FrameFollower
from napari_ulm3d.plugin.controls.plot import Curve, Plot
from napari_ulm3d.plugin.jobs.job import LatestJob, waits
from napari_ulm3d.plugin.layers.convert import mask_layer
from napari_ulm3d.plugin.layers.place import find_layer, make_layer, place, remove
from napari_ulm3d.plugin.panels.panel import Panel, note
from napari_ulm3d.plugin.panels.parts.network_cost import NetworkCost
from napari_ulm3d.plugin.panels.parts.survivors import Survivors
from napari_ulm3d.plugin.session import Session
from napari_ulm3d.plugin.state.levels import Level, level_at_once, level_of, same_level
from napari_ulm3d.plugin.state.preview import for_network

__all__ = ["SparsifyPanel"]

_ROLE = "kept voxels"
# The setting dragged in the histogram, by strategy.
_THRESHOLDS = {"threshold": "threshold", "contrast": "min_snr_db"}


class SparsifyPanel(Panel):
    """Strategy and threshold, with the histogram and the kept voxels of the current frame."""

    title = "Sparsify"

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._follower = FrameFollower(
            self, self._look, unseen=self._put_away, at_once=self._look_at_once
        )

    def build(self) -> None:
        self._level: Level | None = None
        self._away = False  # the overlay is hidden because it is of another frame
        self._looked_with = self.session.config.sparsify
        self._job = LatestJob(self)
        self._job.finished.connect(self._on_level)
        self._job.failed.connect(self._on_failed)
        # Neighbouring frames, while nothing else is to be computed: their overlay then comes at once.
        self._ahead = LatestJob(self)
        # Several slider moves within one turn of the event loop cause one redraw.
        self._redraw = QTimer(self)
        self._redraw.setSingleShot(True)
        self._redraw.setInterval(0)
        self._redraw.timeout.connect(self._show_kept)
        self.form = SettingsForm(self.session, "sparsify")
        self.column.addWidget(self.form)
        self.histogram = Plot("squared correlation |c|²", "voxels", log_y=True)
        self.histogram.setToolTip(
            "Voxels of the current frame. Drag the yellow line to set the threshold; "
            "voxels to its right are kept."
        )
        self.histogram.dragged.connect(self._on_dragged)
        self.column.addWidget(self.histogram)
        self.show_overlay = QCheckBox("Show kept voxels in the viewer")
        self.show_overlay.setToolTip("Overlay the kept voxels of the current frame in green.")
        self.show_overlay.setChecked(True)
        self.show_overlay.clicked.connect(self._show_kept)
        self.column.addWidget(self.show_overlay)
        self.kept = note("No acquisition loaded.")
        self.column.addWidget(self.kept)
        self.survivors = Survivors(self.session)
        self.survivors.came.connect(self._redraw.start)
        self.survivors.failed.connect(self._on_failed)
        self.column.addWidget(self.survivors)
        self.costs = NetworkCost(self.session)
        self.column.addWidget(self.costs)
        self.histogram.show_message("The histogram of the current frame will appear here.")
        self.session.config_changed.connect(self._on_config)
        self.session.acquisition_changed.connect(self._on_acquisition)

    # --- when to look again -----------------------------------------------------------------

    def showEvent(self, event: Any) -> None:
        """Update when the panel becomes visible."""
        super().showEvent(event)
        self._look()
        self.survivors.read()

    def _on_acquisition(self) -> None:
        self._level = None
        self.survivors.forget()
        remove(self.viewer, _ROLE)
        self._look()
        if self.isVisible():
            self.survivors.read()

    def _on_config(self, section: str) -> None:
        if section in ("clutter", "psf", "load"):
            self._look()
        elif section == "sparsify":
            level, config = self._level, self.session.config.sparsify
            same = same_level(self._looked_with, config)
            if level is not None and same and level.serves(config):
                self._redraw.start()
            else:
                self._look()
        elif section in ("network", "localize", "device") and self._level is not None:
            self.costs.measure()

    def _look(self) -> None:
        preview, frame = self.session.preview, self.session.frame
        if preview is None or not self.isVisible():
            return
        config = for_network(self.session.config)
        if self._level is None:
            self.kept.setText("Correlating with the PSF…")
        self._looked_with = config.sparsify
        self._ahead.stop()
        self._job.request(waits(lambda stop: level_of(preview, config, frame, stop)))

    def _look_at_once(self) -> bool:
        """Show a frame that was looked at ahead, with the frame itself."""
        preview, config = self.session.preview, for_network(self.session.config)
        if preview is None:
            return False
        level = level_at_once(preview, config, self.session.frame)
        if level is None:
            return False
        self._looked_with = config.sparsify
        self._job.forget()  # an older frame must not take its place
        self._on_level(level)
        return True

    # --- showing -----------------------------------------------------------------------------

    def _on_level(self, level: Level) -> None:
        self.problem.say(None)
        forward = self._level is None or self._level.frame <= level.frame
        self._level = level
        self.histogram.x_label = level.words
        quantity = level.quantity
        counts = quantity.counts.astype(float)
        curves = [Curve(quantity.centres, counts, bars=True)]
        learned = level.counts_of_learned()
        if learned is not None:
            curves.append(Curve(quantity.centres, learned, "#50c878", bars=True))
        self.histogram.show_curves(
            curves, x_range=quantity.span, y_range=(0.8, max(float(counts.max()) * 1.5, 10.0))
        )
        self._show_kept()
        # Only now, because the overlay comes first.
        if self.costs.measured is None:
            self.costs.measure()
        self._look_ahead(level.frame, 1 if forward else -1)

    def _look_ahead(self, frame: int, step: int) -> None:
        preview, config = self.session.preview, for_network(self.session.config)
        if preview is None or not self.isVisible() or self._job.waiting:
            return
        self._ahead.stop()
        self._ahead.request(waits(lambda stop: preview.look_ahead(config, frame, step, stop)))

    def _show_kept(self) -> None:
        level, acquisition = self._level, self.session.acquisition
        if (
            level is None
            or acquisition is None
            or level.quantity.values.shape != acquisition.grid.shape
        ):
            return
        config = self.session.config.sparsify
        mask, bar = level.kept(config)
        if level.learned is None:
            end = float(level.quantity.centres[-1]) * 1.1 + 1
            draggable = level.strategy in _THRESHOLDS
            self.histogram.set_lines([bar], draggable=draggable, shade=(bar, end))
        else:
            self.histogram.set_lines([], draggable=False)
        n_kept = int(np.count_nonzero(mask))
        share = 100 * n_kept / mask.size
        self.kept.setText(
            f"Frame {level.frame}: {n_kept:,} of {mask.size:,} voxels kept ({share:.3g} %)."
        )
        self.survivors.show_of(level.frame, mask)
        self.costs.show_cost(n_kept)
        if not self.show_overlay.isChecked():
            remove(self.viewer, _ROLE)
            return
        old = find_layer(self.viewer, _ROLE)
        if old is not None and old.data.shape == mask.shape:
            old.data = mask.view(np.uint8)
            if self._away or not self.isVisible():
                self._put_away()
        else:
            place(self.viewer, make_layer(mask_layer("kept voxels", mask, acquisition.grid), _ROLE))

    def _put_away(self) -> None:
        """Hide the overlay while the slider is at another frame; behind a tab it stays as it is."""
        layer, level = find_layer(self.viewer, _ROLE), self._level
        if layer is None or level is None:
            return
        here = level.frame == self.session.frame
        if self._away and here:
            layer.visible = True
        elif not here and layer.visible:
            layer.visible = False
        else:
            return
        self._away = not here

    def _on_dragged(self, line: int, place_: float) -> None:
        name = _THRESHOLDS[self.session.config.sparsify.strategy]
        self.session.change("sparsify", **{name: round(place_, 4)})

    def _on_failed(self, problem: Any) -> None:
        self.kept.setText("")
        self.problem.say(problem)
