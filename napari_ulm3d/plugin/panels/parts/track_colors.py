"""Colouring the tracks in the viewer: quantity, range and colour bar."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from qtpy.QtCore import QTimer
from qtpy.QtWidgets import QCheckBox, QComboBox, QVBoxLayout, QWidget

from napari_ulm3d.plugin.controls.calm import calm
from napari_ulm3d.plugin.controls.fields.sliders import RangeSlider
from napari_ulm3d.plugin.controls.rows import form, number
from napari_ulm3d.plugin.layers.convert import value_of
from napari_ulm3d.plugin.layers.place import find_layer
from napari_ulm3d.plugin.layers.track_colors import (
    COLOURING,
    QUANTITIES,
    Colouring,
    apply_colouring,
    default_range,
    features_of,
)
from napari_ulm3d.plugin.layers.track_span import apply_span, span_of
from napari_ulm3d.plugin.panels.panel import button, note
from napari_ulm3d.plugin.panels.parts.track_span import TrackSpanBox
from napari_ulm3d.plugin.session import Session
from napari_ulm3d.tables import Tracks

__all__ = ["TrackColours"]

_FAR = 1e9


class TrackColours(QWidget):
    """Quantity and range that colour the plugin's Tracks layer.

    The layer stores them, so they persist when tracks are filtered, relinked or added.
    """

    def __init__(self, session: Session) -> None:
        super().__init__()
        self._session = session
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        rows = form()
        self.by = calm(QComboBox())
        for name, quantity in QUANTITIES.items():
            unit = f" ({quantity.unit})" if quantity.unit else ""
            self.by.addItem(f"{quantity.label}{unit}", name)
        self.by.setToolTip(
            "Quantity that colours the track points. Direction is axial velocity divided "
            "by speed: 1 directly away from the probe, -1 directly towards it."
        )
        self.by.activated.connect(self._on_by)
        self.low = number(
            -_FAR, _FAR, 0, "Value of the first colour; lower values are clipped to it."
        )
        self.high = number(
            -_FAR, _FAR, 1, "Value of the last colour; higher values are clipped to it."
        )
        self.range = RangeSlider(self.low, self.high)
        self.range.valueChanged.connect(self._on_range)
        self.reset = button(
            "Robust range",
            "Set the range to the 1st to 99th percentile of all tracks.",
            self._on_reset,
        )
        self.bar = QCheckBox("Colour bar")
        self.bar.setToolTip("Show the colour bar of the tracks in the viewer.")
        self.bar.setChecked(True)
        self.bar.clicked.connect(self._apply)
        self.span = TrackSpanBox()
        self.span.changed.connect(self._on_span)
        rows.addRow("Show", self.span)
        rows.addRow("Colour by", self.by)
        rows.addRow("Range", self.range)
        rows.addRow(self.bar, self.reset)
        column.addLayout(rows)
        self.drawn = note()
        column.addWidget(self.drawn)
        # A layer updated in place emits its data event before the update is complete.
        self._heard: list[Any] = []
        self._renewed = QTimer(self)
        self._renewed.setSingleShot(True)
        self._renewed.setInterval(0)
        self._renewed.timeout.connect(self._on_layers)
        layers = session.viewer.layers
        layers.events.inserted.connect(self._on_layers)
        layers.events.removed.connect(self._on_layers)
        self.destroyed.connect(_Disconnect(layers, self._on_layers, self._heard, self._on_renewed))
        self._on_layers()

    @property
    def colouring(self) -> Colouring:
        """The state of the controls."""
        low, high = self.low.value(), self.high.value()
        return Colouring(self.by.currentData(), low, max(high, np.nextafter(low, np.inf)), True)

    def _layer(self) -> Any:
        viewer = self._session.viewer
        return None if viewer is None else find_layer(viewer, "tracks")

    def _on_layers(self, event: Any = None) -> None:
        """Show the colouring of the current layer."""
        layer = self._layer()
        if self._heard != [layer]:
            _forget(self._heard, self._on_renewed)
            if layer is not None:
                layer.events.rebuild_tracks.connect(self._on_renewed)
                layer.events.tail_length.connect(self._on_renewed)
                self._heard.append(layer)
        self.setEnabled(layer is not None)
        if layer is None:
            self.drawn.setText("Track colours appear once there are tracks.")
            return
        colouring = layer.metadata.get(COLOURING, Colouring())
        self._show(colouring)
        self._show_span()
        whole = value_of(layer, Tracks)
        n_all = len(layer.data) if whole is None else len(whole)
        n_drawn = min(len(layer.data), n_all)
        self.drawn.setText(
            f"The layer shows all {n_all:,} track points."
            if n_drawn == n_all
            else f"The layer shows {n_drawn:,} of {n_all:,} track points, as whole tracks chosen "
            "at random; maps, tables and exports use all of them."
        )

    def _show_span(self, event: Any = None) -> None:
        layer = self._layer()
        if layer is not None:
            self.span.show_span(span_of(layer))

    def _on_span(self) -> None:
        layer = self._layer()
        if layer is not None:
            apply_span(layer, self.span.span)

    def _on_renewed(self, event: Any = None) -> None:
        self._renewed.start()

    def _show(self, colouring: Colouring) -> None:
        self.by.blockSignals(True)
        self.by.setCurrentIndex(max(self.by.findData(colouring.by), 0))
        self.by.blockSignals(False)
        for box, value in ((self.low, colouring.low), (self.high, colouring.high)):
            box.step = (colouring.high - colouring.low) / 20
            box.setValue(value)
        self._span_drawn(colouring)

    def _span_drawn(self, colouring: Colouring) -> None:
        """Set the slider's range to cover the drawn values and the colour range."""
        layer = self._layer()
        values = np.asarray(layer.features[colouring.by] if layer is not None else [], np.float64)
        values = np.append(values[np.isfinite(values)], (colouring.low, colouring.high))
        self.range.span(float(values.min()), float(values.max()))

    def _on_by(self, *_: Any) -> None:
        self._to_default(chosen=False)

    def _on_reset(self) -> None:
        self._to_default(chosen=False)

    def _to_default(self, chosen: bool) -> None:
        """The robust range of all tracks of the result, regardless of filters."""
        layer, by = self._layer(), self.by.currentData()
        if layer is None:
            return
        result = self._session.result
        whole = result.tracks if result is not None else value_of(layer, Tracks)
        if whole is None:
            values = np.asarray(layer.features[by], np.float64)
        else:
            values = features_of(whole.table)[by].to_numpy()
        colouring = Colouring(by, *default_range(values, by), chosen)
        self._show(colouring)
        apply_colouring(layer, colouring, colour_bar=self.bar.isChecked())

    def _on_range(self) -> None:
        if self.high.value() > self.low.value():
            self._apply()

    def _apply(self, *_: Any) -> None:
        layer = self._layer()
        if layer is None:
            return
        before = layer.metadata.get(COLOURING, Colouring())
        now = self.colouring
        same = (before.by, before.low, before.high) == (now.by, now.low, now.high)
        colouring = before if same else replace(now, chosen=True)
        apply_colouring(layer, colouring, colour_bar=self.bar.isChecked())


class _Disconnect:
    """Disconnect, because napari must not call into the deleted Qt object of a closed panel."""

    def __init__(self, layers: Any, callback: Any, heard: list[Any], renewed: Any) -> None:
        self._layers, self._callback = layers, callback
        self._heard, self._renewed = heard, renewed

    def __call__(self, *_: Any) -> None:
        self._layers.events.inserted.disconnect(self._callback)
        self._layers.events.removed.disconnect(self._callback)
        _forget(self._heard, self._renewed)


def _forget(heard: list[Any], callback: Any) -> None:
    """Stop listening to the current layers."""
    while heard:
        events = heard.pop().events
        events.rebuild_tracks.disconnect(callback)
        events.tail_length.disconnect(callback)
