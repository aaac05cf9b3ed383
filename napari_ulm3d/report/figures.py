"""Pictures of a report, as bytes embedded in the page."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d._caches import give_matplotlib_a_folder
from napari_ulm3d.io.formats.png.writer import projection_figure
from napari_ulm3d.volumes import VesselMap

__all__ = ["address_of", "curve_image", "histogram_image", "map_image", "small_axes"]

_DPI = 110


def map_image(map_: VesselMap) -> str:
    """The map in three projections (one for a plane), as a data URL."""
    axis: Any = "all" if min(map_.shape) > 1 else map_.shape.index(1)
    figure = projection_figure(map_, axis)
    return address_of(figure, facecolor=figure.get_facecolor())


def histogram_image(
    values: NDArray[np.floating], label: str, weights: NDArray[np.floating] | None = None
) -> str:
    """A histogram up to the 99th percentile."""
    figure, axes = small_axes()
    known = np.isfinite(values)
    values = values[known]
    top = float(np.percentile(values, 99)) or 1.0
    axes.hist(
        values, bins=30, range=(0, top), weights=None if weights is None else weights[known],
        color="#2f6f9f",
    )  # fmt: skip
    axes.set_xlabel(label)
    axes.set_ylabel("number" if weights is None else "length (mm)")
    axes.axvline(float(np.median(values)), color="#b5452c", lw=1)
    return address_of(figure)


def curve_image(
    x: Sequence[float], lines: dict[str, Sequence[float]], x_label: str, y_label: str
) -> str:
    """Lines over x."""
    figure, axes = small_axes()
    for name, y in lines.items():
        axes.plot(x, y, label=name, lw=1.2)
    axes.set_xlabel(x_label)
    axes.set_ylabel(y_label)
    if len(lines) > 1:
        axes.legend(frameon=False, fontsize=7)
    return address_of(figure)


def small_axes(width: float = 3.3, height: float = 2.3) -> tuple[Any, Any]:
    """A figure (inches) with one pair of axes in a minimal style."""
    give_matplotlib_a_folder()
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(labelsize=7)
    axes.xaxis.label.set_fontsize(8)
    axes.yaxis.label.set_fontsize(8)
    return figure, axes


def address_of(figure: Any, **options: Any) -> str:
    """The figure as a data URL."""
    picture = BytesIO()
    figure.savefig(picture, format="png", dpi=_DPI, **options)
    return "data:image/png;base64," + b64encode(picture.getvalue()).decode("ascii")
