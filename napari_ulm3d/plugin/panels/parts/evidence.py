"""Evidence for a result: uncertainty of its maps, false tracks by length, tissue motion."""

from __future__ import annotations

import numpy as np
from qtpy.QtWidgets import QVBoxLayout, QWidget

from napari_ulm3d.maps import Forecast
from napari_ulm3d.maps.confidence import confidence_rows
from napari_ulm3d.plugin.controls.plot import Curve, Plot
from napari_ulm3d.plugin.panels.panel import heading, note
from napari_ulm3d.plugin.panels.parts.motion.motion_curves import motion_curves
from napari_ulm3d.plugin.state.results import Result
from napari_ulm3d.system.shown_units import in_display_units

__all__ = ["EvidenceBox", "forecast_curves"]

_LONGEST = 40  # track length in frames; longer tracks are few
_RED, _ORANGE = "#f2777a", "#ff9e64"


def forecast_curves(forecast: Forecast, n_voxels: int) -> list[Curve]:
    """The extrapolated saturation and its 90 % interval, in per cent of the map's voxels."""
    table = forecast.curve
    if not len(table):
        return []
    time_s, percent = table["time_s"].to_numpy(), 100 * table.drop(columns="time_s") / n_voxels
    return [
        Curve(time_s, percent["voxels"].to_numpy(), dashed=True),
        *(Curve(time_s, percent[name].to_numpy(), "#8a8f98", dashed=True) for name in ("low", "high")),
    ]  # fmt: skip


class EvidenceBox(QWidget):
    """Sentences and two plots; evidence that a result lacks is hidden."""

    def __init__(self) -> None:
        super().__init__()
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        self.words = note()
        column.addWidget(self.words)
        self.chance_title = heading("False tracks by length")
        column.addWidget(self.chance_title)
        self.chance = Plot("minimum track length (frames)", "% by chance", height=120)
        self.chance.setToolTip(
            "Share of tracks that arise by chance, by linking the same localizations with "
            "their frames in random order. Dashed: all localizations, an upper bound. Echoes "
            "that move with the bubbles (side lobes) appear in neither."
        )
        column.addWidget(self.chance)
        self.motion_title = heading("Motion of the tissue")
        column.addWidget(self.motion_title)
        self.motion = Plot("time (s)", "displacement (µm)", height=130)
        self.motion.setToolTip(
            "Displacement along z (blue), y (green) and x (orange), which was removed from the "
            "localizations. Dashed: rms deformation, if it was removed as well. Red: frames left out "
            "because the tissue moved abruptly."
        )
        column.addWidget(self.motion)
        self.show_result(None, None)

    def show_result(self, result: Result | None, forecast: Forecast | None) -> None:
        """Show the evidence of a result; None: nothing yet."""
        rows = [] if result is None else confidence_rows(result.maps)
        rows += [] if forecast is None else forecast.rows()
        self.words.setText(
            in_display_units("\n".join(f"{name}: {value}" for name, value in rows))
            or "Appears with the map."
        )
        self._show_chance(result)
        self._show_motion(result)

    def _show_chance(self, result: Result | None) -> None:
        table = None if result is None else result.chance
        shown = table is not None and float(table["tracks"].sum()) > 0
        for part in (self.chance_title, self.chance):
            part.setVisible(shown)
        if table is None or not shown:
            return
        table = table[: min(int(np.flatnonzero(table["tracks"].to_numpy())[-1]) + 1, _LONGEST)]
        length = table["length_frames"].to_numpy(float)
        self.chance.show_curves(
            [
                Curve(length, 100 * table["share_by_chance"].to_numpy(), _RED),
                Curve(length, 100 * table["share_permuted"].to_numpy(), _ORANGE, dashed=True),
            ],
            y_range=(0.0, 102.0),
        )
        least = None if result is None else result.config.link.min_length_frames
        self.chance.set_lines([] if least is None else [float(least)], draggable=False)

    def _show_motion(self, result: Result | None) -> None:
        table = None if result is None else result.motion
        shown = table is not None and len(table) > 1
        for part in (self.motion_title, self.motion):
            part.setVisible(shown)
        if table is None or not shown:
            return
        broken = table["broken"].to_numpy(bool)
        self.motion_title.setText(
            f"Motion of the tissue: {int(broken.sum()):,} of {len(table):,} frames left out"
        )
        curves, y_range = motion_curves(table)
        self.motion.show_curves(curves, y_range=y_range)
