"""The plugin's docks as tabs of one another: a low window has no room for several in a column."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QDockWidget, QMainWindow, QScrollArea, QWidget

__all__ = ["DockTab", "open_panel"]

_PLUGIN = "napari-ulm3d"


def open_panel(viewer: Any, name: str) -> Any:
    """Open one of the plugin's widgets, or bring it to the front; its panel."""
    dock, widget = viewer.window.add_plugin_dock_widget(_PLUGIN, name)
    dock.show()
    dock.raise_()
    return widget.panel


class DockTab(QObject):
    """Makes the dock of a widget a tab beside the first of its kind on the same side.

    It happens once, when napari has docked the widget; the user may drag the dock elsewhere
    afterwards. A dock that is opened again comes to the front. The content of one that is behind
    another is hidden, so that it does nothing, and shown again when it is in front.

    Parameters
    ----------
    widget
        The widget that napari docks.
    kind
        Class of the widgets to share a place with.
    """

    def __init__(self, widget: QScrollArea, kind: type[QWidget]) -> None:
        super().__init__(widget)
        self._widget, self._kind = widget, kind
        self._dock: QDockWidget | None = None
        self._joined = self._behind = self._closed = False
        widget.installEventFilter(self)

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """Learn of the dock, and of its opening and closing."""
        dock = self._dock
        if event.type() == QEvent.Type.ParentChange and watched is self._widget:
            self._take(self._widget.parentWidget())
        elif dock is not None and watched is dock and dock.widget() is self._widget:
            if event.type() == QEvent.Type.Hide and dock.isHidden():  # not with its window
                self._on_closed()
            elif event.type() == QEvent.Type.Show and self._closed:
                self._closed = False
                QTimer.singleShot(0, self, self._come_to_front)
        return False

    def _take(self, dock: Any) -> None:
        if self._dock is not None or not isinstance(dock, QDockWidget):
            return
        self._dock = dock
        # The tab has room for the name alone, not for that of the plugin too.
        dock.setWindowTitle(dock.windowTitle().rpartition(" (")[0] or dock.windowTitle())
        dock.dockLocationChanged.connect(self._join)
        dock.visibilityChanged.connect(self._on_visibility)
        dock.installEventFilter(self)

    def _join(self, *_: Any) -> None:
        """Become a tab as soon as the dock has a place, before it is drawn there."""
        dock = self._dock
        window = None if dock is None else dock.parentWidget()
        if self._joined or dock is None or not isinstance(window, QMainWindow):
            return
        self._joined = True
        side = window.dockWidgetArea(dock)
        for other in window.findChildren(QDockWidget):
            ours = other is not dock and isinstance(other.widget(), self._kind)
            if ours and not other.isFloating() and window.dockWidgetArea(other) == side:
                window.tabifyDockWidget(other, dock)
                self._come_to_front()
                return

    def _come_to_front(self) -> None:
        if self._dock is not None:
            self._dock.show()
            self._dock.raise_()

    def _on_visibility(self, seen: bool) -> None:
        # Qt says False for a tab behind another one, too; the dock itself is not hidden then.
        dock = self._dock
        self._behind = not seen and dock is not None and not dock.isHidden()
        # Nor is its content, which would go on computing what nobody sees.
        content = self._widget.widget()
        if content is not None:
            content.setVisible(not self._behind)

    def _on_closed(self) -> None:
        """The menu's entry hides a dock that is open, but one behind a tab is wanted in front."""
        self._closed = True
        if self._behind:
            QTimer.singleShot(0, self, self._come_to_front)
