"""Which tracks enter the maps: by length, speed, time, score, a box, or a drawn region."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from qtpy.QtCore import QTimer, Signal
from qtpy.QtWidgets import QCheckBox, QComboBox, QVBoxLayout, QWidget

from napari_ulm3d.evaluate.region import Region
from napari_ulm3d.io.session_file import MapView
from napari_ulm3d.plugin.controls.calm import calm
from napari_ulm3d.plugin.controls.fields.number_box import Bounds, NumberBox
from napari_ulm3d.plugin.controls.fields.sliders import NumberSlider, RangeSlider
from napari_ulm3d.plugin.controls.rows import form, number, side_by_side, whole_number
from napari_ulm3d.plugin.layers.convert import SPACE_LABELS
from napari_ulm3d.plugin.layers.place import find_layer, make_layer, place
from napari_ulm3d.plugin.layers.shapes.drawing import draw_shapes, drawing_layer, shapes_of
from napari_ulm3d.plugin.layers.vessel_view import look_at_a_plane
from napari_ulm3d.plugin.napari_private import is_being_drawn
from napari_ulm3d.plugin.panels.panel import button
from napari_ulm3d.plugin.state.regions import regions_of
from napari_ulm3d.plugin.state.track_filters import EVERYWHERE, TrackFilter
from napari_ulm3d.tables import Tracks

__all__ = ["FilterBox"]

_ROLE = "region"
_FAR_UM = 1e6
_SETTLED_MS = 120


@dataclass(frozen=True)
class FilterState:
    """The state of a `FilterBox`: numbers, region layer and its shapes, cut."""

    numbers: tuple[Any, ...]
    region: str
    shapes: tuple[Any, ...]
    cut: bool


class FilterBox(QWidget):
    """The controls of a `TrackFilter`.

    Signals
    -------
    changed()
        The filter or its region changed.
    """

    changed = Signal()

    def __init__(self, viewer: Any) -> None:
        super().__init__()
        self._viewer = viewer
        self._drawn: Any = None
        # A shape emits many events while it is drawn: rebuild the map once the mouse rests.
        self._settled = QTimer(self)
        self._settled.setSingleShot(True)
        self._settled.setInterval(_SETTLED_MS)
        self._settled.timeout.connect(self._on_settled)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addLayout(self._limits())
        column.addLayout(self._places())
        column.addWidget(self._drawing())
        self.reset_button = button(
            "Reset filters", "Show all tracks again; Ctrl+Z brings the filters back.", self.reset
        )
        column.addWidget(self.reset_button)
        viewer.layers.events.inserted.connect(self._offer_regions)
        viewer.layers.events.removed.connect(self._offer_regions)
        self.destroyed.connect(_Disconnect(viewer, self._offer_regions))
        self._offer_regions()

    # --- controls ---------------------------------------------------------------------------

    def _limits(self) -> Any:
        rows = form()
        self.length = whole_number(
            0, 100_000, 0, "Exclude tracks shorter than this number of frames.", "frames"
        )
        self.slowest = number(
            0, 1e4, None, "Exclude tracks with a lower mean speed, in mm/s.", blank="no limit"
        )
        self.fastest = number(
            0, 1e4, None, "Exclude tracks with a higher mean speed, in mm/s.", blank="no limit"
        )
        self.begins = number(
            0, 1e6, None, "Exclude tracks that begin earlier, in s.", blank="start"
        )
        self.ends = number(0, 1e6, None, "Exclude tracks that end later, in s.", blank="end")
        self.speed = RangeSlider(self.slowest, self.fastest)
        self.time = RangeSlider(self.begins, self.ends)
        self.score = NumberSlider(Bounds(0, 1))
        self.score.setToolTip("Exclude tracks with a lower mean score, 0 to 1.")
        self.score.setValue(0.0)
        rows.addRow("Min length", self.length)
        rows.addRow("Speed (mm/s)", self.speed)
        rows.addRow("Time (s)", self.time)
        rows.addRow("Min score", self.score)
        for part in (self.length, self.speed, self.time, self.score):
            part.valueChanged.connect(self._tell)
        return rows

    def _tell(self, *_: Any) -> None:
        self.changed.emit()

    def span(self, tracks: Tracks) -> None:
        """Set the range of the sliders to the speeds and times in the data."""
        table = tracks.table
        if len(table):
            self.speed.span(0.0, float(np.ceil(table["speed_mm_s"].max())))
            self.time.span(float(table["time_s"].min()), float(table["time_s"].max()))

    def _places(self) -> Any:
        rows = form()
        self.box: list[tuple[Any, Any]] = []
        for axis in SPACE_LABELS:
            ends = tuple(
                number(
                    -_FAR_UM,
                    _FAR_UM,
                    None,
                    f"{word.capitalize()} {axis} of the box that tracks must cross, in µm.",
                    blank="no limit",
                )
                for word in ("least", "largest")
            )
            rows.addRow(f"Box {axis} (µm)", side_by_side(*ends))
            self.box.append((ends[0], ends[1]))
            for end in ends:
                end.valueChanged.connect(self._tell)
        self.region = calm(QComboBox())
        self.region.setToolTip(
            "Shapes layer with the areas that tracks must cross: rectangles, polygons or "
            "ellipses, each extruded perpendicular to the plane it was drawn in."
        )
        self.region.activated.connect(self._on_region)
        rows.addRow("Region", self.region)
        self.slab = number(
            1,
            _FAR_UM,
            None,
            "Thickness of the region perpendicular to its plane, in µm, centred on the plane.",
            blank="whole depth",
        )
        self.slab.valueChanged.connect(self._tell)
        rows.addRow("Slab (µm)", self.slab)
        return rows

    def _drawing(self) -> QWidget:
        self.rectangle = button(
            "Draw rectangle", "Drag a rectangle in the viewer, in any of the three planes.",
            lambda: self._draw("add_rectangle"),
        )  # fmt: skip
        self.polygon = button(
            "Draw polygon", "Click the corners in the viewer; double-click the last one.",
            lambda: self._draw("add_polygon"),
        )  # fmt: skip
        self.cut = QCheckBox("Keep only the parts inside")
        self.cut.setToolTip(
            "Cut tracks where they leave the box or region; otherwise tracks that cross it "
            "are kept whole."
        )
        self.cut.clicked.connect(self.changed)
        both = QWidget()
        column = QVBoxLayout(both)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(3)
        column.addWidget(side_by_side(self.rectangle, self.polygon))
        column.addWidget(self.cut)
        return both

    # --- as a whole ---------------------------------------------------------------------------

    def state(self) -> FilterState:
        """The state of all controls and of the drawn region."""
        layer = self._layer()
        return FilterState(
            tuple(part.value() for part in self._numbers()),
            str(self.region.currentData() or ""),
            () if layer is None else shapes_of(layer),
            self.cut.isChecked(),
        )

    def restore(self, state: FilterState) -> None:
        """Restore an earlier state, except for a region whose layer is gone."""
        for part, value in zip(self._numbers(), state.numbers, strict=True):
            part.setValue(value)
        self.region.setCurrentIndex(max(self.region.findData(state.region), 0))
        self.cut.setChecked(state.cut)
        layer = self._layer()
        if layer is not None and shapes_of(layer) != state.shapes:
            draw_shapes(layer, state.shapes)
        self._on_region()

    def said(self, map_name: str) -> MapView:
        """The state of all controls, for a session file."""
        chosen, region = self.chosen, str(self.region.currentData() or "")
        (begins, ends), (slowest, fastest) = chosen.time_s, chosen.speed_mm_s
        return MapView(
            map=map_name,
            min_length_frames=chosen.min_length_frames,
            speed_mm_s=(slowest or -np.inf, fastest),
            time_s=(begins or -np.inf, ends),
            min_score=chosen.min_score,
            box_um=(chosen.box_um[0], chosen.box_um[1], chosen.box_um[2]),
            region=region,
            slab_um=self.slab.value(),
            cut=self.cut.isChecked(),
        )

    def show_view(self, view: MapView) -> None:
        """Set the controls from a session file."""
        ends = (*view.speed_mm_s, *view.time_s)
        box = (end for pair in view.box_um for end in pair)
        slowest, fastest, begins, latest = map(_or_none, ends)
        numbers = (
            view.min_length_frames, slowest, fastest, begins, latest, view.min_score,
            *map(_or_none, box), view.slab_um,
        )  # fmt: skip
        layers = self._viewer.layers
        there = view.region and view.region in layers
        shapes = shapes_of(layers[view.region]) if there else ()
        self.restore(FilterState(numbers, view.region if there else "", shapes, view.cut))

    def reset(self) -> None:
        """Let all tracks pass; drawn shapes stay."""
        numbers = (0, None, None, None, None, 0.0, *(None,) * 7)
        self.restore(FilterState(numbers, "", (), False))

    def _numbers(self) -> tuple[Any, ...]:
        ends = (end for pair in self.box for end in pair)
        limits = (self.length, self.slowest, self.fastest, self.begins, self.ends, self.score)
        return (*limits, *ends, self.slab)

    # --- the filter -------------------------------------------------------------------------

    @property
    def chosen(self) -> TrackFilter:
        """The filter set by the controls."""
        box = tuple((_or(low, -np.inf), _or(high, np.inf)) for low, high in self.box)
        regions = self._regions()
        places = box != EVERYWHERE or regions is not None
        return TrackFilter(
            min_length_frames=self.length.value(),
            speed_mm_s=(_or(self.slowest, 0.0), _or(self.fastest, np.inf)),
            time_s=(_or(self.begins, 0.0), _or(self.ends, np.inf)),
            min_score=self.score.value(),
            box_um=box,
            regions=regions,
            cut=places and self.cut.isChecked(),
        )

    def _regions(self) -> tuple[Region, ...] | None:
        layer = self._layer()
        if layer is None:
            return None
        regions = regions_of(layer, self.slab.value())
        # Until the first shape is drawn, everything passes.
        return regions or None

    # --- the layer that is drawn on -------------------------------------------------------------

    def _layer(self) -> Any:
        name = self.region.currentData()
        return self._viewer.layers[name] if name and name in self._viewer.layers else None

    def _offer_regions(self, event: Any = None) -> None:
        from napari.layers import Shapes

        before = self.region.currentData()
        names = [layer.name for layer in self._viewer.layers if isinstance(layer, Shapes)]
        self.region.clear()
        self.region.addItem("everywhere", "")
        for name in names:
            self.region.addItem(name, name)
        self.region.setCurrentIndex(max(self.region.findData(before), 0))
        if before and before not in names:
            self._on_region()

    def _on_region(self, *_: Any) -> None:
        layer = self._layer()
        if layer is not self._drawn:
            if self._drawn is not None:
                self._drawn.events.data.disconnect(self._on_drawn)
            self._drawn = layer
            if layer is not None:
                layer.events.data.connect(self._on_drawn)
        self.changed.emit()

    def _on_drawn(self, event: Any = None) -> None:
        self._settled.start()

    def _on_settled(self) -> None:
        if self._drawn is not None and is_being_drawn(self._drawn):
            self._settled.start()  # an unfinished polygon: keep the drawing mode
        else:
            self.changed.emit()

    def _draw(self, mode: str) -> None:
        """Start drawing on a Shapes layer in um, in the plane on display."""
        layer = find_layer(self._viewer, _ROLE)
        if layer is None:
            layer = place(
                self._viewer, make_layer(drawing_layer("ULM region", self._edge_um()), _ROLE)
            )
        look_at_a_plane(self._viewer)
        self._viewer.layers.selection.active = layer
        layer.mode = mode
        self.region.setCurrentIndex(self.region.findData(layer.name))
        self._on_region()

    def _edge_um(self) -> float:
        """A line width of a few hundredths of the visible extent."""
        extent = self._viewer.layers.extent.world[:, -3:]
        return max(float((extent[1] - extent[0]).max()) / 200, 1e-3)


def _or(box: NumberBox, otherwise: float) -> float:
    """Format a limit, if there is one."""
    value = box.value()
    return otherwise if value is None else float(value)


def _or_none(limit: float) -> float | None:
    return limit if np.isfinite(limit) else None


class _Disconnect:
    """Disconnect, because napari must not call into the deleted Qt object of a closed panel."""

    def __init__(self, viewer: Any, callback: Any) -> None:
        self._viewer, self._callback = viewer, callback

    def __call__(self, *_: Any) -> None:
        self._viewer.layers.events.inserted.disconnect(self._callback)
        self._viewer.layers.events.removed.disconnect(self._callback)
