"""The dock widgets as napari asks for them: each panel in a scroll area of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QSize, Qt
from qtpy.QtWidgets import QFrame, QScrollArea

from napari_ulm3d.plugin.panels.clutter import ClutterPanel
from napari_ulm3d.plugin.panels.compare import ComparePanel
from napari_ulm3d.plugin.panels.export import ExportPanel
from napari_ulm3d.plugin.panels.history import HistoryPanel
from napari_ulm3d.plugin.panels.load import LoadPanel
from napari_ulm3d.plugin.panels.localize import LocalizePanel
from napari_ulm3d.plugin.panels.log import LogPanel
from napari_ulm3d.plugin.panels.maps import MapsPanel
from napari_ulm3d.plugin.panels.panel import Panel
from napari_ulm3d.plugin.panels.sparsify import SparsifyPanel
from napari_ulm3d.plugin.panels.workflow import WorkflowPanel
from napari_ulm3d.plugin.session import session_of

if TYPE_CHECKING:
    import napari

__all__ = [
    "ClutterDock",
    "CompareDock",
    "Dock",
    "ExportDock",
    "HistoryDock",
    "LoadDock",
    "LocalizeDock",
    "LogDock",
    "MapsDock",
    "SparsifyDock",
    "WorkflowDock",
]


class Dock(QScrollArea):
    """A panel that scrolls when the window is low, and is as wide as it needs."""

    panel_class: type[Panel]

    def __init__(self, napari_viewer: napari.viewer.Viewer) -> None:
        super().__init__()
        self.panel: Any = self.panel_class(session_of(napari_viewer))
        self.setWidget(self.panel)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

        self.panel.installEventFilter(self)

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """Grow with the panel: what appears in it later must not be cut off at the side."""
        if event.type() == QEvent.Type.LayoutRequest:
            self.updateGeometry()
        return False

    def sizeHint(self) -> QSize:
        wanted = self.panel.sizeHint()
        return QSize(max(wanted.width(), 340) + 20, min(wanted.height(), 620))

    def minimumSizeHint(self) -> QSize:
        return QSize(self.panel.minimumSizeHint().width() + 20, 120)


class LoadDock(Dock):
    """Files, what is in them, and what they do not say."""

    panel_class = LoadPanel


class ClutterDock(Dock):
    """Clutter filter and point-spread function."""

    panel_class = ClutterPanel


class SparsifyDock(Dock):
    """Which voxels are kept."""

    panel_class = SparsifyPanel


class LocalizeDock(Dock):
    """Bubbles and their tracks."""

    panel_class = LocalizePanel


class MapsDock(Dock):
    """Vessel maps."""

    panel_class = MapsPanel


class ExportDock(Dock):
    """Files out."""

    panel_class = ExportPanel


class CompareDock(Dock):
    """Two results beside each other, and measures."""

    panel_class = ComparePanel


class HistoryDock(Dock):
    """Every run."""

    panel_class = HistoryPanel


class LogDock(Dock):
    """What the package says."""

    panel_class = LogPanel


class WorkflowDock(Dock):
    """All of it in order."""

    panel_class = WorkflowPanel
