"""One control for one setting, made from what the setting says of itself."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, Literal, Union, get_args, get_origin

import annotated_types
from pydantic.fields import FieldInfo
from qtpy.QtCore import QEvent, QObject, Qt, Signal
from qtpy.QtWidgets import (
    QAbstractSpinBox,
    QCheckBox,
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLineEdit,
    QSpinBox,
    QWidget,
)

from napari_ulm3d.config import shown_unit, unit_of

__all__ = ["Control", "PlainSpinBox", "calm", "control_for"]

_LARGEST_INT = 1_000_000_000
_LARGEST = 1e9


class Control(QWidget):
    """A value to be seen and edited.

    Signals
    -------
    edited(object)
        The person gave another value.
    """

    edited = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.row = QHBoxLayout(self)
        self.row.setContentsMargins(0, 0, 0, 0)
        self.row.setSpacing(4)

    def show_value(self, value: Any) -> None:
        """Show a value without telling `edited`."""
        raise NotImplementedError


class _NoWheel(QObject):
    """Lets the wheel scroll the dock instead of changing numbers that pass under it."""

    def eventFilter(self, watched: Any, event: Any) -> bool:
        if event.type() == QEvent.Type.Wheel and not watched.hasFocus():
            event.ignore()
            return True
        return False


class _Choice(Control):
    def __init__(self, choices: tuple[Any, ...]) -> None:
        super().__init__()
        self._choices = choices  # words, or numbers
        self.box = calm(QComboBox())
        self.box.addItems([str(choice) for choice in choices])
        self.box.activated.connect(self._tell)
        self.row.addWidget(self.box)

    def _tell(self, place: int) -> None:
        self.edited.emit(self._choices[place])

    def show_value(self, value: Any) -> None:
        self.box.setCurrentText(str(value))


class _Switch(Control):
    def __init__(self) -> None:
        super().__init__()
        self.box = QCheckBox()
        self.box.clicked.connect(self._tell)
        self.row.addWidget(self.box)
        self.row.addStretch()

    def _tell(self, on: bool) -> None:
        self.edited.emit(on)

    def show_value(self, value: Any) -> None:
        self.box.setChecked(bool(value))


class _Numbers(Control):
    """One number, or several side by side."""

    def __init__(self, parts: list[_Bounds], unit: str, many: bool) -> None:
        super().__init__()
        self._many = many
        self.boxes = [bounds.spin_box() for bounds in parts]
        for box in self.boxes:
            box.valueChanged.connect(self._tell)
            self.row.addWidget(box)
        if unit and not many:
            self.boxes[0].setSuffix(f" {unit}")

    def _tell(self) -> None:
        values = tuple(box.value() for box in self.boxes)
        self.edited.emit(values if self._many else values[0])

    def show_value(self, value: Any) -> None:
        for box, part in zip(self.boxes, value if self._many else (value,), strict=True):
            box.blockSignals(True)
            box.setValue(part)
            box.blockSignals(False)


class _MaybeText(Control):
    """A value that may be left out: blank stands for None."""

    def __init__(self, parse: Callable[[str], Any], hint: str, size: float = 1.0) -> None:
        super().__init__()
        self._size = size  # of the unit it is shown in
        self._parse = parse
        self.box = QLineEdit()
        self.box.setPlaceholderText(hint)
        self.box.setClearButtonEnabled(True)
        self.box.editingFinished.connect(self._tell)
        self.row.addWidget(self.box)
        self._last = ""

    def _tell(self) -> None:
        text = self.box.text().strip()
        if text != self._last:
            self._last = text
            value = self._parse(text) if text else None
            if self._size != 1 and isinstance(value, float):
                value *= self._size
            self.edited.emit(value)

    def show_value(self, value: Any) -> None:
        if self._size != 1 and value is not None:
            value = value / self._size
        parts = value if isinstance(value, tuple | list) else [] if value is None else [value]
        self._last = " ".join(f"{p:g}" if isinstance(p, float) else str(p) for p in parts)
        self.box.setText(self._last)


class _Bounds:
    """The range of a number, from the limits of its type and field."""

    def __init__(self, kind: type, metadata: list[Any]) -> None:
        self.whole = kind is int
        self.low: float = -_LARGEST
        self.high: float = _LARGEST
        for limit in metadata:
            if isinstance(limit, annotated_types.Ge):
                self.low = limit.ge  # type: ignore[assignment]
            elif isinstance(limit, annotated_types.Gt):
                self.low = limit.gt + (1 if self.whole else 0.001)  # type: ignore[operator]
            elif isinstance(limit, annotated_types.Le):
                self.high = limit.le  # type: ignore[assignment]
            elif isinstance(limit, annotated_types.Lt):
                self.high = limit.lt - (1 if self.whole else 0.001)  # type: ignore[operator]

    def spin_box(self) -> Any:
        box: Any = QSpinBox() if self.whole else PlainSpinBox()
        if self.whole:
            box.setRange(max(int(self.low), -_LARGEST_INT), min(int(self.high), _LARGEST_INT))
        else:
            box.setDecimals(3)
            box.setRange(self.low, self.high)
            box.setSingleStep(0.01)
            box.setStepType(QAbstractSpinBox.StepType.AdaptiveDecimalStepType)
        box.setKeyboardTracking(False)
        box.setMinimumWidth(56)
        return calm(box)


class PlainSpinBox(QDoubleSpinBox):
    """Numbers without trailing zeros; the largest or the smallest may stand for "no limit"."""

    at_top = ""
    at_bottom = ""

    def textFromValue(self, value: float) -> str:
        """The number as it is shown."""
        if self.at_top and value >= self.maximum():
            return self.at_top
        if self.at_bottom and value <= self.minimum():
            return self.at_bottom
        return f"{value:.6g}"


def control_for(field: FieldInfo, hint: str = "as the file says") -> Control:
    """The control for a setting; `hint` stands where an optional value is left out.

    Raises
    ------
    TypeError
        The setting is of a kind that no control is known for.
    """
    unit = unit_of(field)
    kind, optional = _without_none(field.annotation)
    if optional:
        return _MaybeText(_parser(kind), hint, shown_unit(field)[1])
    if get_origin(kind) is Literal:
        return _Choice(get_args(kind))
    if kind is bool:
        return _Switch()
    if kind in (int, float):
        return _Numbers([_Bounds(kind, field.metadata)], unit, many=False)
    if get_origin(kind) is tuple:
        return _Numbers([_bounds_of(part) for part in get_args(kind)], unit, many=True)
    raise TypeError(f"no control for a setting of type {kind}")


def _without_none(annotation: Any) -> tuple[Any, bool]:
    if get_origin(annotation) in (Union, types.UnionType):
        rest = [part for part in get_args(annotation) if part is not type(None)]
        if len(rest) == 1:
            return rest[0], True
    return annotation, False


def _bounds_of(annotation: Any) -> _Bounds:
    metadata: list[Any] = []
    for extra in getattr(annotation, "__metadata__", ()):
        metadata += extra.metadata if isinstance(extra, FieldInfo) else [extra]
    return _Bounds(getattr(annotation, "__origin__", annotation), metadata)


def _parser(kind: Any) -> Callable[[str], Any]:
    """From text to a plain value; what is no number stays text, and is refused with a reason."""

    def number(text: str) -> Any:
        try:
            return float(text)
        except ValueError:
            return text

    def parse(text: str) -> Any:
        if kind is str:
            return text
        if get_origin(kind) is tuple:
            return [number(part) for part in text.replace(",", " ").split()]
        value = number(text)
        return int(value) if kind is int and value == int(value) else value

    return parse


_calmer: list[_NoWheel] = []


def calm(box: Any) -> Any:
    """Keep the wheel from changing a control that has not the focus."""
    if not _calmer:
        _calmer.append(_NoWheel())
    box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    box.installEventFilter(_calmer[0])
    return box
