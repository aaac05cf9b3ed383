"""Text colours that are readable in the dark and the light theme."""

from __future__ import annotations

from typing import Any, Literal

from qtpy.QtCore import QEvent, QObject
from qtpy.QtGui import QColor
from qtpy.QtWidgets import QWidget

__all__ = ["TONES", "is_dark", "tint"]

Tone = Literal["fault", "caution"]

#: Text colours on a dark and on a light background; contrast at least 4.5:1 (WCAG 2.1, AA).
TONES: dict[str, tuple[str, str]] = {
    "fault": ("#ff7b72", "#b3261e"),
    "caution": ("#ffb454", "#8a4b00"),
}
_THEME = (QEvent.Type.PaletteChange, QEvent.Type.StyleChange)


def is_dark(widget: QWidget) -> bool:
    """Whether the theme is dark, judged by its light text."""
    ink: QColor = widget.palette().windowText().color()
    return bool(ink.lightness() > 127)


def tint(widget: QWidget, tone: Tone | None, more: str = "") -> None:
    """Give a label a tone that follows the theme; None: the theme's own text colour."""
    known: _Tint | None = widget.findChild(_Tint)
    (known or _Tint(widget)).set(tone, more)


class _Tint(QObject):
    """Follows the theme for one widget."""

    def __init__(self, widget: QWidget) -> None:
        super().__init__(widget)
        self._widget = widget
        self._tone: Tone | None = None
        self._more = self._style = ""
        self._dark = True
        widget.installEventFilter(self)

    def set(self, tone: Tone | None, more: str) -> None:
        self._tone, self._more = tone, more
        # The widget's own colour would mask the theme's.
        parent = self._widget.parentWidget()
        self._dark = is_dark(parent or self._widget)
        self._apply()

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """Update the text colour when the theme changes."""
        if event.type() in _THEME or event.type() == QEvent.Type.Polish:
            parent = self._widget.parentWidget()
            dark = is_dark(parent or self._widget)
            if dark != self._dark:
                self._dark = dark
                self._apply()
        return False

    def _apply(self) -> None:
        ink = "" if self._tone is None else f"color: {TONES[self._tone][0 if self._dark else 1]};"
        style = f"{ink} {self._more}".strip() if self._tone is not None else ""
        if style != self._style:
            self._style = style
            self._widget.setStyleSheet(style)
