"""Clutter & PSF: remove the tissue, find the image of one bubble, and correct the motion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QEvent
from qtpy.QtWidgets import QCheckBox, QLabel

from napari_ulm3d.acquisition import Block
from napari_ulm3d.filtering import FilteredBlock, Psf, power_doppler
from napari_ulm3d.plugin.controls.form import SettingsForm
from napari_ulm3d.plugin.controls.frame_follower import FrameFollower
from napari_ulm3d.plugin.controls.pictures import Picture, power_picture, psf_picture
from napari_ulm3d.plugin.controls.plot import Curve, Plot
from napari_ulm3d.plugin.jobs.job import LatestJob, Stop, waits
from napari_ulm3d.plugin.layers.convert import LayerData, filtered_layer, volume_layer
from napari_ulm3d.plugin.layers.place import make_layer, place, remove
from napari_ulm3d.plugin.panels.panel import Panel, heading, note
from napari_ulm3d.plugin.panels.parts.motion.motion_box import MotionBox
from napari_ulm3d.plugin.session import Session

__all__ = ["ClutterPanel"]

_ROLE = "power doppler preview"
_FILTERED_ROLE = "filtered frames preview"
_SVD = ("svd", "svd+bandpass")


@dataclass(frozen=True)
class _Seen:
    """One filtered block as shown by the panel."""

    block: Block
    filtered: FilteredBlock
    spectrum: NDArray[np.float64] | None
    frames: LayerData
    power_db: NDArray[np.float32]
    power_picture: Picture
    psf: Psf
    psf_picture: Picture


class ClutterPanel(Panel):
    """The clutter filter with its spectrum, the power Doppler of a block, and the PSF."""

    title = "Clutter & PSF"

    def __init__(self, session: Session) -> None:
        super().__init__(session)
        self._follower = FrameFollower(self, self._on_frame)

    def build(self) -> None:
        self._job = LatestJob(self)
        self._job.finished.connect(self._on_seen)
        self._job.failed.connect(self._on_failed)
        self._shown_block: int | None = None
        self._seen: _Seen | None = None
        self.form = SettingsForm(self.session, "clutter")
        self.column.addWidget(self.form)
        self.spectrum = Plot("singular component", "dB re first", log_x=True)
        self.spectrum.setToolTip(
            "Singular values of the current block. Drag the yellow lines to choose which "
            "components to keep."
        )
        self.spectrum.dragged.connect(self._on_dragged)
        self.column.addWidget(self.spectrum)
        self.show_power = QCheckBox("Show power Doppler in the viewer")
        self.show_power.setToolTip("Add the mean power of the filtered frames as a layer, in dB.")
        self.power = QLabel()
        self.power.setToolTip("Power Doppler of the block: maximum projection along y.")
        self.column.addWidget(self.power)
        self.show_power.clicked.connect(self._show_layers)
        self.column.addWidget(self.show_power)
        self.show_filtered = QCheckBox("Show the filtered frames in the viewer")
        self.show_filtered.setToolTip("The filtered block, in dB: bubbles without tissue.")
        self.show_filtered.clicked.connect(self._show_layers)
        self.column.addWidget(self.show_filtered)
        self.status = note("No acquisition loaded.")
        self.column.addWidget(self.status)
        self.column.addWidget(heading("Point-spread function"))
        self.psf_form = SettingsForm(self.session, "psf")
        self.column.addWidget(self.psf_form)
        self.picture = QLabel()
        self.picture.setToolTip(
            "Slices through the centre of the PSF: magnitude above, real part below (IQ only)."
        )
        self.column.addWidget(self.picture)
        self.motion = MotionBox(self.session)
        self.column.addWidget(self.motion)
        self.session.config_changed.connect(self._on_config)
        self.session.acquisition_changed.connect(self._on_acquisition)
        self._show_spectrum(None)

    # --- when to look again -------------------------------------------------------------------

    def showEvent(self, event: Any) -> None:
        """Update when the panel becomes visible."""
        super().showEvent(event)
        self._look()

    def _on_acquisition(self) -> None:
        self._shown_block = None
        self._seen = None
        self._show_layers()
        self._show_spectrum(None)
        self.picture.clear()
        self.power.clear()
        self.motion.clear()
        self._look()

    def _on_config(self, section: str) -> None:
        if section in ("clutter", "psf", "load"):
            self._look()
        elif section == "motion" and self.isVisible():
            self.motion.look()

    def _on_frame(self) -> None:
        acquisition, preview = self.session.acquisition, self.session.preview
        if acquisition is None or preview is None:
            return
        if preview.block_index(self.session.config, self.session.frame) != self._shown_block:
            self._look()

    def _look(self) -> None:
        preview, config, frame = self.session.preview, self.session.config, self.session.frame
        if preview is None or not self.isVisible():
            return
        self._shown_block = preview.block_index(config, frame)

        def work(stop: Stop) -> _Seen:
            psf = preview.psf(config)
            block, filtered = preview.filtered(config, frame)
            power = power_doppler(filtered.frames)
            top = float(power.max()) or 1.0
            decibels = 10 * np.log10(np.maximum(power / top, 1e-8), dtype=np.float32)
            acquisition = preview.acquisition
            strongest = max(float(np.abs(frame).max()) for frame in filtered.frames)
            frames = filtered_layer(
                filtered.frames,
                acquisition.grid,
                acquisition.rate_hz,
                block.first_frame,
                strongest,
            )
            return _Seen(
                block,
                filtered,
                preview.spectrum(config, frame),
                frames,
                decibels,
                power_picture(decibels, preview.acquisition.grid),
                psf,
                psf_picture(psf),
            )

        self.status.setText("Filtering…")
        self._job.request(waits(work))
        self.motion.look()

    # --- showing ------------------------------------------------------------------------------

    def _on_seen(self, seen: _Seen) -> None:
        self.problem.say(None)
        self._seen = seen
        last = seen.block.first_frame + seen.block.n_frames - 1
        carrier = (
            f", {np.degrees(seen.psf.carrier_rad):.0f}° per voxel"
            if abs(seen.psf.carrier_rad) > 0.01
            else ""
        )
        widths = " x ".join(f"{w:.2g}" for w in seen.psf.fwhm_voxels)
        self.status.setText(
            f"Block {seen.block.index}, frames {seen.block.first_frame} to {last}: "
            f"{seen.filtered.summary}.\nPSF: {seen.psf.source}, {widths} voxels{carrier}."
        )
        self._show_spectrum(seen)
        self._show_pictures()
        self._hint_automatic(seen)
        self._show_layers()

    def _show_pictures(self) -> None:
        """Draw the pictures, with captions in the text colour."""
        if self._seen is not None:
            ink = self.palette().windowText().color()
            self.power.setPixmap(self._seen.power_picture.pixmap(ink))
            self.picture.setPixmap(self._seen.psf_picture.pixmap(ink))

    def changeEvent(self, event: Any) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        if event.type() == QEvent.Type.PaletteChange and "_seen" in self.__dict__:
            self._show_pictures()

    def _hint_automatic(self, seen: _Seen) -> None:
        """Show in blank boxes what was chosen automatically for this block."""
        if seen.filtered.components is not None:
            first, last = (str(number) for number in seen.filtered.components)
            self.form.controls["svd_range"].set_hints(
                first, last, whole=f"{first} to {last}, chosen for block {seen.block.index}"
            )
        widths = [f"{width:.2f}" for width in seen.psf.fwhm_voxels]
        self.psf_form.controls["fwhm_voxels"].set_hints(
            *widths, whole=f"{' '.join(widths)} ({seen.psf.source})"
        )

    def _on_failed(self, problem: Any) -> None:
        self.status.setText("")
        self.problem.say(problem)

    def _show_layers(self) -> None:
        seen, acquisition = self._seen, self.session.acquisition
        if seen is None or acquisition is None:
            remove(self.viewer, _ROLE)
            remove(self.viewer, _FILTERED_ROLE)
            return
        if self.show_filtered.isChecked():
            place(self.viewer, make_layer(seen.frames, _FILTERED_ROLE))
        else:
            remove(self.viewer, _FILTERED_ROLE)
        if not self.show_power.isChecked():
            remove(self.viewer, _ROLE)
            return
        layer = volume_layer(
            "power Doppler (preview) [dB]",
            seen.power_db,
            acquisition.grid,
            colormap="inferno",
            contrast_limits=(min(float(np.percentile(seen.power_db, 20)), -1.0), 0.0),
            blending="translucent",
        )
        place(self.viewer, make_layer(layer, _ROLE), renew_data=True)

    def _show_spectrum(self, seen: _Seen | None) -> None:
        values = None if seen is None else seen.spectrum
        if seen is None or values is None:
            used = self.session.config.clutter.method in _SVD
            self.spectrum.show_message(
                "The spectrum of the block will appear here." if used else "No SVD."
            )
            self.spectrum.setVisible(used)
            return
        self.spectrum.setVisible(True)
        decibels = 20 * np.log10(np.maximum(values / max(values[0], 1e-30), 1e-6))
        numbers = np.arange(1, len(values) + 1)
        self.spectrum.show_curves(
            [Curve(numbers, decibels)], x_range=(1.0, float(max(len(values), 2)))
        )
        settings = self.session.config.clutter
        chosen = settings.svd_range or (1, len(values))
        first, last = seen.filtered.components or chosen
        automatic = settings.svd_automatic
        low, high = (first, last) if automatic or settings.svd_range is None else chosen
        high = min(high, len(values))
        self.spectrum.set_lines(
            [float(low), float(high)],
            draggable=not automatic,
            whole=True,
            shade=(float(low), float(high)),
        )

    def _on_dragged(self, line: int, place_: float) -> None:
        kept = None if self._seen is None else self._seen.filtered.components
        first, last = self.session.config.clutter.svd_range or kept or (1, 1)
        number = max(round(place_), 1)
        changed = (min(number, last), last) if line == 0 else (first, max(number, first))
        self.session.change("clutter", svd_range=changed)
        self.spectrum.set_lines(
            [float(changed[0]), float(min(changed[1], self.spectrum.x_end))],
            whole=True,
            shade=(float(changed[0]), float(changed[1])),
        )
