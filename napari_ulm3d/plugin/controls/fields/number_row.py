"""Several numbers side by side, as z, y, x."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QApplication, QHBoxLayout, QWidget

from napari_ulm3d.plugin.controls.fields.number_box import NumberBox

__all__ = ["NumberRow"]

# napari's boxes are wide, and there are three of them here.
_NARROW = "NumberBox { min-width: 26px; padding: 1px 6px; }"


class NumberRow(QWidget):
    """A tuple of numbers, a box each; all of them may be typed or pasted into one box.

    Parameters
    ----------
    boxes
        Of each box, what `NumberBox` takes.

    Signals
    -------
    valueChanged(object)
        A person gave another tuple, or None where all boxes are blank.
    refused(str)
        As of `NumberBox`.
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
        self.setStyleSheet(_NARROW)
        for box in self.boxes:
            box.spread = self._spread
            box.valueChanged.connect(self._tell)
            box.refused.connect(self.refused)
            box.editingFinished.connect(self._ask_for_the_rest)
            row.addWidget(box, 1)

    def value(self) -> Any:
        """The numbers; None where not all are given."""
        values = tuple(box.value() for box in self.boxes)
        return None if None in values else values

    def setValue(self, value: Sequence[float] | None) -> None:
        """Show numbers without telling."""
        parts = (None,) * len(self.boxes) if value is None else value
        for box, part in zip(self.boxes, parts, strict=True):
            box.setValue(part)

    def _tell(self, *_: Any) -> None:
        if self._filling:
            return
        given = [box for box in self.boxes if box.value() is not None]
        if not any(box.pending for box in self.boxes) and len(given) in (0, len(self.boxes)):
            self.refused.emit("")
            self.valueChanged.emit(self.value())

    def _spread(self, numbers: list[str]) -> bool:
        """Put as many numbers as there are boxes into these."""
        if len(numbers) != len(self.boxes):
            return False
        self._filling = True
        for box, number in zip(self.boxes, numbers, strict=True):
            box.spread = None
            box.type_in(number)
            box.spread = self._spread
        self._filling = False
        self._tell()
        return True

    def _ask_for_the_rest(self) -> None:
        """Some boxes are blank: say so once the row is left."""
        if any(box.pending for box in self.boxes):
            return  # what is wrong with that one was said
        blank = [box.name for box in self.boxes if box.value() is None]
        if 0 < len(blank) < len(self.boxes) and QApplication.focusWidget() not in self.boxes:
            self.refused.emit(f"{' and '.join(blank)} {'is' if len(blank) == 1 else 'are'} missing")
