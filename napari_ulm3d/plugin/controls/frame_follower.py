"""Following the viewer's time slider without keeping a closed panel alive."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from qtpy.QtCore import QObject, QTimer
from qtpy.QtWidgets import QWidget

__all__ = ["FrameFollower"]


class FrameFollower(QObject):
    """Calls back when the viewer's slider moves while a panel is visible, once for rapid moves."""

    def __init__(self, panel: Any, moved: Callable[[], None]) -> None:
        super().__init__(panel)
        self._panel: QWidget = panel
        self._moved = moved
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._tell)
        dims = panel.viewer.dims
        dims.events.current_step.connect(self._on_step)
        # The Qt object of a closed panel is gone: napari must not call into it.
        self.destroyed.connect(_Disconnect(dims, self._on_step))

    def _on_step(self, event: Any = None) -> None:
        self._timer.start()

    def _tell(self) -> None:
        if self._panel.isVisible():
            self._moved()


class _Disconnect:
    def __init__(self, dims: Any, callback: Any) -> None:
        self._dims, self._callback = dims, callback

    def __call__(self, *_: Any) -> None:
        self._dims.events.current_step.disconnect(self._callback)
