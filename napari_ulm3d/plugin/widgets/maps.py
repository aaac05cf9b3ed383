"""Vessel maps: which map, how fine, of which tracks, in which colours; how far it is filled."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QSpinBox,
    QWidget,
)

from napari_ulm3d.maps import MapAccumulator, Resolution, resolution, saturation_curve
from napari_ulm3d.plugin.controls import PlainSpinBox, calm
from napari_ulm3d.plugin.filters import TrackFilter, filter_tracks
from napari_ulm3d.plugin.forms import SettingsForm
from napari_ulm3d.plugin.job import LatestJob, Stop
from napari_ulm3d.plugin.layers import map_layer
from napari_ulm3d.plugin.placing import find_layer, make_layer, place, remove
from napari_ulm3d.plugin.plots import Curve, Plot
from napari_ulm3d.plugin.results import Result
from napari_ulm3d.plugin.widgets.panel import Panel, heading, note

__all__ = ["MapsPanel"]

_ROLE = "map"
_MAPS = {
    "density": "Density (tracks a voxel)",
    "speed": "Speed (mm/s)",
    "velocity_z": "Axial velocity (mm/s)",
    "direction": "Direction (deeper - up)",
}
_COLORMAPS = {
    False: ("hot", "inferno", "turbo", "viridis", "gray"),
    True: ("twilight_shifted", "PiYG", "I Blue", "turbo"),
}
_DEFAULT = {"density": "hot", "speed": "turbo"}


@dataclass(frozen=True)
class _Made:
    """Maps of the tracks chosen, and the layer of the one that is looked at."""

    result: Result
    layer: Any
    n_tracks: int


class MapsPanel(Panel):
    """Maps rebuilt from the tracks of the result, in step with the controls."""

    title = "Vessel maps"

    def build(self) -> None:
        self._job = LatestJob(self)
        self._job.progressed.connect(self._on_made)
        self._job.finished.connect(self._on_curves)
        self._job.failed.connect(self._on_failed)
        self._shown: Result | None = None
        self.which = QComboBox()
        for name, label in _MAPS.items():
            self.which.addItem(label, name)
        self.which.setToolTip("Every map is of the same tracks; a track counts once a voxel.")
        self.which.currentIndexChanged.connect(self._on_which)
        form = _form()
        form.addRow("Map", self.which)
        self.column.addLayout(form)
        self.form = SettingsForm(self.session, "maps")
        self.column.addWidget(self.form)

        self.column.addWidget(heading("Looks"))
        looks = _form()
        self.colours = QComboBox()
        self.colours.setToolTip("Colour map of the layer; diverging ones for signed maps.")
        self.colours.textActivated.connect(self._on_looks)
        self.gamma = _number(
            0.1, 3.0, 0.6, 0.05, "Exponent of the colour scale: below 1 lifts faint vessels."
        )
        self.gamma.valueChanged.connect(self._on_looks)
        self.colour_bar = QCheckBox()
        self.colour_bar.setChecked(True)
        self.colour_bar.setToolTip("Show the colour bar in the viewer.")
        self.colour_bar.clicked.connect(self._on_looks)
        looks.addRow("Colour map", self.colours)
        looks.addRow("Gamma", self.gamma)
        looks.addRow("Colour bar", self.colour_bar)
        self.column.addLayout(looks)

        self.column.addWidget(heading("Tracks in the map"))
        self._build_filters()
        self.status = note("No tracks yet: localize first.")
        self.column.addWidget(self.status)
        self.column.addWidget(heading("Saturation"))
        self.saturation = Plot("time (s)", "% of voxels", height=120)
        self.saturation.setToolTip("Share of the map's voxels that a track has reached by then.")
        self.column.addWidget(self.saturation)
        self.fsc_title = heading("Resolution (Fourier shell correlation)")
        self.column.addWidget(self.fsc_title)
        self.fsc = Plot("spatial frequency (1/mm)", "correlation", height=120)
        self.fsc.setToolTip(
            "Correlation of the maps of two halves of the tracks; the resolution is where it "
            "falls below the 1/2-bit curve (dashed)."
        )
        self.column.addWidget(self.fsc)
        for plot in (self.saturation, self.fsc):
            plot.show_message("Comes with the map.")
        self.session.result_changed.connect(self._on_result)
        self.session.config_changed.connect(self._on_config)
        self._offer_colours()

    def _build_filters(self) -> None:
        filters = _form()
        self.length = QSpinBox()
        self.length.setRange(0, 100_000)
        self.length.setSuffix(" frames")
        self.length.setToolTip("Leave out tracks of fewer frames.")
        self.slowest = _number(0, 1e4, 0, 1, "Leave out tracks of a lower mean speed.")
        self.fastest = _number(
            0, 1e4, 1e4, 1, "Leave out tracks of a higher mean speed.", "no limit"
        )
        self.begins = _number(0, 1e6, 0, 0.1, "Leave out tracks that begin earlier.")
        self.ends = _number(0, 1e6, 1e6, 0.1, "Leave out tracks that end later.", "no limit")
        self.score = _number(0, 1, 0, 0.05, "Leave out tracks of a lower mean score.")
        filters.addRow("Min length", self.length)
        filters.addRow("Speed (mm/s)", _pair(self.slowest, self.fastest))
        filters.addRow("Time (s)", _pair(self.begins, self.ends))
        filters.addRow("Min score", self.score)
        for box in (self.length, self.slowest, self.fastest, self.begins, self.ends, self.score):
            box.setKeyboardTracking(False)
            box.valueChanged.connect(self._rebuild)
        self.column.addLayout(filters)

    # --- when to make it anew -------------------------------------------------------------

    @property
    def chosen(self) -> TrackFilter:
        """The filter that the controls say."""
        return TrackFilter(
            min_length_frames=self.length.value(),
            speed_mm_s=(self.slowest.value(), _limit(self.fastest)),
            time_s=(self.begins.value(), _limit(self.ends)),
            min_score=self.score.value(),
        )

    def _on_result(self) -> None:
        self._shown = None
        if self.session.result is None:
            self.status.setText("No tracks yet: localize first.")
            for plot in (self.saturation, self.fsc):
                plot.show_message("Comes with the map.")
        self._rebuild()

    def _on_config(self, section: str) -> None:
        if section == "maps":
            self._rebuild()

    def _on_which(self) -> None:
        self._offer_colours()
        self._rebuild()

    def _rebuild(self) -> None:
        result, name = self.session.result, self.which.currentData()
        if result is None or not len(result.tracks):
            return
        chosen, config = self.chosen, self.session.config.maps
        made_with = (id(result), chosen, config)
        ready = self._shown if self._made_with == made_with else None
        if (
            chosen == TrackFilter()
            and config == result.config.maps
            and result.saturation is not None
        ):
            ready = result  # the run's own maps are of just these tracks

        def work(stop: Stop) -> Generator[_Made, None, tuple[Any, Result]]:
            if ready is not None:
                layer = make_layer(map_layer(ready.maps[name]), _ROLE)
                yield _Made(ready, layer, ready.tracks.n_tracks)
                return made_with, ready
            tracks = filter_tracks(result.tracks, chosen)
            accumulator = MapAccumulator(result.grid, config)
            accumulator.add(tracks)
            made_config = result.config.model_copy(update={"maps": config})
            made = replace(
                result,
                tracks=tracks,
                maps={**result.maps, **accumulator.maps()},
                config=made_config,
            )
            layer = make_layer(map_layer(made.maps[name]), _ROLE)
            yield _Made(made, layer, tracks.n_tracks)
            curve = saturation_curve(accumulator, duration_s=result.duration_s)
            fsc = resolution(*accumulator.halves()) if config.fsc and not stop() else None
            return made_with, replace(made, saturation=curve, resolution=fsc)

        self._job.request(work)

    # --- showing ----------------------------------------------------------------------------

    _made_with: Any = None

    def _on_made(self, made: _Made) -> None:
        self.problem.say(None)
        grid = made.result.maps["density"].grid
        voxel = " x ".join(f"{s:.3g}" for s in grid.spacing_um)
        pooled = made.layer.metadata.get("ulm3d_pooled_by", 1)
        drawn = f"; drawn {pooled} times coarser, exported whole" if pooled > 1 else ""
        z, y, x = grid.shape
        self.status.setText(
            f"{made.n_tracks:,} of {self.session.result.tracks.n_tracks:,} tracks; "  # type: ignore[union-attr]
            f"{z} x {y} x {x} voxels of {voxel} um{drawn}."
        )
        if not made.n_tracks:
            remove(self.viewer, _ROLE)
            return
        layer = place(self.viewer, made.layer)
        self._dress(layer)

    def _on_curves(self, outcome: tuple[Any, Result]) -> None:
        self._made_with, shown = outcome
        self._shown = shown
        self.session.shown = shown
        self._show_saturation(shown)
        self._show_resolution(shown.resolution)

    def _on_failed(self, problem: Any) -> None:
        self.problem.say(problem)

    def _show_saturation(self, shown: Result) -> None:
        curve = shown.saturation
        percent = 100 * curve["share_of_grid"].to_numpy()
        self.saturation.show_curves([Curve(curve["time_s"].to_numpy(), percent)])

    def _show_resolution(self, found: Resolution | None) -> None:
        if found is None:
            self.fsc_title.setText("Resolution (Fourier shell correlation): off")
            self.fsc.show_message("Fourier shell correlation is off.")
            return
        known = np.isfinite(found.resolution_um)
        text = f"{found.resolution_um:.1f} um" if known else "not reached"
        limit = " (limited by the voxel)" if found.limited_by_voxel else ""
        self.fsc_title.setText(f"Resolution (Fourier shell correlation): {text}{limit}")
        frequency = 1000 * found.frequency_per_um
        self.fsc.show_curves(
            [
                Curve(frequency, found.correlation),
                Curve(frequency, found.half_bit, "#ff9e64", dashed=True),
            ],
            y_range=(0.0, 1.02),
        )
        if known:
            self.fsc.set_lines([1000 / found.resolution_um], draggable=False)
        else:
            self.fsc.set_lines([], draggable=False)

    # --- looks ------------------------------------------------------------------------------

    def _signed(self) -> bool:
        return self.which.currentData() in ("velocity_z", "direction")

    def _offer_colours(self) -> None:
        signed, name = self._signed(), self.which.currentData()
        self.colours.blockSignals(True)
        self.colours.clear()
        self.colours.addItems(list(_COLORMAPS[signed]))
        self.colours.setCurrentText(_DEFAULT.get(name, _COLORMAPS[signed][0]))
        self.colours.blockSignals(False)
        self.gamma.blockSignals(True)
        self.gamma.setValue(0.6 if name == "density" else 1.0)
        self.gamma.blockSignals(False)

    def _on_looks(self) -> None:
        layer = find_layer(self.viewer, _ROLE)
        if layer is not None:
            self._dress(layer)

    def _dress(self, layer: Any) -> None:
        layer.colormap = self.colours.currentText()
        layer.gamma = self.gamma.value()
        layer.colorbar.visible = self.colour_bar.isChecked()
        # Zero of a signed map has a colour of its own, which must not add up.
        layer.blending = "translucent_no_depth" if self._signed() else "additive"
        self.viewer.canvas.overlays.scale_bar.visible = True


def _form() -> QFormLayout:
    form = QFormLayout()
    form.setContentsMargins(0, 0, 0, 0)
    form.setVerticalSpacing(3)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    return form


def _number(
    low: float, high: float, value: float, step: float, tooltip: str, at_top: str = ""
) -> Any:
    box = PlainSpinBox()
    box.at_top = at_top
    box.setRange(low, high)
    box.setDecimals(3)
    box.setSingleStep(step)
    box.setValue(value)
    box.setToolTip(tooltip)
    box.setMinimumWidth(56)
    return calm(box)


def _limit(box: Any) -> float:
    value = float(box.value())
    return np.inf if value >= box.maximum() else value


def _pair(low: Any, high: Any) -> QWidget:
    both = QWidget()
    row = QHBoxLayout(both)
    row.setContentsMargins(0, 0, 0, 0)
    row.setSpacing(4)
    row.addWidget(low)
    row.addWidget(high)
    return both
