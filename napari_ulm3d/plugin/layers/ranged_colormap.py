"""Two classes for napari: a colour map over a fixed range, and the source of a colour bar."""

from __future__ import annotations

from typing import Any

import numpy as np
from napari.utils.colormaps import Colormap, ensure_colormap
from napari.utils.events import EventedModel
from pydantic import PrivateAttr

__all__ = ["ColourScale", "RangedColormap"]

_NO_VALUE = (0.5, 0.5, 0.5, 1.0)


class RangedColormap(Colormap):
    """A colour map of absolute, not normalized, values; NaN is grey."""

    _low: float = PrivateAttr(0.0)
    _high: float = PrivateAttr(1.0)

    def __init__(self, base: Colormap, low: float, high: float) -> None:
        super().__init__(base.colors, name=base.name, controls=base.controls, nan_color=_NO_VALUE)
        self._low, self._high = low, high

    def map(self, values: Any) -> Any:
        """Colours (n, 4) of values (n,)."""
        share = (np.atleast_1d(values).astype(np.float64) - self._low) / (self._high - self._low)
        return super().map(share)


class ColourScale(EventedModel):
    """Limits and colours of a colour bar, which follows their changes."""

    contrast_limits: tuple[float, float] = (0.0, 1.0)
    continuous_colormap: Colormap = ensure_colormap("turbo")
