"""What the plugin needs of napari that napari does not offer in public, all in one place.

Each function says what it relies on and raises `NapariChangedError` when that is gone, so that a
new napari fails here with a sentence and not somewhere else without one.
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
    "is_being_drawn",
    "main_window",
    "overlay_of",
]

# napari's name of the overlay that shows a layer's name.
_TITLE = "layer_name"


class NapariChangedError(UlmError):
    """This napari lacks something that the plugin relies on."""

    def __init__(self, what: str) -> None:
        from importlib.metadata import version

        super().__init__(
            f"napari {version('napari')} no longer has {what}, which ULM 3D relies on. Install "
            "another napari (pip install 'napari>=0.9,<0.10') or a newer napari-ulm3d."
        )


def files_being_opened() -> list[str]:
    """All paths of the `viewer.open` that is at work, in its order; none outside of one.

    napari hands files that are dropped or chosen together to a reader one by one and does
    not say which belong together. The call that does so still stands on the stack: its
    argument is read there. Relies on `ViewerModel.open(path, stack=...)`.
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
    """Height and width of the canvas, pixels: a picture of another width keeps their ratio.

    napari tells no size of the canvas. Relies on `Window._qt_viewer.canvas.size`.
    """
    with _relying_on("Window._qt_viewer.canvas.size"):
        height, width = viewer.window._qt_viewer.canvas.size
        return int(height), int(width)


def main_window(viewer: Any) -> Any:
    """The Qt window of a viewer, for hearing what is dropped on it; None where it has none.

    napari offers the window for docks and menus only. Relies on `Window._qt_window`.
    """
    if getattr(viewer, "window", None) is None:
        return None
    with _relying_on("Window._qt_window"):
        return viewer.window._qt_window


def overlay_of(layer: Any, name: str) -> Any:
    """An overlay of a layer by its name; None where it has none of that name.

    napari gives layers overlays of its own alone. Relies on `Layer._overlays`.
    """
    with _relying_on("Layer._overlays"):
        return layer._overlays.get(name)


def add_overlay(layer: Any, name: str, overlay: Any) -> None:
    """Put an overlay on a layer under a name, before the layer's title.

    napari places overlays from the edge of the canvas inwards in the order in which a layer has
    them: a colour bar stands at the edge and its title beside it. As of `overlay_of`.
    """
    with _relying_on("Layer._overlays"):
        titles = {_TITLE: layer._overlays.pop(_TITLE)} if _TITLE in layer._overlays else {}
        layer._overlays.update({name: overlay})
        layer._overlays.update(titles)


def is_being_drawn(shapes: Any) -> bool:
    """Whether a polygon of a Shapes layer is not closed yet.

    Its events do not tell. Relies on `Shapes._is_creating`.
    """
    with _relying_on("Shapes._is_creating"):
        return bool(shapes._is_creating)


@contextmanager
def _relying_on(what: str) -> Iterator[None]:
    try:
        yield
    except (AttributeError, TypeError, ValueError) as error:
        raise NapariChangedError(what) from error


def _n_arguments(code: Any) -> int:
    count: int = code.co_argcount + code.co_kwonlyargcount
    return count
