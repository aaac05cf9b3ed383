"""A balloon beside a widget, with a few words and buttons that work from the keyboard."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, QPoint, QPointF, QRect, Qt, Signal
from qtpy.QtGui import QColor, QPainter, QPolygonF
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QVBoxLayout, QWidget

__all__ = ["Balloon"]

_WIDTH, _ARROW, _MARGIN = 330, 14, 12
_GROUND, _INK, _EDGE = "#fff4cf", "#1f1f1f", "#d9a400"
_STEPS = {Qt.Key.Key_Right: 1, Qt.Key.Key_Left: -1, Qt.Key.Key_Escape: 0}
_STYLE = (
    f"QLabel {{ color: {_INK}; background: transparent; }}"
    f"QPushButton {{ color: {_INK}; background: #ffffff; border: 1px solid {_EDGE};"
    " border-radius: 3px; padding: 4px 10px; }"
    f"QPushButton:focus {{ border: 2px solid {_INK}; }}"
    "QPushButton:hover { background: #ffe9a8; }"
    "QPushButton:disabled { color: #b5a878; border-color: #ead9a0; }"
)


class Balloon(QWidget):
    """A balloon over a window that points at one of its widgets.

    Right or Enter moves on, Left moves back, Escape closes it.

    Signals
    -------
    went(int)
        1: next; -1: back; 0: close.
    """

    went = Signal(int)

    def __init__(self, window: QWidget) -> None:
        super().__init__(window)
        self.setAttribute(Qt.WidgetAttribute.WA_StyledBackground, False)
        self.setStyleSheet(_STYLE)
        self._tip = QPoint()
        self._right = True
        self._column = column = QVBoxLayout(self)
        column.setSpacing(8)
        edge = _ARROW + _MARGIN
        column.setContentsMargins(edge, _MARGIN, edge, _MARGIN)
        self.title = QLabel()
        self.title.setStyleSheet("font-weight: bold; font-size: 14px;")
        self.words = QLabel()
        for label in (self.title, self.words):
            label.setWordWrap(True)
            column.addWidget(label)
        self.count = QLabel()
        self.back_button = self._button("Back", -1)
        self.next_button = self._button("Next", 1)
        self.close_button = self._button("Close", 0)
        row = QHBoxLayout()
        row.addWidget(self.count)
        row.addStretch()
        for push in (self.close_button, self.back_button, self.next_button):
            row.addWidget(push)
        column.addLayout(row)
        self.setFixedWidth(_WIDTH)

    def _button(self, text: str, step: int) -> QPushButton:
        push = QPushButton(text)
        push.setAutoDefault(True)
        push.clicked.connect(lambda *_: self.went.emit(step))
        push.installEventFilter(self)
        return push

    def say(self, title: str, words: str, number: int, of: int) -> None:
        """Show this text as balloon `number` of `of`."""
        self.title.setText(title)
        self.words.setText(words)
        self.count.setText(f"{number} of {of}")
        self.back_button.setEnabled(number > 1)
        self.next_button.setText("Done" if number == of else "Next")
        self.next_button.setFocus(Qt.FocusReason.OtherFocusReason)

    def point_at(self, target: QWidget) -> None:
        """Move beside a widget, on the side with more room, inside the window."""
        window = self.parentWidget()
        assert window is not None
        corner = target.mapTo(window, QPoint(0, 0))
        place = QRect(corner, target.size()).intersected(window.rect())
        self.setFixedHeight(self._column.heightForWidth(_WIDTH))
        self._right = place.left() >= self.width() or place.left() > window.width() - place.right()
        left = place.left() - self.width() if self._right else place.right()
        left = min(max(left, 0), max(window.width() - self.width(), 0))
        middle = place.center().y()
        top = min(max(middle - self.height() // 3, 0), max(window.height() - self.height(), 0))
        self.move(left, top)
        self._tip = QPoint(
            self.width() if self._right else 0, min(max(middle - top, 8), self.height() - 8)
        )
        self.raise_()
        self.update()

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """Handle arrow keys and Escape, whichever button has the focus."""
        if event.type() != QEvent.Type.KeyPress:
            return False
        step = _STEPS.get(event.key())
        if step is None:
            return False
        if step >= 0 or self.back_button.isEnabled():
            self.went.emit(step)
        return True

    def paintEvent(self, event: Any) -> None:
        """Draw a rounded background with a tip."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setBrush(QColor(_GROUND))
        painter.setPen(QColor(_EDGE))
        body = self.rect().adjusted(_ARROW, 0, -_ARROW - 1, -1)
        painter.drawRoundedRect(body, 8, 8)
        x = body.right() if self._right else body.left()
        y = min(max(self._tip.y(), body.top() + 20), body.bottom() - 20)
        painter.setPen(Qt.PenStyle.NoPen)
        inward = -1 if self._right else 1
        painter.drawPolygon(
            QPolygonF([QPointF(x + inward, y - 9), QPointF(self._tip), QPointF(x + inward, y + 9)])
        )
        painter.end()
