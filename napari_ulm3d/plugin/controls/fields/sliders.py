"""Sliders with boxes beside them: every value can be dragged or typed."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import QHBoxLayout, QVBoxLayout, QWidget
from superqt import QDoubleRangeSlider, QDoubleSlider

from napari_ulm3d.plugin.controls.fields.number_box import Bounds, NumberBox

__all__ = ["NumberSlider", "RangeSlider"]

_STEPS = 100
_BOX_WIDTH = 66


class _TwoHandles(QDoubleRangeSlider):
    """A range slider that ignores the mouse wheel."""

    def wheelEvent(self, event: Any) -> None:
        event.ignore()


class _Slider(QDoubleSlider):
    """A slider with the keyboard control of Qt's own, which ignores the mouse wheel."""

    def wheelEvent(self, event: Any) -> None:
        event.ignore()

    def keyPressEvent(self, event: Any) -> None:
        keys, step, page = Qt.Key, self.singleStep(), self.pageStep()
        moves = {
            keys.Key_Left: self.value() - step,
            keys.Key_Down: self.value() - step,
            keys.Key_Right: self.value() + step,
            keys.Key_Up: self.value() + step,
            keys.Key_PageDown: self.value() - page,
            keys.Key_PageUp: self.value() + page,
            keys.Key_Home: self.minimum(),
            keys.Key_End: self.maximum(),
        }
        if event.key() in moves:
            self.setValue(moves[event.key()])
        else:
            super().keyPressEvent(event)


class NumberSlider(QWidget):
    """A number within a closed range, dragged on a slider or typed in a box.

    Parameters
    ----------
    bounds
        The range, finite.
    **box
        As in `NumberBox`; if an optional number is left out, the slider stays at its start.

    Signals
    -------
    valueChanged(object), refused(str)
        As in `NumberBox`.
    """

    valueChanged = Signal(object)
    refused = Signal(str)

    def __init__(self, bounds: Bounds, *, parent: QWidget | None = None, **box: Any) -> None:
        super().__init__(parent)
        step = (bounds.high - bounds.low) / _STEPS
        self._step = box.setdefault("step", step) or step
        self.slider = _Slider(Qt.Orientation.Horizontal)
        self.slider.setRange(
            bounds.low + (step if bounds.above else 0), bounds.high - (step if bounds.below else 0)
        )
        self.slider.setSingleStep(step)
        self.slider.setPageStep(10 * step)
        self.box = NumberBox(bounds=bounds, **box)
        self.box.setFixedWidth(_BOX_WIDTH if not box.get("optional") else 2 * _BOX_WIDTH)
        self.box.setButtonSymbols(NumberBox.ButtonSymbols.NoButtons)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(6)
        row.addWidget(self.slider, 1)
        row.addWidget(self.box)
        self.slider.valueChanged.connect(self._on_slid)
        self.box.valueChanged.connect(self._on_typed)
        self.box.refused.connect(self.refused)

    def value(self) -> Any:
        """The number; None if it is left out."""
        return self.box.value()

    def setValue(self, value: float | None) -> None:
        """Show a number without emitting a signal."""
        self.box.setValue(value)
        self._place(value)

    def _place(self, value: float | None) -> None:
        self.slider.blockSignals(True)
        self.slider.setValue(self.slider.minimum() if value is None else value)
        self.slider.blockSignals(False)

    def _on_slid(self, place: float) -> None:
        self.box.type_in(f"{round(place / self._step) * self._step:.6g}")

    def _on_typed(self, value: float | None) -> None:
        self._place(value)
        self.valueChanged.emit(value)


class RangeSlider(QWidget):
    """A lower and an upper limit, dragged on one slider or typed; either may be left out.

    The slider covers the range of the data (`span`); values outside it can be typed.

    Signals
    -------
    valueChanged()
        The user changed a limit.
    """

    valueChanged = Signal()

    def __init__(self, low: NumberBox, high: NumberBox) -> None:
        super().__init__()
        self.low, self.high = low, high
        self.slider = _TwoHandles(Qt.Orientation.Horizontal)
        self.slider.setBarMovesAllHandles(True)
        self._whole: tuple[float, float] = (0.0, 1.0)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        boxes = QHBoxLayout()
        boxes.setSpacing(4)
        for box in (low, high):
            boxes.addWidget(box)
            box.valueChanged.connect(self._on_typed)
        column.addLayout(boxes)
        column.addWidget(self.slider)
        self.slider.valueChanged.connect(self._on_slid)
        self.slider.setEnabled(False)
        self.span(0.0, 0.0)

    def span(self, low: float, high: float) -> None:
        """Set the range of the slider; the limits stay."""
        self.slider.setEnabled(high > low)
        self._whole = (low, high) if high > low else (low, low + 1)
        self.slider.blockSignals(True)
        self.slider.setRange(*self._whole)
        self.slider.setSingleStep((self._whole[1] - self._whole[0]) / _STEPS)
        self.slider.blockSignals(False)
        self.place()

    def place(self) -> None:
        """Move the handles to the limits."""
        low, high = self._whole
        first = low if self.low.value() is None else min(max(self.low.value(), low), high)
        last = high if self.high.value() is None else min(max(self.high.value(), low), high)
        self.slider.blockSignals(True)
        self.slider.setValue((first, max(first, last)))
        self.slider.blockSignals(False)

    def _on_typed(self, value: Any) -> None:
        self.place()
        self.valueChanged.emit()

    def _on_slid(self, ends: tuple[float, float]) -> None:
        step = (self._whole[1] - self._whole[0]) / _STEPS
        before = self.low.value(), self.high.value()
        for box, end, edge in zip((self.low, self.high), ends, self._whole, strict=True):
            shown = (
                edge
                if box.value() is None
                else min(max(box.value(), self._whole[0]), self._whole[1])
            )
            if abs(end - shown) > step / 1e3:
                at_edge = abs(end - edge) < step / 2 and box.optional
                box.setValue(None if at_edge else float(f"{end:.3g}"))
        if (self.low.value(), self.high.value()) != before:
            self.valueChanged.emit()
