"""Clicks in the view, as opposed to drags that move it."""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import numpy as np

__all__ = ["ViewClicks"]

_DRAG_PIXELS = 3


class ViewClicks:
    """Reports clicks with the left button, whichever layer is active.

    Clicks that draw a shape, add a point or paint a label belong to that layer and are ignored.

    Parameters
    ----------
    viewer
        The napari viewer.
    clicked
        Called with napari's mouse event when the button is released.
    """

    def __init__(self, viewer: Any, clicked: Callable[[Any], None]) -> None:
        self._viewer, self._clicked = viewer, clicked
        viewer.mouse_drag_callbacks.append(self._on_press)

    def end(self, *_: Any) -> None:
        """Stop listening."""
        if self._on_press in self._viewer.mouse_drag_callbacks:
            self._viewer.mouse_drag_callbacks.remove(self._on_press)

    def _on_press(self, viewer: Any, event: Any) -> Generator[None, None, None]:
        active = viewer.layers.selection.active
        busy = active is not None and str(getattr(active, "mode", "pan_zoom")) != "pan_zoom"
        if int(event.button) != 1 or busy:
            return
        start = np.asarray(event.pos, float)
        yield
        while event.type == "mouse_move":
            if np.abs(np.asarray(event.pos, float) - start).max() > _DRAG_PIXELS:
                return  # the view is being moved
            yield
        self._clicked(event)
