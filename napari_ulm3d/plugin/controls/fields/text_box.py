"""A line of text, accepted on Enter or when it loses the focus; blank means None."""

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
        The user entered another text, or None.
    """

    valueChanged = Signal(object)

    def __init__(self, *, hint: str = "", parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._shown = ""
        self.set_hint(hint)
        self.setClearButtonEnabled(True)
        self.editingFinished.connect(self._commit)

    def set_hint(self, hint: str) -> None:
        """Set the placeholder of a blank box."""
        self.setPlaceholderText(hint)

    def value(self) -> Any:
        """The text; None if blank."""
        return self.text().strip() or None

    def setValue(self, value: str | None) -> None:
        """Show a text without emitting a signal; text being typed is not overwritten."""
        if not self.isModified():
            self._shown = value or ""
            self.setText(self._shown)

    def _commit(self) -> None:
        self.setModified(False)
        if self.text() != self._shown:
            self._shown = self.text()
            self.valueChanged.emit(self.value())
