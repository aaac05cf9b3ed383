"""Following changes in one Shapes layer at a time."""

from __future__ import annotations

from typing import Any

__all__ = ["ShapesEar"]


class ShapesEar:
    """Reports when a shape was drawn, moved or selected in one Shapes layer at a time."""

    def __init__(self, callback: Any) -> None:
        self._layer: Any = None
        self._callback = callback

    def listen(self, layer: Any) -> None:
        """Listen to this layer only."""
        if layer is not self._layer:
            self.close()
            self._layer = layer
            layer.events.data.connect(self._callback)
            layer.events.highlight.connect(self._callback)

    def close(self, *_: Any) -> None:
        """Stop listening."""
        if self._layer is not None:
            self._layer.events.data.disconnect(self._callback)
            self._layer.events.highlight.disconnect(self._callback)
        self._layer = None
