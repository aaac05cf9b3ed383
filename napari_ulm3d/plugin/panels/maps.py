"""Vessel maps: choice of map, resolution, track filters, colours, and saturation."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from qtpy.QtWidgets import QComboBox

from napari_ulm3d.maps import Resolution, forecast_saturation
from napari_ulm3d.maps.resolved import LOCAL_RESOLUTION
from napari_ulm3d.plugin.controls.calm import calm
from napari_ulm3d.plugin.controls.form import SettingsForm
from napari_ulm3d.plugin.controls.plot import Curve, Plot
from napari_ulm3d.plugin.controls.rows import form
from napari_ulm3d.plugin.controls.section import Section
from napari_ulm3d.plugin.controls.words import MAP_LABELS, label_of_map
from napari_ulm3d.plugin.jobs.job import LatestJob
from napari_ulm3d.plugin.jobs.rebuild_maps import (
    ERRORS,
    OF_TRACKS,
    Accumulated,
    Rebuilt,
    Wish,
    rebuild_work,
)
from napari_ulm3d.plugin.keys import show_map
from napari_ulm3d.plugin.layers.convert import POOLED, value_of
from napari_ulm3d.plugin.layers.place import Placer, find_layer, place, remove
from napari_ulm3d.plugin.layers.track_colors import COLOURING, Colouring, default_colouring
from napari_ulm3d.plugin.panels.panel import Panel, button, heading, note
from napari_ulm3d.plugin.panels.parts.evidence import EvidenceBox, forecast_curves
from napari_ulm3d.plugin.panels.parts.map_appearance import LooksBox
from napari_ulm3d.plugin.panels.parts.map_filters import FilterBox
from napari_ulm3d.plugin.saved_session.restore import MAPS_WIDGET
from napari_ulm3d.plugin.state.results import Result
from napari_ulm3d.plugin.state.track_filters import TrackFilter
from napari_ulm3d.system.shown_units import in_display_units
from napari_ulm3d.volumes import VesselMap

__all__ = ["MapsPanel"]

_ROLE = "map"
_SIGNED = ("velocity_z", "direction")
_NO_TRACKS = "No tracks yet: run Localize & track first."


class MapsPanel(Panel):
    """Maps rebuilt from the tracks of the result as the controls change."""

    title = "Vessel maps"

    def build(self) -> None:
        self.setObjectName(MAPS_WIDGET)
        self._job = LatestJob(self)
        self._job.progressed.connect(self._on_made)
        self._job.finished.connect(self._on_curves)
        self._job.failed.connect(self._on_failed)
        self._placer = Placer(self)
        self._known: Accumulated | None = None
        self._drawn = TrackFilter()
        self.which = calm(QComboBox())
        self.which.setToolTip(
            "Which map to show. All track maps use the same tracks, and a track counts "
            "once per voxel. The trajectory volume comes from its network, without "
            "tracking."
        )
        self.which.currentIndexChanged.connect(self._on_which)
        rows = form()
        rows.addRow("Map", self.which)
        self.column.addLayout(rows)
        self.show_button = button(
            "Show vessel map",
            "Show only the map, fitted to the view: a 3-D maximum projection with its "
            "colour bar and a scale bar.",
            lambda: show_map(self.viewer),
        )
        self.column.addWidget(self.show_button)
        self.form = SettingsForm(self.session, "maps")
        self.column.addWidget(self.form)
        self.column.addWidget(heading("Appearance"))
        self.looks = LooksBox()
        self.looks.changed.connect(self._on_looks)
        self.column.addWidget(self.looks)
        self.column.addWidget(heading("Tracks in the map"))
        self.filters = FilterBox(self.viewer)
        self.filters.changed.connect(self._rebuild)
        self.filters.changed.connect(self._remember)
        self._filtered = self.filters.state()
        self.column.addWidget(self.filters)
        self.status = note(_NO_TRACKS)
        self.column.addWidget(self.status)
        self.column.addWidget(heading("Saturation"))
        self.saturation = Plot("time (s)", "% of voxels", height=120)
        self.saturation.setToolTip(
            "Percentage of map voxels crossed by at least one track up to that time. Dashed: what "
            "a longer acquisition would reach, with its 90 % interval."
        )
        self.column.addWidget(self.saturation)
        self.fsc_title = heading("Resolution (Fourier shell correlation)")
        self.column.addWidget(self.fsc_title)
        self.fsc = Plot("spatial frequency (1/mm)", "correlation", height=120)
        self.fsc.setToolTip(
            "Correlation between maps of two halves of the tracks. The resolution is where "
            "it falls below the 1/2-bit curve (dashed)."
        )
        self.column.addWidget(self.fsc)
        self.evidence = EvidenceBox()
        self.evidence_section = Section("Evidence", self.evidence)
        self.column.addWidget(self.evidence_section)
        for plot in (self.saturation, self.fsc):
            plot.show_message("Appears with the map.")
        self.session.result_changed.connect(self._on_result)
        self.session.config_changed.connect(self._on_config)
        self.session.maps_wanted.connect(self._on_wanted)
        self._offer_maps()
        if self.session.result is not None:
            self.filters.span(self.session.result.tracks)
        self._on_wanted()

    # --- when to make it anew -------------------------------------------------------------

    def _on_result(self) -> None:
        self._known = None
        self._drawn = TrackFilter()
        self._offer_maps()
        if self.session.result is None:
            self.status.setText(_NO_TRACKS)
            for plot in (self.saturation, self.fsc):
                plot.show_message("Appears with the map.")
            self.evidence.show_result(None, None)
        else:
            self.filters.span(self.session.result.tracks)
        self._rebuild()

    def _on_wanted(self) -> None:
        """Make the map that the session asks for, from a file or from a widget since closed."""
        wanted = self.session.map_view
        self.which.blockSignals(True)
        self.which.setCurrentIndex(max(self.which.findData(wanted.map), 0))
        self.which.blockSignals(False)
        self.filters.blockSignals(True)
        self.filters.show_view(wanted)
        self.filters.blockSignals(False)
        self._filtered = self.filters.state()
        self._offer_looks()
        self._rebuild()

    def _offer_maps(self) -> None:
        """The track maps, and any other maps of the result."""
        result, before = self.session.result, self.which.currentData()
        shown = self.session.shown
        there = {*(result.maps if result else ()), *(shown.maps if result and shown else ())}
        others = [n for n in MAP_LABELS if n not in OF_TRACKS and n in there]
        tracked = result is None or len(result.tracks) > 0 or not others
        names = [*(OF_TRACKS if tracked else ()), *others]
        self.which.blockSignals(True)
        self.which.clear()
        for name in names:
            self.which.addItem(label_of_map(name), name)
        self.which.setCurrentIndex(max(self.which.findData(before), 0))
        self.which.blockSignals(False)
        if self.which.currentData() != before:
            self._offer_looks()

    def _offer_looks(self) -> None:
        name = self.which.currentData()
        self.looks.offer(name, name in _SIGNED)
        layer = find_layer(self.viewer, _ROLE)
        shown = None if layer is None else value_of(layer, VesselMap)
        if shown is not None and shown.name == name:
            self.looks.take(layer)

    def _on_config(self, section: str) -> None:
        if section == "maps":
            self._rebuild()

    def _on_which(self) -> None:
        self._offer_looks()
        self._rebuild()

    def _rebuild(self) -> None:
        self.session.map_view = self.filters.said(self.which.currentData() or "density")
        result, name = self.session.result, self.which.currentData()
        if result is None or not (len(result.tracks) or name in result.maps):
            return
        chosen, config = self.filters.chosen, self.session.config.maps
        colouring = None if chosen == self._drawn else self._colouring(result)
        wish = Wish(result, name, chosen, config, colouring)
        self._job.request(rebuild_work(wish, self._ready(result, wish)))

    def _remember(self) -> None:
        before, self._filtered = self._filtered, self.filters.state()
        self.session.undo.push("filters", before, self._filtered, self.filters.restore, "filters")

    def _ready(self, result: Result, wish: Wish) -> Accumulated | None:
        """Maps that can be reused without accumulating: the last ones, or the run's own."""
        if self._known is not None and self._known.key == wish.key:
            return self._known
        own, asked = result.config.maps, wish.config
        same = own.replace(smoothing_um=0.0) == asked.replace(smoothing_um=0.0)
        whole = wish.chosen == TrackFilter() and result.saturation is not None
        if not (same and whole and own.smoothing_um == 0 and set(OF_TRACKS) <= set(result.maps)):
            return None
        known = (*OF_TRACKS, *ERRORS, LOCAL_RESOLUTION)
        maps = {name: result.maps[name] for name in known if name in result.maps}
        return Accumulated(wish.key, result.tracks, maps, result.saturation, result.resolution)

    def _colouring(self, result: Result) -> Colouring:
        """The current track colours, which filters do not change."""
        layer = find_layer(self.viewer, "tracks")
        known = None if layer is None else layer.metadata.get(COLOURING)
        return known or default_colouring(result.tracks)

    # --- showing ----------------------------------------------------------------------------

    def _on_made(self, made: Rebuilt) -> None:
        self.problem.say(None)
        result = self.session.result
        if result is None or result is not made.wish.result:
            return
        if made.wish.name != self.which.currentData():  # another map was chosen meanwhile
            return
        self._drawn = made.wish.chosen
        pooled = 1 if made.layer is None else made.layer.metadata.get(POOLED, 1)
        drawn = (
            f"; displayed {pooled} times coarser, exported at full resolution" if pooled > 1 else ""
        )
        tracks = f"{made.n_tracks:,} of {result.tracks.n_tracks:,} tracks; "
        if made.wish.name not in (*OF_TRACKS, *ERRORS, LOCAL_RESOLUTION):
            tracks = "Not made from tracks, so filters do not apply; "
        self.status.setText(f"{tracks}{made.grid_text}{drawn}.")
        steps: list[Callable[[], Any]] = []
        if made.tracks_layer is not None:
            steps.append(partial(place, self.viewer, made.tracks_layer))
        elif not made.n_tracks:
            steps.append(partial(remove, self.viewer, "tracks"))
        if made.layer is None:
            steps.append(partial(remove, self.viewer, _ROLE))
        else:
            if not result.complete:
                made.layer.name = f"{made.layer.name} (stopped early)"
            steps.append(partial(self._show_map, made.layer))
        self._placer.take_turns(*steps)

    def _show_map(self, layer: Any) -> None:
        self.looks.dress(self.viewer, place(self.viewer, layer))

    def _on_curves(self, outcome: tuple[Accumulated, Result]) -> None:
        self._known, shown = outcome
        result = self.session.result
        if result is None or self._known.key[0] != id(result):
            return
        self.session.shown = shown
        self._offer_maps()
        self._show_saturation(shown)
        self._show_resolution(shown.resolution)

    def _on_failed(self, problem: Any) -> None:
        self.problem.say(problem)

    def _on_looks(self) -> None:
        layer = find_layer(self.viewer, _ROLE)
        if layer is not None:
            self.looks.dress(self.viewer, layer)

    def _show_saturation(self, shown: Result) -> None:
        curve = shown.saturation
        percent = 100 * curve["share_of_grid"].to_numpy()
        forecast, ahead = None, []
        if "voxels_reached" in curve and percent[-1] > 0:
            forecast = forecast_saturation(curve)
            n_voxels = round(100 * float(curve["voxels_reached"].iloc[-1]) / percent[-1])
            ahead = forecast_curves(forecast, n_voxels)
        self.saturation.show_curves([Curve(curve["time_s"].to_numpy(), percent), *ahead])
        self.evidence.show_result(shown, forecast)

    def _show_resolution(self, found: Resolution | None) -> None:
        if found is None:
            self.fsc_title.setText("Resolution (Fourier shell correlation): off")
            self.fsc.show_message("Fourier shell correlation is off.")
            return
        known = np.isfinite(found.resolution_um)
        limit = " (limited by voxel size)" if found.limited_by_voxel else ""
        self.fsc_title.setText(
            f"Resolution (Fourier shell correlation): {in_display_units(found.text)}{limit}"
        )
        frequency = 1000 * found.frequency_per_um
        self.fsc.show_curves(
            [
                Curve(frequency, found.correlation),
                Curve(frequency, found.half_bit, "#ff9e64", dashed=True),
            ],
            y_range=(0.0, 1.02),
        )
        self.fsc.set_lines([1000 / found.resolution_um] if known else [], draggable=False)
