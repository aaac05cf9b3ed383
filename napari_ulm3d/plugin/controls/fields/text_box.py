"""A line of text that counts on Enter or when it is left; blank stands for None."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QLineEdit, QWidget

__all__ = ["TextBox"]


class TextBox(QLineEdit):
    """A text, or None.

    Signals
    -------
    valueChanged(object)
        A person gave another text, or None.
    """

    valueChanged = Signal(object)

    def __init__(self, *, hint: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shown = ""
        self.set_hint(hint)
        self.setClearButtonEnabled(True)
        self.editingFinished.connect(self._commit)

    def set_hint(self, hint: str) -> None:
        """Show a text while the box is blank."""
        self.setPlaceholderText(hint)

    def value(self) -> Any:
        """The text; None where there is none."""
        return self.text().strip() or None

    def setValue(self, value: str | None) -> None:
        """Show a text without telling; what is being typed is not wiped out by it."""
        if not self.isModified():
            self._shown = value or ""
            self.setText(self._shown)

    def _commit(self) -> None:
        self.setModified(False)
        if self.text() != self._shown:
            self._shown = self.text()
            self.valueChanged.emit(self.value())
