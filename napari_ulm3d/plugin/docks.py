"""The dock widgets as napari asks for them: each panel in a scroll area, as tabs of one side."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QSize, Qt
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtWidgets import QApplication, QFrame, QScrollArea, QWidget

from napari_ulm3d.plugin.jobs.warm_up import warm_up
from napari_ulm3d.plugin.keys import install_shortcuts
from napari_ulm3d.plugin.session import session_of
from napari_ulm3d.plugin.tabs import DockTab

if TYPE_CHECKING:
    import napari

__all__ = [
    "ClutterDock",
    "CompareDock",
    "CurateDock",
    "Dock",
    "ExportDock",
    "HistoryDock",
    "LoadDock",
    "LocalizeDock",
    "LogDock",
    "MapsDock",
    "ShortcutsDock",
    "SparsifyDock",
    "VesselsDock",
    "WorkflowDock",
]


class Dock(QScrollArea):
    """A panel that scrolls when the window is low, and is as wide as it needs to be."""

    #: Module under `panels` and class: imported when the dock is opened, one dock at a time.
    panel_class: tuple[str, str]

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        module, name = self.panel_class
        kind = getattr(import_module(f"napari_ulm3d.plugin.panels.{module}"), name)
        self.panel: Any = kind(session_of(napari_viewer))
        install_shortcuts(self.panel.session.viewer)
        warm_up()
        self.setWidget(self.panel)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

        self.panel.installEventFilter(self)
        self._tab = DockTab(self, Dock)
        undo = self.panel.session.undo
        for keys, step in (
            (QKeySequence.StandardKey.Undo, undo.undo),
            (QKeySequence.StandardKey.Redo, undo.redo),
        ):
            shortcut = QShortcut(QKeySequence(keys), self)
            shortcut.setContext(Qt.ShortcutContext.WidgetWithChildrenShortcut)
            shortcut.activated.connect(step)
        application = QApplication.instance()
        if isinstance(application, QApplication):
            application.focusChanged.connect(self._keep_focus)

    def _keep_focus(self, old: QWidget | None, now: QWidget | None) -> None:
        """Take the focus of a button that is disabled or hidden, as happens once it is pressed.

        Qt would give it to the next widget, perhaps outside, where Ctrl+Z does not reach the dock.
        """
        if old is None or not (self.panel.isVisible() and self.isAncestorOf(old)):
            return
        lost = not (old.isEnabled() and old.isVisible())
        if lost and not (now is not None and self.isAncestorOf(now)):
            self.setFocus()

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """Widen with the panel, so that content that appears later is not cut off at the side."""
        if event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return False

    def sizeHint(self) -> QSize:
        wanted = self.panel.sizeHint()
        return QSize(max(wanted.width(), 340) + 20, min(wanted.height(), 620))

    def minimumSizeHint(self) -> QSize:
        return QSize(self.panel.minimumSizeHint().width() + 20, 120)


class LoadDock(Dock):
    """Choose and open files, and fill in what they do not say."""

    panel_class = ("load", "LoadPanel")


class ClutterDock(Dock):
    """Clutter filter and point-spread function."""

    panel_class = ("clutter", "ClutterPanel")


class SparsifyDock(Dock):
    """Choose which voxels are kept."""

    panel_class = ("sparsify", "SparsifyPanel")


class LocalizeDock(Dock):
    """Localize bubbles and link them into tracks."""

    panel_class = ("localize", "LocalizePanel")


class MapsDock(Dock):
    """Vessel maps."""

    panel_class = ("maps", "MapsPanel")


class RefineDock(Dock):
    """Refine maps with a network."""

    panel_class = ("results.refine", "RefinePanel")


class VesselsDock(Dock):
    """Measure vessels."""

    panel_class = ("results.vessels", "VesselsPanel")


class ExportDock(Dock):
    """Export results."""

    panel_class = ("export", "ExportPanel")


class CompareDock(Dock):
    """Compare two results and measure them."""

    panel_class = ("results.compare", "ComparePanel")


class CurateDock(Dock):
    """Select, edit and verify tracks."""

    panel_class = ("results.curate", "CuratePanel")


class HistoryDock(Dock):
    """List the runs."""

    panel_class = ("history", "HistoryPanel")


class LogDock(Dock):
    """Show log messages."""

    panel_class = ("log", "LogPanel")


class ShortcutsDock(Dock):
    """List the keyboard shortcuts."""

    panel_class = ("parts.shortcuts", "ShortcutsPanel")


class WorkflowDock(Dock):
    """The whole workflow, step by step."""

    panel_class = ("workflow", "WorkflowPanel")
