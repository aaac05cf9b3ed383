"""How a map looks: colours, gamma, colour bar and scale bar."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QVBoxLayout, QWidget

from napari_ulm3d.plugin.controls.calm import calm
from napari_ulm3d.plugin.controls.fields.number_box import Bounds
from napari_ulm3d.plugin.controls.fields.sliders import NumberSlider
from napari_ulm3d.plugin.controls.rows import form
from napari_ulm3d.plugin.layers.convert import COLORMAPS, COUNTS
from napari_ulm3d.plugin.layers.track_colors import (
    DOPPLER,
    colormap_name,
    map_colormap,
    title_colour_bar,
)

__all__ = ["LooksBox"]

_COLORMAPS = {
    False: ("hot", "inferno", "turbo", "viridis", "gray"),
    True: (DOPPLER, "PiYG", "twilight_shifted", "turbo"),
}
_GAMMA = "Exponent of the colour scale: values below 1 brighten faint vessels. Signed "
"maps stay linear to keep zero in the middle."


class LooksBox(QWidget):
    """Controls of a map layer's appearance.

    Signals
    -------
    changed()
        The user changed a control.
    """

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self._signed = False
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        rows = form()
        self.colours = calm(QComboBox())
        self.colours.setToolTip(
            "Colour map of the layer. Signed maps use diverging colour maps with symmetric "
            "limits; doppler is red towards the probe, blue away from it."
        )
        self.colours.textActivated.connect(self.changed)
        self.gamma = NumberSlider(Bounds(0.1, 3.0), step=0.05)
        self.gamma.setToolTip(_GAMMA)
        self.gamma.setValue(0.6)
        self.gamma.valueChanged.connect(self.changed)
        self.colour_bar = QCheckBox("Colour bar")
        self.colour_bar.setToolTip("Show the layer's colour bar in the viewer.")
        self.scale_bar = QCheckBox("Scale bar")
        self.scale_bar.setToolTip("Show a scale bar in the viewer.")
        rows.addRow("Colour map", self.colours)
        rows.addRow("Gamma", self.gamma)
        rows.addRow("", self.colour_bar)
        rows.addRow("", self.scale_bar)
        for box in (self.colour_bar, self.scale_bar):
            box.setChecked(True)
            box.clicked.connect(self.changed)
        column.addLayout(rows)

    def offer(self, name: str, signed: bool) -> None:
        """Colours and gamma that suit a map."""
        self._signed = signed
        self.colours.clear()
        self.colours.addItems(list(_COLORMAPS[signed]))
        self.colours.setCurrentText(DOPPLER if signed else COLORMAPS.get(name, "hot"))
        self.gamma.setValue(0.6 if name in COUNTS else 1.0)
        self.gamma.setEnabled(not signed)

    def take(self, layer: Any) -> None:
        """Update the controls: the user may have changed the layer in the layer list."""
        name = colormap_name(layer.colormap)
        if self.colours.findText(name) < 0:
            self.colours.addItem(name)
        self.colours.setCurrentText(name)
        self.gamma.blockSignals(True)
        self.gamma.setValue(float(layer.gamma))
        self.gamma.blockSignals(False)
        self.colour_bar.setChecked(bool(layer.colorbar.visible))

    def dress(self, viewer: Any, layer: Any) -> None:
        """Apply the appearance to the map's layer."""
        layer.colormap = map_colormap(self.colours.currentText(), self._signed)
        layer.gamma = self.gamma.value()
        layer.colorbar.visible = self.colour_bar.isChecked()
        title_colour_bar(layer, self.colour_bar.isChecked())
        viewer.canvas.overlays.scale_bar.visible = self.scale_bar.isChecked()
