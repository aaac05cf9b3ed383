"""A small plot to look at and to set numbers in: curves, bars, and lines that can be dragged."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QRectF, QSize, Qt, Signal
from qtpy.QtGui import QColor, QFontMetricsF, QPainter, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

__all__ = ["Curve", "Plot"]

_GRIP_PIXELS = 8
_LEFT, _RIGHT, _TOP, _BOTTOM = 46, 10, 8, 32


@dataclass(frozen=True)
class Curve:
    """Points to be joined by a line, or filled down to the axis as bars."""

    x: NDArray[Any]
    y: NDArray[Any]
    colour: str = "#58a6ff"
    bars: bool = False
    dashed: bool = False


class Plot(QWidget):
    """Curves over linear or logarithmic axes, with vertical lines that the mouse can drag.

    The arrow keys move the line that was last touched.

    Signals
    -------
    dragged(int, float)
        Number of the line and its new place, while it moves.
    """

    dragged = Signal(int, float)

    def __init__(
        self, x_label: str, y_label: str, *, log_y: bool = False, height: int = 150
    ) -> None:
        super().__init__()
        self.x_label, self.y_label, self.log_y = x_label, y_label, log_y
        self.message = ""
        self._curves: list[Curve] = []
        self._lines: list[float] = []
        self._draggable = True
        self._whole = False
        self._shade: tuple[float, float] | None = None
        self._x_range = (0.0, 1.0)
        self._y_range = (0.0, 1.0)
        self._held: int | None = None
        self._chosen = 0
        self._height = height
        self.setMouseTracking(True)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

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
        """Replace the curves; ranges left out are taken from them."""
        self._curves = curves
        self.message = ""
        x = np.concatenate([c.x for c in curves]) if curves else np.array([0.0, 1.0])
        y = np.concatenate([c.y for c in curves]) if curves else np.array([0.0, 1.0])
        y = y[np.isfinite(y) & ((y > 0) | (not self.log_y))]
        self._x_range = x_range or _widened(float(x.min()), float(x.max()))
        low, high = (float(y.min()), float(y.max())) if y.size else (0.1, 1.0)
        self._y_range = y_range or _widened(low, high * (1.5 if self.log_y else 1.05))
        self.update()

    def show_message(self, message: str) -> None:
        """Say why there is nothing to see."""
        self._curves = []
        self.message = message
        self.update()

    def set_lines(
        self,
        places: list[float],
        *,
        draggable: bool = True,
        whole: bool = False,
        shade: tuple[float, float] | None = None,
    ) -> None:
        """Put vertical lines; `whole`: on whole numbers; `shade`: the range that is kept."""
        if self._held is None or len(places) != len(self._lines):
            self._lines = list(places)
        self._draggable, self._whole, self._shade = draggable, whole, shade
        self.update()

    @property
    def x_end(self) -> float:
        """The right end of the x axis."""
        return self._x_range[1]

    def line_pixel(self, number: int) -> QPointF:
        """Where a line stands in the widget, half way up."""
        area = self._area()
        return QPointF(self._to_x(self._lines[number], area), area.center().y())

    def pixel_of(self, x: float) -> QPointF:
        """Where a value stands in the widget, half way up."""
        area = self._area()
        return QPointF(self._to_x(x, area), area.center().y())

    # --- the mouse and the keyboard ----------------------------------------------------------

    def mousePressEvent(self, event: Any) -> None:
        near = self._line_near(event.position().x())
        if near is not None and event.button() == Qt.MouseButton.LeftButton:
            self._held = self._chosen = near

    def mouseMoveEvent(self, event: Any) -> None:
        if self._held is None:
            near = self._line_near(event.position().x()) is not None
            shape = Qt.CursorShape.SplitHCursor if near else Qt.CursorShape.ArrowCursor
            self.setCursor(shape)
            return
        area = self._area()
        low, high = self._x_range
        share = (event.position().x() - area.left()) / max(area.width(), 1)
        self._move(self._held, low + min(max(share, 0.0), 1.0) * (high - low))

    def mouseReleaseEvent(self, event: Any) -> None:
        self._held = None

    def keyPressEvent(self, event: Any) -> None:
        steps = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}
        if event.key() in steps and self._lines and self._draggable:
            low, high = self._x_range
            step = 1.0 if self._whole else (high - low) / 100
            place = self._lines[self._chosen] + steps[event.key()] * step
            self._move(self._chosen, min(max(place, low), high))
        else:
            super().keyPressEvent(event)

    def _line_near(self, pixel: float) -> int | None:
        if not self._draggable or not self._lines or not self._curves:
            return None
        area = self._area()
        distances = [abs(self._to_x(place, area) - pixel) for place in self._lines]
        nearest = int(np.argmin(distances))
        return nearest if distances[nearest] <= _GRIP_PIXELS else None

    def _move(self, number: int, place: float) -> None:
        place = float(round(place)) if self._whole else place
        if place != self._lines[number]:
            self._lines[number] = place
            self.update()
            self.dragged.emit(number, place)

    # --- drawing ----------------------------------------------------------------------------

    def _area(self) -> QRectF:
        return QRectF(
            _LEFT, _TOP, max(self.width() - _LEFT - _RIGHT, 1),
            max(self.height() - _TOP - _BOTTOM, 1),
        )  # fmt: skip

    def _to_x(self, value: float, area: QRectF) -> float:
        low, high = self._x_range
        return float(area.left() + (value - low) / (high - low) * area.width())

    def _to_y(self, value: NDArray[Any], area: QRectF) -> NDArray[np.float64]:
        low, high = self._y_range
        value = np.asarray(value, float)
        if self.log_y:
            value, low, high = np.log10(np.maximum(value, low)), np.log10(low), np.log10(high)
        share = np.clip((value - low) / (high - low), 0, 1)
        return np.asarray(area.bottom() - share * area.height())

    def paintEvent(self, event: Any) -> None:
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        ink = self.palette().windowText().color()
        faint = QColor(ink)
        faint.setAlpha(60)
        area = self._area()
        painter.fillRect(area, QColor(0, 0, 0, 60))
        if not self._curves:
            painter.setPen(ink)
            flags = Qt.AlignmentFlag.AlignCenter | Qt.TextFlag.TextWordWrap
            painter.drawText(area.adjusted(6, 6, -6, -6), int(flags), self.message)
            return
        if self._shade is not None:
            left, right = (self._to_x(x, area) for x in self._shade)
            kept = QRectF(left, area.top(), right - left, area.height()).intersected(area)
            painter.fillRect(kept, QColor(80, 200, 120, 45))
        painter.setClipRect(area.adjusted(-1, -1, 1, 1))
        for curve in self._curves:
            self._paint_curve(painter, curve, area)
        for number, place in enumerate(self._lines):
            pen = QPen(QColor("#ffd400"), 2 if number == self._chosen else 1.5)
            painter.setPen(pen)
            x = self._to_x(place, area)
            painter.drawLine(QPointF(x, area.top()), QPointF(x, area.bottom()))
        painter.setClipping(False)
        self._paint_axes(painter, area, ink, faint)

    def _paint_curve(self, painter: Any, curve: Curve, area: QRectF) -> None:
        seen = np.isfinite(curve.y)
        xs = [self._to_x(float(x), area) for x in curve.x[seen]]
        ys = self._to_y(curve.y[seen], area).tolist()
        pen = QPen(QColor(curve.colour), 1.5)
        if curve.dashed:
            pen.setStyle(Qt.PenStyle.DashLine)
        if curve.bars:
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(QColor(curve.colour))
            width = max(area.width() / max(len(xs), 1), 1.0)
            for x, y in zip(xs, ys, strict=True):
                painter.drawRect(QRectF(x - width / 2, y, width, area.bottom() - y))
            return
        painter.setPen(pen)
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.drawPolyline(QPolygonF([QPointF(x, y) for x, y in zip(xs, ys, strict=True)]))

    def _paint_axes(self, painter: Any, area: QRectF, ink: QColor, faint: QColor) -> None:
        font = self.font()
        font.setPointSizeF(max(font.pointSizeF() * 0.8, 7.0))
        painter.setFont(font)
        metrics = QFontMetricsF(font)
        for tick in _ticks(*self._x_range):
            x = self._to_x(tick, area)
            painter.setPen(faint)
            painter.drawLine(QPointF(x, area.bottom()), QPointF(x, area.bottom() + 3))
            painter.setPen(ink)
            text = f"{tick + 0.0:g}"
            at = min(
                max(x - metrics.horizontalAdvance(text) / 2, 0),
                self.width() - metrics.horizontalAdvance(text),
            )
            painter.drawText(QPointF(at, area.bottom() + 4 + metrics.ascent()), text)
        ticks = _decades(*self._y_range) if self.log_y else _ticks(*self._y_range, 4)
        for tick in ticks:
            y = float(self._to_y(np.array(tick), area))
            painter.setPen(faint)
            painter.drawLine(QPointF(area.left(), y), QPointF(area.right(), y))
            painter.setPen(ink)
            text = _short(tick)
            painter.drawText(
                QPointF(
                    area.left() - metrics.horizontalAdvance(text) - 4, y + metrics.ascent() / 3
                ),
                text,
            )
        painter.drawText(
            QRectF(area.left(), self.height() - metrics.height(), area.width(), metrics.height()),
            int(Qt.AlignmentFlag.AlignCenter),
            self.x_label,
        )
        painter.save()
        painter.translate(metrics.height() * 0.8, area.center().y())
        painter.rotate(-90)
        painter.drawText(QPointF(-metrics.horizontalAdvance(self.y_label) / 2, 0), self.y_label)
        painter.restore()


def _widened(low: float, high: float) -> tuple[float, float]:
    return (low, high) if high > low else (low, low + 1.0)


def _ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers between two values."""
    rough = (high - low) / about
    power = 10.0 ** np.floor(np.log10(rough))
    step = next(power * k for k in (1, 2, 5, 10) if power * k >= rough)
    first = np.ceil(low / step - 1e-9)
    return [float(round(k * step, 12)) + 0.0 for k in np.arange(first, high / step + 1e-9)]


def _decades(low: float, high: float) -> list[float]:
    exponents = range(int(np.ceil(np.log10(low))), int(np.floor(np.log10(high))) + 1)
    every = max(1, len(exponents) // 4)
    return [10.0**k for k in list(exponents)[::every]]


def _short(value: float) -> str:
    if value and (abs(value) >= 1e4 or abs(value) < 1e-2):
        return f"{value:.0e}".replace("e+0", "e").replace("e-0", "e-").replace("e+", "e")
    return f"{value + 0.0:g}"
