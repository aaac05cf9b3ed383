"""Following the viewer's time slider without keeping a closed panel alive."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from qtpy.QtCore import QObject, QTimer
from qtpy.QtWidgets import QWidget

__all__ = ["FrameFollower"]


class FrameFollower(QObject):
    """Calls back when the viewer's slider moves while a panel is visible, once for rapid moves.

    Parameters
    ----------
    panel
        The panel, which holds the viewer.
    moved
        Called after a move.
    events
        Events of the viewer's dims to follow.
    unseen
        Called after a move instead while the panel is not visible.
    at_once
        Called with every move of a visible panel, before the frame is drawn. If it returns True, it
        has dealt with the move.
    """

    def __init__(
        self,
        panel: Any,
        moved: Callable[[], None],
        events: Sequence[str] = ("current_step",),
        unseen: Callable[[], None] | None = None,
        at_once: Callable[[], bool] | None = None,
    ) -> None:
        super().__init__(panel)
        self._panel: QWidget = panel
        self._moved, self._unseen, self._at_once = moved, unseen, at_once
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._tell)
        emitters = [getattr(panel.viewer.dims.events, name) for name in events]
        for emitter in emitters:
            emitter.connect(self._on_step)
        # The Qt object of a closed panel is gone: napari must not call into it.
        self.destroyed.connect(_Disconnect(emitters, self._on_step))

    def _on_step(self, event: Any = None) -> None:
        if self._at_once is not None and self._panel.isVisible() and self._at_once():
            self._timer.stop()
        else:
            self._timer.start()

    def _tell(self) -> None:
        if self._panel.isVisible():
            self._moved()
        elif self._unseen is not None:
            self._unseen()


class _Disconnect:
    def __init__(self, emitters: Sequence[Any], callback: Any) -> None:
        self._emitters, self._callback = emitters, callback

    def __call__(self, *_: Any) -> None:
        for emitter in self._emitters:
            emitter.disconnect(self._callback)
