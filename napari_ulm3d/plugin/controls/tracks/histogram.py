"""A histogram on which a range is brushed with the mouse or moved with the arrow keys."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from qtpy.QtCore import QPointF, QSize, Qt, Signal

from napari_ulm3d.plugin.controls.plot import Curve, Plot

__all__ = ["Histogram"]

_BINS = 40
_ALL, _CHOSEN = "#58a6ff", "#ff9e64"
_LEAST_DRAG = 3  # pixels; a shorter drag is a click


class Histogram(Plot):
    """Values of all tracks as blue bars, with the selected ones as orange bars in front.

    Drag to select a range, click to clear it. Left and Right move the range by a bin,
    with Shift only its upper end; Escape clears it.

    Signals
    -------
    brushed()
        The user selected another range, or none.
    """

    brushed = Signal()

    def __init__(self, label: str) -> None:
        super().__init__(label, "tracks", height=112)
        self.brush: tuple[float, float] | None = None
        self._edges: NDArray[np.float64] = np.array([0.0, 1.0])
        self._values: NDArray[np.float64] = np.empty(0)
        self._pressed: float | None = None

    def sizeHint(self) -> QSize:
        return QSize(185, self._height)

    def minimumSizeHint(self) -> QSize:
        return QSize(150, self._height)

    def show_values(self, values: NDArray[np.float64]) -> None:
        """Show other tracks, with none selected."""
        self._values = values[np.isfinite(values)]
        self.brush = None
        if not self._values.size:
            self.show_message("No tracks yet.")
            return
        low, high = float(self._values.min()), float(self._values.max())
        self._edges = np.linspace(low, high if high > low else low + 1.0, _BINS + 1)
        self.show_chosen(np.empty(0))

    def show_chosen(self, values: NDArray[np.float64]) -> None:
        """Show these tracks as selected."""
        if not self._values.size:
            return
        middles = (self._edges[1:] + self._edges[:-1]) / 2
        counts, chosen = (np.histogram(part, self._edges)[0] for part in (self._values, values))
        top = max(float(counts.max()), 1.0)
        self.show_curves(
            [Curve(middles, counts, _ALL, bars=True), Curve(middles, chosen, _CHOSEN, bars=True)],
            x_range=(float(self._edges[0]), float(self._edges[-1])),
            y_range=(0.0, 1.05 * top),
        )
        self.set_lines([], draggable=False, shade=self.brush)

    def set_brush(self, brush: tuple[float, float] | None) -> None:
        """Shade another range without emitting a signal."""
        if brush != self.brush:
            self.brush = brush
            self.set_lines([], draggable=False, shade=brush)

    def holds(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Mask of the values in the range; all True without a range."""
        if self.brush is None:
            return np.ones(len(values), bool)
        low, high = self.brush
        return np.asarray((values >= low) & (values <= high))

    # --- the mouse and the keyboard -------------------------------------------------------------

    def mousePressEvent(self, event: Any) -> None:
        """Begin a range."""
        if event.button() == Qt.MouseButton.LeftButton and self._values.size:
            self._pressed = float(event.position().x())

    def mouseMoveEvent(self, event: Any) -> None:
        """Draw the range up to the mouse."""
        if self._pressed is None:
            self.viewport().setCursor(Qt.CursorShape.CrossCursor)
        elif abs(event.position().x() - self._pressed) >= _LEAST_DRAG:
            self._brush_to(float(event.position().x()))

    def mouseReleaseEvent(self, event: Any) -> None:
        """Finish the range; a click without a drag clears it."""
        if self._pressed is None:
            return
        if abs(event.position().x() - self._pressed) >= _LEAST_DRAG:
            self._brush_to(float(event.position().x()))
        else:
            self._tell(None)
        self._pressed = None

    def mouseDoubleClickEvent(self, event: Any) -> None:
        """Treat the second click of a double click as a click."""
        self.mousePressEvent(event)

    def keyPressEvent(self, event: Any) -> None:
        """Move the range by a bin."""
        steps = {Qt.Key.Key_Left: -1, Qt.Key.Key_Right: 1}
        if event.key() == Qt.Key.Key_Escape and self.brush is not None:
            self._tell(None)
        elif event.key() in steps and self._values.size:
            wide = bool(event.modifiers() & Qt.KeyboardModifier.ShiftModifier)
            self._step(steps[event.key()], widen=wide)
        else:
            super().keyPressEvent(event)

    def _step(self, by: int, *, widen: bool) -> None:
        if self.brush is None:
            first, last = (0, 1) if by > 0 else (_BINS - 1, _BINS)
        else:
            first, last = (int(np.abs(self._edges - end).argmin()) for end in self.brush)
            last = max(last, first + 1)
            least, most = (first + 1, _BINS) if widen else (last - first, _BINS)
            new = min(max(last + by, least), most)
            first, last = (first, new) if widen else (first + new - last, new)
        self._tell((float(self._edges[first]), float(self._edges[last])))

    def _brush_to(self, pixel: float) -> None:
        if self._pressed is None:
            return
        ends = sorted(self._value_at(one) for one in (self._pressed, pixel))
        self._tell((ends[0], ends[1]))

    def _tell(self, brush: tuple[float, float] | None) -> None:
        if brush != self.brush:
            self.set_brush(brush)
            self.brushed.emit()

    def _value_at(self, pixel: float) -> float:
        scene = self.viewportTransform().inverted()[0].map(QPointF(pixel, 0))
        value = self.getViewBox().mapSceneToView(scene).x()
        return float(min(max(value, self._edges[0]), self._edges[-1]))
