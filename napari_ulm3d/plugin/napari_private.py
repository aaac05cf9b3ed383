"""All uses of napari internals, which have no public equivalent, in one place.

Each function states what it relies on and raises `NapariChangedError` if that is gone, so that a
new napari fails here with a clear message and not somewhere else without one.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from os import PathLike, fspath
from typing import Any

from napari_ulm3d.errors import UlmError

__all__ = [
    "NapariChangedError",
    "add_overlay",
    "canvas_size",
    "files_being_opened",
    "insert_unselected",
    "is_being_drawn",
    "main_window",
    "overlay_of",
]

# napari's name for the overlay that shows a layer's name.
_TITLE = "layer_name"


class NapariChangedError(UlmError):
    """This version of napari lacks something that the plugin relies on."""

    def __init__(self, what: str) -> None:
        from importlib.metadata import version

        super().__init__(
            f"napari {version('napari')} no longer has {what}, which ULM 3D relies on. Install "
            "another napari (pip install 'napari>=0.9,<0.10') or a newer napari-ulm3d."
        )


def files_being_opened() -> list[str]:
    """All paths of the `viewer.open` call in progress, in order; empty outside of a call.

    napari passes files that are dropped or chosen together to a reader one by one and does
    not say which belong together. The calling frame is still on the stack, and its
    argument is read from there. Relies on `ViewerModel.open(path, stack=...)`.
    """
    from napari.components import ViewerModel

    code = getattr(inspect.unwrap(ViewerModel.open), "__code__", None)
    if code is None or not {"path", "stack"} <= set(code.co_varnames[: _n_arguments(code)]):
        raise NapariChangedError("ViewerModel.open(path, stack)")
    frame = inspect.currentframe()
    while frame is not None and frame.f_code is not code:
        frame = frame.f_back
    if frame is None or frame.f_locals["stack"]:
        return []
    path: Any = frame.f_locals["path"]
    return [fspath(one) for one in ([path] if isinstance(path, str | PathLike) else path)]


def canvas_size(viewer: Any) -> tuple[int, int]:
    """Height and width of the canvas in pixels, which give the aspect ratio of pictures.

    napari does not expose the canvas size. Relies on `Window._qt_viewer.canvas.size`.
    """
    with _relying_on("Window._qt_viewer.canvas.size"):
        height, width = viewer.window._qt_viewer.canvas.size
        return int(height), int(width)


def main_window(viewer: Any) -> Any:
    """The Qt window of a viewer, for handling drops; None if it has none.

    napari exposes the window for docks and menus only. Relies on `Window._qt_window`.
    """
    if getattr(viewer, "window", None) is None:
        return None
    with _relying_on("Window._qt_window"):
        return viewer.window._qt_window


def overlay_of(layer: Any, name: str) -> Any:
    """An overlay of a layer by name; None if there is none.

    napari has no public access to layer overlays. Relies on `Layer._overlays`.
    """
    with _relying_on("Layer._overlays"):
        return layer._overlays.get(name)


def add_overlay(layer: Any, name: str, overlay: Any) -> None:
    """Add a named overlay to a layer, before the layer's title.

    napari places overlays from the edge of the canvas inwards, in the order in which a layer holds
    them: the colour bar at the edge, its title beside it. Relies on `Layer._overlays`.
    """
    with _relying_on("Layer._overlays"):
        titles = {_TITLE: layer._overlays.pop(_TITLE)} if _TITLE in layer._overlays else {}
        layer._overlays.update({name: overlay})
        layer._overlays.update(titles)


def is_being_drawn(shapes: Any) -> bool:
    """Whether a polygon of a Shapes layer is not closed yet.

    Its events do not say so. Relies on `Shapes._is_creating`.
    """
    with _relying_on("Shapes._is_creating"):
        return bool(shapes._is_creating)


def insert_unselected(layers: Any, at: int, layer: Any) -> None:
    """Insert a layer into a viewer's list and leave the selection as it is.

    napari selects every new layer, which rebuilds menus and controls; selecting the former layer
    again does so twice, a third of the time of the insertion. Relies on
    `LayerList._activate_on_insert`.
    """
    with _relying_on("LayerList._activate_on_insert"):
        activates = layers._activate_on_insert
    layers._activate_on_insert = False
    try:
        layers.insert(at, layer)
    finally:
        layers._activate_on_insert = activates


@contextmanager
def _relying_on(what: str) -> Iterator[None]:
    try:
        yield
    except (AttributeError, TypeError, ValueError) as error:
        raise NapariChangedError(what) from error


def _n_arguments(code: Any) -> int:
    count: int = code.co_argcount + code.co_kwonlyargcount
    return count
