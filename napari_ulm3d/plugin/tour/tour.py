"""The tour: its balloons, what they point at, and its automatic start on first use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QEvent, QObject, QTimer
from qtpy.QtWidgets import QWidget

from napari_ulm3d.plugin.napari_private import main_window
from napari_ulm3d.plugin.tabs import open_panel
from napari_ulm3d.plugin.tour.balloon import Balloon
from napari_ulm3d.plugin.tour.seen import remember_tour, was_seen

if TYPE_CHECKING:
    import napari

__all__ = ["STOPS", "Tour", "begin_tour_once", "take_tour"]

_WORKFLOW = "ULM workflow"

#: The target (a button of the panel, or a step), a title and a short text.
STOPS = (
    (
        "sample_button",
        "See a finished map",
        "<b>Open the sample</b> shows a vessel map of a simulated mouse cortex at once. Drag to turn it, "
        "scroll to zoom.",
    ),
    (
        "next_button",
        "Your own data, click by click",
        "This button always offers the next step: choose a folder, make the map, show it.",
    ),
    (
        "Load",
        "What is in your files",
        "<b>Load</b> lists what a file says. What it does not say (voxel size, frame rate) is marked in "
        "orange: type it, then press <b>Open</b>.",
    ),
    (
        "Localize & track",
        "From small to large",
        "Try <b>This frame</b> (F5), then <b>This window</b> (F6), then <b>Whole series</b> (F7). Name a "
        "results folder to keep the run.",
    ),
    (
        "Vessel maps",
        "Density, speed, direction",
        "<b>Vessel maps</b> shows each map and filters the tracks it is made of: by speed, length, or a "
        "region that you draw. Ctrl+Z undoes.",
    ),
    (
        "save_button",
        "Keep it",
        "<b>Save session</b> keeps layers, appearance, filters and view for another day; "
        "<b>Export</b> writes tables, maps, pictures and movies. The <b>?</b> beside it starts this tour again.",
    ),
)


class Tour(QObject):
    """A tour of the workflow panel.

    Attributes
    ----------
    balloon
        The balloon, hidden when the tour is over.
    """

    def __init__(self, panel: QWidget) -> None:
        super().__init__(panel)
        self._panel: Any = panel
        window = panel.window()
        self.balloon = Balloon(window)
        self.balloon.hide()
        self.balloon.went.connect(self._go)
        self._at = 0
        # The window is laid out after the event that announces it.
        self._settled = QTimer(self)
        self._settled.setSingleShot(True)
        self._settled.setInterval(0)
        self._settled.timeout.connect(self._place)
        window.installEventFilter(self)
        panel.installEventFilter(self)
        panel.destroyed.connect(self.balloon.deleteLater)

    @property
    def at(self) -> int:
        """Number of the balloon shown, from 1; 0 if none is."""
        return 0 if self.balloon.isHidden() else self._at + 1

    def begin(self) -> None:
        """Show the first balloon."""
        self._at = 0
        self._show()

    def _go(self, step: int) -> None:
        self._at += step
        if step == 0 or not 0 <= self._at < len(STOPS):
            self.balloon.hide()
            remember_tour()
            return
        self._show()

    def _show(self) -> None:
        _, title, words = STOPS[self._at]
        self.balloon.show()
        self.balloon.say(title, words, self._at + 1, len(STOPS))
        self._place()

    def _place(self) -> None:
        if self.balloon.isHidden():  # the tour ended before the window was laid out
            return
        name = STOPS[self._at][0]
        step = self._panel.sections.get(name)
        self.balloon.point_at(getattr(self._panel, name) if step is None else step.title)

    def eventFilter(self, watched: Any, event: Any) -> bool:
        """Follow the target; hide when the panel hides."""
        if not self.balloon.isHidden():
            if event.type() in (QEvent.Type.Resize, QEvent.Type.LayoutRequest):
                self._settled.start()
            elif event.type() == QEvent.Type.Hide and watched is self._panel:
                self.balloon.hide()
        return False


def take_tour(viewer: napari.Viewer) -> None:
    """Take the tour of ULM workflow: six balloons."""
    panel = open_panel(viewer, _WORKFLOW)
    # The dock is laid out in the next turn of the event loop.
    QTimer.singleShot(0, panel, panel.take_tour)


def begin_tour_once(panel: Any) -> None:
    """Start the tour if the user has not seen it and the panel is in a viewer's window."""
    if not was_seen() and panel.window() is main_window(panel.viewer):
        panel.take_tour()
