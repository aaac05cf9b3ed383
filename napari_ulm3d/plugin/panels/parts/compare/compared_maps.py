"""Two maps shown together: overlaid, side by side, or their difference."""

from __future__ import annotations

import weakref
from functools import partial
from typing import Any

from qtpy.QtCore import QObject, Signal

from napari_ulm3d.plugin.jobs.compare import ROLES, Compared, layers_of
from napari_ulm3d.plugin.jobs.job import LatestJob, waits
from napari_ulm3d.plugin.jobs.measure import ROLE as MEASURE
from napari_ulm3d.plugin.layers.convert import VALUE
from napari_ulm3d.plugin.layers.place import ROLE, Placer, find_layer, place, remove

__all__ = ["VIEWS", "ComparedMaps"]

#: Ways to show two maps, with their labels.
VIEWS = {
    "off": "Off",
    "overlay": "Overlay: A magenta, B green",
    "side by side": "Side by side",
    "difference": "Difference: A - B",
}


class ComparedMaps(QObject):
    """The layers of a comparison; layers above them are hidden meanwhile.

    Signals
    -------
    failed(Problem)
        They cannot be made.
    absent()
        One of the two has no such map.
    """

    failed = Signal(object)
    absent = Signal()

    def __init__(self, panel: Any) -> None:
        super().__init__(panel)
        self._panel = panel
        self._job = LatestJob(self)
        self._job.finished.connect(self._on_layers)
        self._job.failed.connect(self.failed.emit)
        self._placer = Placer(self)
        self._view = "off"
        self._hidden: list[weakref.ref[Any]] = []

    @property
    def _viewer(self) -> Any:
        return self._panel.viewer

    def show_maps(self, compared: Compared | None, name: str, view: str) -> None:
        """Show a map of both results in one of `VIEWS`; nothing unless there are two."""
        self._view = view
        if view == "off" or compared is None or len(compared.results) < 2:
            self.clear()
            return
        self._job.request(waits(lambda stop: (view, layers_of(compared, name, view))))

    def _on_layers(self, made: tuple[str, tuple[Any, ...]]) -> None:
        view, layers = made
        if self._view != view:
            return
        if not layers:
            self.absent.emit()
            self.clear()
            return
        for old in self._viewer.layers:
            if _in_the_way(old) and old.visible:
                self._hidden.append(weakref.ref(old))
                old.visible = False
        placed = {layer.metadata[ROLE]: layer for layer in layers}
        self._placer.forget()
        self._placer.take_turns(
            *(partial(self._show_role, role, placed.get(role), view) for role in ROLES),
            partial(self._arrange, view),
        )

    def _show_role(self, role: str, layer: Any, view: str) -> None:
        if layer is None:
            remove(self._viewer, role)
        else:
            place(self._viewer, layer).colorbar.visible = view != "overlay"

    def _arrange(self, view: str) -> None:
        grid = self._viewer.canvas.grid
        grid.stride, grid.shape = 1, (1, -1)
        grid.enabled = view == "side by side"
        drawn = find_layer(self._viewer, MEASURE)
        if drawn is not None:
            drawn.visible = view != "side by side"
        self._viewer.canvas.overlays.scale_bar.visible = True

    def clear(self) -> None:
        """Remove the comparison and show again what it hid."""
        self._placer.forget()
        if any(find_layer(self._viewer, role) is not None for role in ROLES):
            self._viewer.canvas.grid.enabled = False
            for role in ROLES:
                remove(self._viewer, role)
        for old in self._hidden:
            layer = old()
            if layer is not None and layer in self._viewer.layers:
                layer.visible = True
        self._hidden = []


def _in_the_way(layer: Any) -> bool:
    """Whether a layer of the plugin would cover the comparison."""
    ours = ROLE in layer.metadata or VALUE in layer.metadata
    return ours and layer.metadata.get(ROLE) not in (*ROLES, MEASURE)
