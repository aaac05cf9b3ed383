"""A box for one number, which keeps invalid input until it is corrected."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from qtpy.QtCore import QEvent, QSize, Qt, Signal
from qtpy.QtGui import QKeySequence, QValidator
from qtpy.QtWidgets import QAbstractSpinBox, QStyle, QStyleOptionSpinBox, QWidget

__all__ = ["Bounds", "NumberBox", "parse_number", "split_numbers"]

_GROUPED = re.compile(r"[+-]?\d{1,3}(,\d{3})+")
_REFUSED = "NumberBox { border: 1px solid #ff7b72; }"
_FEW_CHARACTERS, _SUFFIX_CHARACTERS = 4, 6


@dataclass(frozen=True)
class Bounds:
    """The range of a number.

    Attributes
    ----------
    low, high
        Smallest and largest value; infinite means no limit.
    above, below
        Whether `low` and `high` themselves are excluded.
    """

    low: float = -math.inf
    high: float = math.inf
    above: bool = False
    below: bool = False

    def fault(self, value: float) -> str:
        """What is wrong with a value, as in "must be at least 0"; empty if it is valid."""
        if not math.isfinite(value):
            return "must be a finite number"
        if value < self.low or (self.above and value == self.low):
            return f"must be {'greater than' if self.above else 'at least'} {self.low:g}"
        if value > self.high or (self.below and value == self.high):
            return f"must be {'less than' if self.below else 'at most'} {self.high:g}"
        return ""


class NumberBox(QAbstractSpinBox):
    """A number to type, with a decimal point or comma, or to step.

    Input is accepted on Enter or when the box loses the focus. Text that is not a valid number
    stays, with a red border, and `refused` says why; Escape restores the last valid number.

    Parameters
    ----------
    whole
        Whole numbers only.
    bounds
        The range.
    size
        Size of the displayed unit in that of `value`; `bounds` and `step` use the displayed unit.
    unit
        Shown after the number; typing it is optional.
    typed_unit
        Unit that may be typed although it is not shown in the box.
    optional
        Whether the box may be left blank, which means None.
    step
        Step of the arrows; None: a tenth of the leading digit, or 1 for whole numbers.
    hint
        Placeholder shown while the box is blank.
    name
        Name of the number in `refused`, such as "z" in a row of three boxes.

    Signals
    -------
    valueChanged(object)
        The user entered another number, or None.
    refused(str)
        A clause saying why the input is not accepted; empty once it has been corrected.
    """

    valueChanged = Signal(object)
    refused = Signal(str)

    def __init__(
        self,
        *,
        whole: bool = False,
        bounds: Bounds | None = None,
        unit: str = "",
        typed_unit: str = "",
        size: float = 1.0,
        optional: bool = False,
        step: float | None = None,
        hint: str = "",
        name: str = "",
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self.bounds = bounds or Bounds()
        self.step = step
        self.name = name
        # Set by a row of boxes: handles several numbers typed or pasted into one of them.
        self.spread: Callable[[list[str]], bool] | None = None
        self._whole = whole
        self._suffix = f" {unit}" if unit else ""
        self._typed_unit = typed_unit or unit
        self._size = size
        self._optional = optional
        self._value: float | None = None
        self._shown = ""
        self._faulty = False
        self._typing = False
        if optional:
            self.setButtonSymbols(QAbstractSpinBox.ButtonSymbols.NoButtons)
            self.set_hint(hint)
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setAccelerated(True)
        self.lineEdit().textEdited.connect(self._on_typing)
        self.lineEdit().installEventFilter(self)
        self.installEventFilter(self)
        self.editingFinished.connect(self._commit)

    @property
    def optional(self) -> bool:
        """Whether the box may be left blank."""
        return self._optional

    # --- the value --------------------------------------------------------------------------

    def value(self) -> Any:
        """The number; None if the box is blank."""
        if self._value is None or self._size == 1:
            return self._value
        return self._value * self._size

    def setValue(self, value: float | None) -> None:
        """Show a number without emitting a signal; text being typed is not overwritten."""
        if value is not None and self._size != 1:
            value = float(f"{value / self._size:.12g}")
        same = value == self._value
        self._value = value
        if self.pending and (same or self._typing):
            return
        self._show()

    @property
    def pending(self) -> bool:
        """Whether there is text that is invalid or not accepted yet."""
        return bool(self.lineEdit().text() != self._shown)

    def set_hint(self, hint: str) -> None:
        """Set the placeholder of a blank box."""
        self.lineEdit().setPlaceholderText(hint)

    def placeholderText(self) -> str:
        """The placeholder of the blank box."""
        return str(self.lineEdit().placeholderText())

    def type_in(self, text: str) -> None:
        """Enter text as if it had been typed, and accept it."""
        self.lineEdit().setText(text)
        self._commit()

    def take_back(self) -> None:
        """Replace the input by the current number."""
        self._typing = False
        self._show()

    def refuse(self, fault: str) -> None:
        """Mark the box as invalid or valid, and emit `refused`."""
        if fault or self._faulty:
            self.setStyleSheet(_REFUSED if fault else "")
            self._faulty = bool(fault)
            self.refused.emit(f"{self.name} {fault}".strip() if fault else "")

    def _show(self) -> None:
        self._shown = "" if self._value is None else self._text(self._value)
        self.lineEdit().setText(self._shown)
        self.lineEdit().setCursorPosition(0)
        self.refuse("")

    def _text(self, value: float) -> str:
        number = f"{value:d}" if self._whole else f"{value:.7g}"
        return f"{number}{self._suffix}"

    def _on_typing(self) -> None:
        self._typing = True

    def _commit(self) -> None:
        self._typing = False
        text = self.lineEdit().text()
        if text == self._shown:
            return
        bare = text.strip().replace("μ", "µ")
        for unit in (self._typed_unit, self._typed_unit.replace("µ", "u")):  # without a µ key
            bare = bare.removesuffix(unit).strip()
        if self.spread is not None and self.spread(split_numbers(bare)):
            return
        if not bare and self._optional:
            self._take(None)
            return
        value = parse_number(bare, self._whole)
        if value is None:
            said = f"'{bare}' is not a number" if bare else "a number is missing"
            self.refuse(said if not self._whole or not bare else f"'{bare}' is not a whole number")
        elif fault := self.bounds.fault(value):
            self.refuse(fault)
        else:
            self._take(value)

    def _take(self, value: float | None) -> None:
        changed = value != self._value or self._faulty
        self._value = value
        self._show()
        if changed:
            self.valueChanged.emit(self.value())

    # --- Qt ---------------------------------------------------------------------------------

    def validate(self, text: str, position: int) -> Any:
        """Accept any text while typing."""
        return QValidator.State.Acceptable, text, position

    def stepEnabled(self) -> Any:
        """Which arrows are enabled."""
        flags = QAbstractSpinBox.StepEnabledFlag.StepNone
        if self._value is None:
            return flags
        if self._value < self.bounds.high:
            flags |= QAbstractSpinBox.StepEnabledFlag.StepUpEnabled
        if self._value > self.bounds.low:
            flags |= QAbstractSpinBox.StepEnabledFlag.StepDownEnabled
        return flags

    def stepBy(self, steps: int) -> None:
        """Step the number, within its range."""
        self._commit()
        if self._value is None or self.pending:
            return
        step = self.step or _tenth_of_leading_digit(self._value, steps, self._whole)
        value = self._value + steps * step
        low, high = self.bounds.low, self.bounds.high
        value = min(max(value, low), high)
        value = round(value) if self._whole else float(f"{value:.12g}")
        if not self.bounds.fault(value):
            self._take(value)

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """Leave Ctrl+Z to the plugin's undo unless the user is typing here."""
        if event.type() == QEvent.Type.ShortcutOverride and not self.pending:
            undo, redo = QKeySequence.StandardKey.Undo, QKeySequence.StandardKey.Redo
            if event.matches(undo) or event.matches(redo):
                event.ignore()
                return True
        return False

    def keyPressEvent(self, event: Any) -> None:
        """Restore the number on Escape."""
        if event.key() == Qt.Key.Key_Escape and self.pending:
            self.take_back()
            return
        super().keyPressEvent(event)

    def wheelEvent(self, event: Any) -> None:
        """Let the wheel scroll the panel unless the user is typing here."""
        if self.hasFocus():
            super().wheelEvent(event)
        else:
            event.ignore()

    def minimumSizeHint(self) -> QSize:
        """Room for a short number."""
        return self._room(_FEW_CHARACTERS)

    def sizeHint(self) -> QSize:
        """Room for a number and its unit."""
        return self._room(_SUFFIX_CHARACTERS + len(self._suffix))

    def _room(self, characters: int) -> QSize:
        option = QStyleOptionSpinBox()
        self.initStyleOption(option)
        width = characters * self.fontMetrics().horizontalAdvance("0")
        size = QSize(width, self.lineEdit().sizeHint().height())
        kind = QStyle.ContentsType.CT_SpinBox
        return QSize(self.style().sizeFromContents(kind, option, size, self))


def parse_number(text: str, whole: bool = False) -> float | None:
    """Parse a number with a decimal point or comma; None if the text is not a number.

    Thousands may be separated by blanks, and by commas where these cannot be decimal commas:
    in whole numbers, and before a decimal point.
    """
    text = re.sub(r"(?<=\d)[\u0020\u00a0\u2009\u202f'](?=\d{3}(\D|$))", "", text.strip())
    text = text.replace("\u2212", "-")
    head, point, tail = text.partition(".")
    if _GROUPED.fullmatch(head) and (whole or point):
        text = head.replace(",", "") + point + tail
    elif text.count(",") == 1 and not point:
        text = text.replace(",", ".")
    if not re.fullmatch(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", text):
        return None
    value = float(text)
    if not whole:
        return value
    return int(value) if math.isfinite(value) and value == int(value) else None


def split_numbers(text: str) -> list[str]:
    """The numbers of a text such as "100 150 150", "0,1; 0,15; 0,15" or "100, 150, 150"."""
    parts = [part.rstrip(",") for part in re.split(r"[\s;]+", text) if part.rstrip(",")]
    if len(parts) == 1 and text.count(",") > 1:
        parts = text.split(",")
    return parts


def _tenth_of_leading_digit(value: float, steps: int, whole: bool) -> float:
    """A step that suits the magnitude of a number: 0.1 for 3, 0.01 below 1."""
    least = 1.0 if whole else 1e-3
    size = abs(value)
    if whole and size < 1000:
        return 1.0
    if size < least * 10:
        return least
    exponent = math.floor(math.log10(size) + 1e-9)
    towards_zero = (value > 0) == (steps < 0)
    if towards_zero and math.isclose(size, 10.0**exponent):
        exponent -= 1
    return max(float(10.0 ** (exponent - (2 if whole else 1))), least)
