"""Histograms of track speed, length, score and depth, with the selected tracks highlighted."""

from __future__ import annotations

import numpy as np
import pandas as pd
from qtpy.QtCore import Signal
from qtpy.QtWidgets import QGridLayout, QWidget

from napari_ulm3d.plugin.controls.tracks.histogram import Histogram

__all__ = ["TrackHistograms"]

_LABELS = {
    "speed": "Speed (mm/s)",
    "length": "Length (µm)",
    "score": "Score",
    "depth": "Depth (µm)",
}
_TOOLTIP = (
    "Drag over a range to select its tracks, here and in the table and the view; ranges in several "
    "histograms apply together. Click to clear the range. Orange: the selected tracks."
)


class TrackHistograms(QWidget):
    """Histograms of a table of tracks (`table_of_tracks`).

    Signals
    -------
    chosen_changed(tuple)
        Numbers of the tracks within all brushed ranges; empty without a range.
    """

    chosen_changed = Signal(tuple)

    def __init__(self) -> None:
        super().__init__()
        self._rows = pd.DataFrame(columns=list(_LABELS))
        grid = QGridLayout(self)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.setSpacing(2)
        self.plots: dict[str, Histogram] = {}
        for number, (name, label) in enumerate(_LABELS.items()):
            plot = Histogram(label)
            plot.setToolTip(_TOOLTIP)
            plot.brushed.connect(self._on_brushed)
            grid.addWidget(plot, number // 2, number % 2)
            self.plots[name] = plot
        self.show_tracks(self._rows)

    def show_tracks(self, rows: pd.DataFrame) -> None:
        """Show other tracks."""
        self._rows = rows
        for name, plot in self.plots.items():
            plot.show_values(rows[name].to_numpy(np.float64))

    def show_chosen(self, numbers: tuple[int, ...]) -> None:
        """Highlight these tracks; ranges that selected others are cleared."""
        brushed = self._brushed()
        if brushed is not None and set(brushed) != set(numbers):
            for plot in self.plots.values():
                plot.set_brush(None)
        chosen = self._rows.index.isin(numbers)
        for name, plot in self.plots.items():
            plot.show_chosen(self._rows[name].to_numpy(np.float64)[chosen])

    def _brushed(self) -> tuple[int, ...] | None:
        """The tracks within all ranges; None without a range."""
        if all(plot.brush is None for plot in self.plots.values()):
            return None
        inside = np.ones(len(self._rows), bool)
        for name, plot in self.plots.items():
            inside &= plot.holds(self._rows[name].to_numpy(np.float64))
        return tuple(int(number) for number in self._rows.index[inside])

    def _on_brushed(self) -> None:
        self.chosen_changed.emit(self._brushed() or ())
