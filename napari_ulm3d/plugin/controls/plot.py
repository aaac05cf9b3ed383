"""A small plot with curves, bars, and lines that set numbers when dragged.

Drawn by pyqtgraph, with what the panels need in addition: one pair of axes that keeps its
range under the mouse, numbered lines, a shaded range, a message when there is nothing to
show, and the colours of the theme.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyqtgraph as pg
from numpy.typing import NDArray
from qtpy.QtCore import QEvent, QPointF, QSize, Qt, Signal
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QSizePolicy

__all__ = ["Curve", "Plot"]

_KEPT = QColor(80, 200, 120, 45)
# Readable on a dark and on a light background.
_LINE = {True: "#ffd400", False: "#c77700"}
_GRIP_PIXELS = 8
_LEFT, _BELOW = 54, 44


@dataclass(frozen=True)
class Curve:
    """Points joined by a line, or filled down to the axis as bars."""

    x: NDArray[Any]
    y: NDArray[Any]
    colour: str = "#58a6ff"
    bars: bool = False
    dashed: bool = False


class Plot(pg.PlotWidget):
    """Curves on linear or logarithmic axes, with vertical lines that can be dragged.

    The arrow keys move the line last used. The wheel scrolls the panel.

    Signals
    -------
    dragged(int, float)
        Number of the line and its new position, while it moves.
    """

    dragged = Signal(int, float)

    def __init__(
        self,
        x_label: str,
        y_label: str,
        *,
        log_x: bool = False,
        log_y: bool = False,
        height: int = 150,
    ) -> None:
        super().__init__(background=None)
        self.x_label, self.y_label = x_label, y_label
        self.log_x, self.log_y = log_x, log_y
        self.curves: list[Curve] = []
        self.lines: list[pg.InfiniteLine] = []
        self.places: list[float] = []  # positions of the lines
        self.message = ""
        self._draggable = self._whole = False
        self._x_range = (0.0, 1.0)
        self._held: int | None = None
        self._chosen = 0
        self._height = height
        self._items: list[Any] = []
        self._labels: tuple[str, ...] = ()
        self._shade: pg.LinearRegionItem | None = None
        self._told = pg.TextItem(anchor=(0.5, 0.5))
        self.addItem(self._told, ignoreBounds=True)
        self.setMouseEnabled(x=False, y=False)
        self.setMenuEnabled(False)
        self.hideButtons()
        self.setLogMode(log_x, log_y)
        self.showGrid(x=False, y=True, alpha=0.25)
        # Reserve space for the tick labels, so that the axes do not move when these change.
        self.getAxis("left").setWidth(_LEFT)
        self.getAxis("bottom").setHeight(_BELOW)
        self.setMouseTracking(True)
        self.viewport().setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._take_colours()

    def sizeHint(self) -> QSize:
        return QSize(280, self._height)

    def minimumSizeHint(self) -> QSize:
        return QSize(180, self._height)

    # --- what is shown ---------------------------------------------------------------------

    def show_curves(
        self,
        curves: list[Curve],
        x_range: tuple[float, float] | None = None,
        y_range: tuple[float, float] | None = None,
    ) -> None:
        """Replace the curves; ranges left out follow from them."""
        self.curves, self.message = list(curves), ""
        x = np.concatenate([c.x for c in curves]) if curves else np.array([0.0, 1.0])
        y = np.concatenate([c.y for c in curves]) if curves else np.array([0.0, 1.0])
        y = y[np.isfinite(y) & ((y > 0) | (not self.log_y))]
        self._x_range = x_range or _widened(float(x.min()), float(x.max()))
        low, high = (float(y.min()), float(y.max())) if y.size else (0.1, 1.0)
        y_range = y_range or _widened(low, high * (1.5 if self.log_y else 1.05))
        for item in self._items:
            self.removeItem(item)
        floor = y_range[0]
        self._items = [self._drawn(curve, floor) for curve in curves]
        for item in self._items:
            self.addItem(item)
        self.setXRange(*(self._on_axis(end) for end in self._x_range), padding=0)
        self.setYRange(*(np.log10(y_range) if self.log_y else y_range), padding=0)
        self._refresh()

    def show_message(self, message: str) -> None:
        """Show a message instead of curves."""
        self.show_curves([])
        self.message = message
        self._refresh()

    def set_lines(
        self,
        places: list[float],
        *,
        draggable: bool = True,
        whole: bool = False,
        shade: tuple[float, float] | None = None,
    ) -> None:
        """Set the vertical lines; `whole` snaps to integers, `shade` is the range that is kept."""
        self._draggable, self._whole = draggable, whole
        if len(places) != len(self.lines):
            self._make_lines(len(places))
        if self._held is None:  # a line being dragged follows the mouse
            self.places = [float(place) for place in places]
            for line, place in zip(self.lines, places, strict=True):
                line.setValue(self._on_axis(place))
        self._show_shade(shade)
        self._refresh()

    @property
    def x_end(self) -> float:
        """The right end of the x axis."""
        return self._x_range[1]

    def line_pixel(self, number: int) -> QPointF:
        """The position of a line in the widget, half way up."""
        return self.pixel_of(self.places[number])

    def pixel_of(self, x: float) -> QPointF:
        """The position of a value in the widget, half way up."""
        box = self.getViewBox()
        (low, high), y = box.viewRange()[0], np.mean(box.viewRange()[1])
        at = min(max(self._on_axis(x), low), high)
        return QPointF(self.viewportTransform().map(box.mapViewToScene(QPointF(at, float(y)))))

    # --- the mouse and the keyboard ----------------------------------------------------------

    def wheelEvent(self, event: Any) -> None:
        """Leave the wheel to the panel, so that it scrolls."""
        event.ignore()

    # pyqtgraph's own dragging drops fast moves, and pans where there is no line.

    def mousePressEvent(self, event: Any) -> None:
        near = self._line_near(event.position().x())
        if near is not None and event.button() == Qt.MouseButton.LeftButton:
            self._held = self._chosen = near
            self._refresh()

    def mouseMoveEvent(self, event: Any) -> None:
        if self._held is None:
            near = self._line_near(event.position().x()) is not None
            shape = Qt.CursorShape.SplitHCursor if near else Qt.CursorShape.ArrowCursor
            self.viewport().setCursor(shape)
            return
        scene = self.viewportTransform().inverted()[0].map(event.position())
        self._move(self._held, self._value(self.getViewBox().mapSceneToView(scene).x()))

    def mouseReleaseEvent(self, event: Any) -> None:
        self._held = None

    def mouseDoubleClickEvent(self, event: Any) -> None:
        self.mousePressEvent(event)

    def keyPressEvent(self, event: Any) -> None:
        steps = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}
        if event.key() not in steps or not self.lines or not self._draggable:
            super().keyPressEvent(event)
            return
        place, sign = self.places[self._chosen], steps[event.key()]
        if self._whole:
            self._move(self._chosen, place + sign)
        else:
            low, high = (self._on_axis(end) for end in self._x_range)
            moved = self._on_axis(place) + sign * (high - low) / 100
            self._move(self._chosen, self._value(moved))

    def _line_near(self, pixel: float) -> int | None:
        if not (self._draggable and self.lines and self.curves):
            return None
        distances = [abs(self.line_pixel(k).x() - pixel) for k in range(len(self.lines))]
        nearest = int(np.argmin(distances))
        return nearest if distances[nearest] <= _GRIP_PIXELS else None

    def _move(self, number: int, value: float) -> None:
        value = min(max(value, self._x_range[0]), self._x_range[1])
        value = float(round(value)) if self._whole else value
        if value != self.places[number]:
            self.places[number] = value
            self.lines[number].setValue(self._on_axis(value))
            self.dragged.emit(number, value)

    def _make_lines(self, count: int) -> None:
        for line in self.lines:
            self.removeItem(line)
        self.lines = [pg.InfiniteLine(angle=90) for _ in range(count)]
        for line in self.lines:
            self.addItem(line, ignoreBounds=True)
        self.places = [0.0] * count
        self._chosen, self._held = 0, None

    # --- drawing ----------------------------------------------------------------------------

    def changeEvent(self, event: Any) -> None:
        """Follow the theme."""
        super().changeEvent(event)
        kinds = (QEvent.Type.PaletteChange, QEvent.Type.StyleChange)
        # Not during construction: pyqtgraph would look up attributes that do not exist yet.
        if event.type() in kinds and "_ink" in self.__dict__:
            self._take_colours()

    def _take_colours(self) -> None:
        ink = self.palette().windowText().color()
        font = self.font()
        font.setPointSizeF(max(font.pointSizeF() * 0.8, 7.0))
        faint = QColor(ink)
        faint.setAlpha(90)
        for side in ("left", "bottom"):
            axis = self.getAxis(side)
            axis.setPen(faint)
            axis.setTextPen(ink)
            axis.setTickFont(font)
            axis.enableAutoSIPrefix(False)
            axis.setStyle(tickLength=-4, autoExpandTextSpace=True)
        self._told.setColor(ink)
        self._ink, self._font = ink, font
        ground = QColor(0, 0, 0, 60) if self._dark else QColor(255, 255, 255, 160)
        self.getViewBox().setBackgroundColor(ground)
        self.resetCachedContent()  # Qt keeps the background of the former theme
        self.viewport().update()
        self._refresh()

    @property
    def _dark(self) -> bool:
        """Whether the theme is dark, judged by its light text."""
        return bool(self.palette().windowText().color().lightness() > 127)

    def _refresh(self) -> None:
        """Redraw labels, message and lines."""
        labels = (self.x_label, self.y_label, self._ink.name())
        if labels != self._labels:
            self._labels = labels
            style = {"color": self._ink.name(), "font-size": f"{self._font.pointSizeF():.1f}pt"}
            # Without the last, pyqtgraph writes values below 1 as thousandths without saying so.
            self.setLabel("bottom", self.x_label, **style, siPrefixEnableRanges=())
            self.setLabel("left", self.y_label, **style, siPrefixEnableRanges=())
        empty = not self.curves
        for side in ("left", "bottom"):
            self.getAxis(side).setVisible(not empty)
        self._told.setVisible(empty)
        if empty:
            box = self.getViewBox()
            self._told.setText(self.message)
            self._told.setTextWidth(max(self.width() - _LEFT - 30, 100))
            self._told.setPos(*(float(np.mean(side)) for side in box.viewRange()))
        for number, line in enumerate(self.lines):
            line.setVisible(not empty)
            width = 2.5 if number == self._chosen and self._draggable else 1.5
            line.setPen(_LINE[self._dark], width=width)
        if self._shade is not None:
            self._shade.setVisible(not empty)

    def resizeEvent(self, event: Any) -> None:
        super().resizeEvent(event)
        if "_told" in self.__dict__:
            self._told.setTextWidth(max(self.width() - _LEFT - 30, 100))

    def _drawn(self, curve: Curve, floor: float) -> Any:
        seen = np.isfinite(curve.y) & ((curve.y > 0) | (not self.log_y))
        x, y = np.asarray(curve.x, float)[seen], np.asarray(curve.y, float)[seen]
        if not curve.bars:
            style = Qt.PenStyle.DashLine if curve.dashed else Qt.PenStyle.SolidLine
            pen = pg.mkPen(curve.colour, width=1.5, style=style)
            return pg.PlotDataItem(x, y, pen=pen, connect="all", antialias=True)
        # BarGraphItem has no logarithmic mode; filled steps do.
        step = float(np.diff(curve.x).min()) if len(curve.x) > 1 else 1.0
        edges = np.append(np.asarray(curve.x, float) - step / 2, float(curve.x[-1]) + step / 2)
        heights = np.where(seen, np.maximum(curve.y, floor), floor)
        level = np.log10(floor) if self.log_y else floor
        return pg.PlotDataItem(
            edges, heights, stepMode="center", pen=None, brush=pg.mkBrush(curve.colour),
            fillLevel=level,
        )  # fmt: skip

    def _show_shade(self, shade: tuple[float, float] | None) -> None:
        if self._shade is not None:
            self.removeItem(self._shade)
            self._shade = None
        if shade is not None:
            ends = [min(max(place, self._x_range[0]), self._x_range[1]) for place in shade]
            self._shade = pg.LinearRegionItem(
                [self._on_axis(end) for end in ends], movable=False, brush=_KEPT,
                pen=pg.mkPen(None),
            )  # fmt: skip
            self._shade.setZValue(-10)
            self.addItem(self._shade, ignoreBounds=True)

    # --- values and places on the axis -----------------------------------------------------------

    def _on_axis(self, value: float) -> float:
        """Position of a value on the x axis: its logarithm if the axis is logarithmic."""
        return float(np.log10(max(value, 1e-300))) if self.log_x else float(value)

    def _value(self, place: float) -> float:
        return float(10**place if self.log_x else place)


def _widened(low: float, high: float) -> tuple[float, float]:
    return (low, high) if high > low else (low, low + 1.0)
