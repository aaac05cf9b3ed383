"""Several numbers side by side, as z, y, x."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QApplication, QHBoxLayout, QWidget

from napari_ulm3d.plugin.controls.fields.number_box import NumberBox

__all__ = ["NumberRow"]

# napari's boxes are wide, and this row holds three.
_NARROW = "NumberBox { min-width: 26px; padding: 1px 6px; }"


class NumberRow(QWidget):
    """A tuple of numbers, one box each; all of them may be typed or pasted into one box.

    A single number in a row of blank boxes, such as a voxel size, fills all of them when Enter is
    pressed or the row loses the focus.

    Parameters
    ----------
    boxes
        Arguments of the `NumberBox` for each box.

    Signals
    -------
    valueChanged(object)
        The user entered another tuple, or None if all boxes are blank.
    refused(str)
        As in `NumberBox`.
    """

    valueChanged = Signal(object)
    refused = Signal(str)

    def __init__(self, boxes: Sequence[dict[str, Any]], *, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        row.setSpacing(4)
        self.boxes = [NumberBox(**box) for box in boxes]
        self._filling = False
        self._left_out: NumberBox | None = None
        self.setStyleSheet(_NARROW)
        for box in self.boxes:
            box.spread = self._spread
            box.valueChanged.connect(self._tell)
            box.refused.connect(self.refused)
            box.editingFinished.connect(partial(self._ask_for_the_rest, box))
            row.addWidget(box, 1)

    def value(self) -> Any:
        """The numbers; None unless all are given."""
        values = tuple(self._value_of(box) for box in self.boxes)
        return None if None in values else values

    def leave_out(self, index: int | None) -> None:
        """Hide a box, such as y in 2-D: it takes the value of the last box, or 0 for a position."""
        self._left_out = None if index is None else self.boxes[index]
        for box in self.boxes:
            box.setVisible(box is not self._left_out)

    def _value_of(self, box: NumberBox) -> Any:
        if box is not self._left_out:
            return box.value()
        if _is_size(box):
            return self.boxes[-1].value()
        blank = all(other.value() is None for other in self._asked)
        return 0.0 if box.value() is None and not blank else box.value()

    @property
    def _asked(self) -> list[NumberBox]:
        return [box for box in self.boxes if box is not self._left_out]

    def setValue(self, value: Sequence[float] | None) -> None:
        """Show numbers without emitting a signal."""
        parts = (None,) * len(self.boxes) if value is None else value
        for box, part in zip(self.boxes, parts, strict=True):
            box.setValue(part)

    def _tell(self, *_: Any) -> None:
        if self._filling:
            return
        given = [box for box in self._asked if box.value() is not None]
        if not any(box.pending for box in self._asked) and len(given) in (0, len(self._asked)):
            self.refused.emit("")
            self.valueChanged.emit(self.value())

    def _spread(self, numbers: list[str]) -> bool:
        """Fill the boxes with exactly as many numbers."""
        boxes = self._asked if len(numbers) == len(self._asked) else self.boxes
        if len(numbers) != len(boxes):
            return False
        self._filling = True
        for box, number in zip(boxes, numbers, strict=True):
            box.spread = None
            box.type_in(number)
            box.spread = self._spread
        self._filling = False
        self._tell()
        return True

    def _ask_for_the_rest(self, left: NumberBox) -> None:
        """Fill blank boxes with the only number given, or report which are missing."""
        if any(box.pending for box in self._asked):
            return  # its own error is on display already
        blank = [box for box in self._asked if box.value() is None]
        given = [box for box in self._asked if box.value() is not None]
        here = QApplication.focusWidget()
        # Enter keeps the focus in the box; moving on to the next box fills nothing.
        on_the_way = here in self.boxes and here is not left
        if not blank or not given or on_the_way:
            return
        if given == [left] and _is_size(left):
            self._spread([str(given[0].value())] * len(self._asked))
        elif here not in self.boxes:
            names = [box.name for box in blank]
            self.refused.emit(f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'} missing")


def _is_size(box: NumberBox) -> bool:
    """Whether a box holds a size (greater than 0) rather than a position or rank."""
    return bool(box.bounds.above and box.bounds.low == 0 and box.optional)
