"""Controls that ignore the mouse wheel, so that it scrolls the panel instead."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, QObject, Qt

__all__ = ["calm"]


class _NoWheel(QObject):
    """Let the wheel scroll the dock rather than change the numbers under the pointer."""

    def eventFilter(self, watched: Any, event: Any) -> bool:
        if event.type() == QEvent.Type.Wheel and not watched.hasFocus():
            event.ignore()
            return True
        return False


_calmer: list[_NoWheel] = []


def calm(box: Any) -> Any:
    """Keep the wheel from changing a control that does not have the focus."""
    if not _calmer:
        _calmer.append(_NoWheel())
    box.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
    box.installEventFilter(_calmer[0])
    return box
