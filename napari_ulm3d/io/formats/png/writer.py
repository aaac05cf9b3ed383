"""Pictures of vessel maps: projections with colour bar and scale bar, true to scale."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d._caches import give_matplotlib_a_folder
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.io.formats.png.projection import Projection, project
from napari_ulm3d.volumes import VesselMap

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap, Normalize
    from matplotlib.figure import Figure

__all__ = ["Axis", "projection_figure", "write_png"]

Axis = Literal[0, 1, 2, "z", "y", "x", "all"]

_DPI = 150
_LONGEST_PIXELS = 1400
_SMALLEST_PIXELS = 900
_INK, _PAPER = "#e8e8e8", "#0b0b0d"
_AXIS_NAMES = ("Depth z", "Elevation y", "Lateral x")
_TITLES = {
    "density": "Density",
    "speed": "Speed",
    "velocity_z": "Axial velocity",
    "direction": "Flow direction",
    "power_doppler": "Power Doppler",
    "density_se": "Standard error of the density",
    "speed_se": "Standard error of the speed",
    "resolution_local": "Local resolution",
}
_BAR_LABELS = {
    "density": "Tracks through each voxel",
    "speed": "Mean speed (mm/s)",
    "velocity_z": "Axial velocity (mm/s), deeper > 0",
    "power_doppler": "Power Doppler (a.u.)",
    "direction": "Tracks going deeper - tracks coming up",
    "density_se": "Standard error (tracks)",
    "speed_se": "Standard error (mm/s)",
    "resolution_local": "Resolution (µm), 1/2 bit",
}
# Margins in inches: left, right (colour bar and its label), bottom, top, between panels.
_LEFT, _RIGHT, _BOTTOM, _TOP, _BETWEEN = 0.75, 1.15, 0.6, 0.6, 0.75


def write_png(
    map_: VesselMap,
    path: Path,
    axis: Axis = 1,
    gamma: float | None = None,
    limit: float | None = None,
) -> None:
    """Write a maximum projection; parameters as in `projection_figure`."""
    projection_figure(map_, axis, gamma, limit).savefig(
        path, format="png", dpi=_DPI, facecolor=_PAPER, metadata={"Software": "napari-ulm3d"}
    )


def projection_figure(
    map_: VesselMap, axis: Axis = 1, gamma: float | None = None, limit: float | None = None
) -> Figure:
    """Draw a maximum projection (for a signed map, of the value furthest from zero).

    Parameters
    ----------
    map_
        The map.
    axis
        Viewing direction: 0 or "z", 1 or "y" (the default: depth over lateral), 2 or "x", or
        "all" for the three views side by side.
    gamma
        Exponent of the colour scale; None: 0.5 for counts, 1 otherwise.
    limit
        Value at the end of the colour scale; None: the 99.5th percentile of the non-empty
        pixels of the projection.

    Raises
    ------
    ConfigError
        The axis is not one of those.
    """
    give_matplotlib_a_folder()
    from matplotlib.figure import Figure

    panels = [project(map_, k, _LONGEST_PIXELS) for k in _views(map_, axis)]
    norm, colours, clipped = _colours(map_, panels, gamma, limit)
    boxes, (width, height) = _layout(panels)
    figure = Figure(figsize=(width, height), dpi=_DPI, facecolor=_PAPER)
    for panel, box in zip(panels, boxes, strict=True):
        axes = figure.add_axes(_relative(box, width, height), facecolor="black")
        drawn = axes.imshow(
            panel.image, cmap=colours, norm=norm, extent=panel.extent_mm,
            aspect="auto", interpolation="nearest",
        )  # fmt: skip
        _dress(axes, panel)
    _scale_bar(figure.axes[0], panels[0])
    bar_height = min(max(boxes[0][3], 1.6), height - 0.7)
    bar_box = (width - _RIGHT + 0.2, boxes[0][1] + boxes[0][3] - bar_height, 0.16, bar_height)
    bar = figure.colorbar(
        drawn, cax=figure.add_axes(_relative(bar_box, width, height)), extend=clipped
    )
    bar.set_label(_bar_label(map_, _gamma(map_, gamma)), color=_INK, fontsize=9)
    bar.ax.tick_params(colors=_INK, labelsize=8)
    bar.outline.set_edgecolor(_INK)
    seen = " and ".join("zyx"[3 - sum(p.axes)] for p in panels) if len(panels) < 3 else "each axis"
    what = "value furthest from zero" if map_.signed else "maximum"
    figure.text(
        _LEFT / width, 1 - 0.2 / height, _TITLES.get(map_.name, map_.name),
        color=_INK, fontsize=12, fontweight="bold", va="top",
    )  # fmt: skip
    figure.text(
        _LEFT / width, 1 - 0.42 / height, f"{what} along {seen}, {_voxel(map_)} voxels",
        color="#a8a8a8", fontsize=8, va="top",
    )  # fmt: skip
    return figure


def _views(map_: VesselMap, axis: Axis) -> tuple[int, ...]:
    if axis == "all":
        # A 2-D map has only one useful view.
        return (1,) if map_.shape[1] == 1 else (1, 2, 0)
    named: dict[Any, int] = {0: 0, 1: 1, 2: 2, "z": 0, "y": 1, "x": 2}
    if axis not in named:
        raise ConfigError(f"There is no axis {axis!r} to project along. Use z, y, x or all.")
    return (named[axis],)


def _gamma(map_: VesselMap, gamma: float | None) -> float:
    if gamma is None:
        return 0.5 if map_.unit in ("tracks", "a.u.", "") else 1.0
    if not gamma > 0:
        raise ConfigError(f"gamma must be positive, not {gamma}.")
    return gamma


def _colours(
    map_: VesselMap, panels: list[Projection], gamma: float | None, limit: float | None
) -> tuple[Normalize, Colormap, Literal["neither", "both", "max"]]:
    """Scale, colour map, and the ends at which values exceed the scale."""
    from matplotlib import colormaps
    from matplotlib.colors import FuncNorm, LinearSegmentedColormap

    exponent = _gamma(map_, gamma)
    magnitude = np.concatenate([np.abs(p.image[p.image != 0]) for p in panels])
    largest = float(magnitude.max()) if magnitude.size else 1.0
    top = (
        limit
        if limit is not None
        else float(np.percentile(magnitude, 99.5))
        if magnitude.size
        else 1.0
    )
    if not (np.isfinite(top) and top > 0):
        raise ConfigError(f"The limit of the colour scale must be positive, not {top}.")

    def forward(value: NDArray[Any]) -> NDArray[Any]:
        return np.sign(value) * np.abs(value) ** exponent

    def inverse(value: NDArray[Any]) -> NDArray[Any]:
        return np.sign(value) * np.abs(value) ** (1 / exponent)

    norm = FuncNorm((forward, inverse), vmin=-top if map_.signed else 0.0, vmax=top)
    if map_.signed:
        # Black at zero, as in colour Doppler: red flows towards the probe, blue away from it.
        colours: Colormap = LinearSegmentedColormap.from_list(
            "flow",
            ["#fff4c9", "#ff9d3c", "#d62b1f", "#5f0f10", "#000000", "#0a2463", "#1668e0", "#5cc8ff", "#d9f6ff"],
            N=512,
        )  # fmt: skip
    elif map_.name == "speed":
        table = colormaps["turbo"](np.linspace(0, 1, 512))
        table[0] = (0, 0, 0, 1)  # empty pixels are black
        colours = LinearSegmentedColormap.from_list("speed", table, N=512)
    else:
        table = colormaps["hot"](np.linspace(0, 1, 512))
        table[0] = (0, 0, 0, 1)
        colours = LinearSegmentedColormap.from_list("density", table, N=512)
    if largest <= top * (1 + 1e-6):
        return norm, colours, "neither"
    return norm, colours, "both" if map_.signed else "max"


def _layout(
    panels: list[Projection],
) -> tuple[list[tuple[float, float, float, float]], tuple[float, float]]:
    """Boxes (left, bottom, width, height) and figure size, inches.

    Each image pixel covers a whole number of picture pixels, at least one, so drawing never
    averages them away.
    """
    longest = max(max(p.image.shape) for p in panels)
    repeat = max(1, round(_SMALLEST_PIXELS / longest))
    sides = [side for p in panels for side in zip(p.image.shape[::-1], p.size_mm, strict=True)]
    per_mm = repeat * max(n / mm for n, mm in sides if n > 1 or longest == 1)
    # Strongly anisotropic voxels could otherwise lead to a huge picture.
    per_mm = min(per_mm, 2 * _LONGEST_PIXELS / max(max(p.size_mm) for p in panels))
    sizes = [(w * per_mm / _DPI, h * per_mm / _DPI) for w, h in (p.size_mm for p in panels)]
    width, height = sizes[0]
    if len(panels) == 3:
        below = sizes[2][1] + _BETWEEN
        beside = sizes[1][0] + _BETWEEN
        bottom = _BOTTOM + below
        boxes = [
            (_LEFT, bottom, *sizes[0]),
            (_LEFT + width + _BETWEEN, bottom, *sizes[1]),
            (_LEFT, _BOTTOM, *sizes[2]),
        ]
        total = (_LEFT + width + beside + _RIGHT, _BOTTOM + below + height + _TOP)
    else:
        boxes = [(_LEFT, _BOTTOM, width, height)]
        total = (_LEFT + width + _RIGHT, _BOTTOM + height + _TOP)
    return boxes, (max(total[0], 3.6), max(total[1], 2.6))


def _relative(
    box: tuple[float, float, float, float], width: float, height: float
) -> tuple[float, float, float, float]:
    left, bottom, w, h = box
    return left / width, bottom / height, w / width, h / height


def _dress(axes: Axes, panel: Projection) -> None:
    from matplotlib.ticker import MaxNLocator

    down, across = panel.axes
    axes.set_xlabel(f"{_AXIS_NAMES[across]} (mm)", color=_INK, fontsize=9)
    axes.set_ylabel(f"{_AXIS_NAMES[down]} (mm)", color=_INK, fontsize=9)
    axes.tick_params(colors=_INK, labelsize=8, length=3)
    short = min(panel.size_mm) / max(panel.size_mm) < 0.25
    width, height = panel.size_mm
    steps = [1, 2, 5, 10]
    axes.xaxis.set_major_locator(MaxNLocator(3 if short and width < height else 8, steps=steps))
    axes.yaxis.set_major_locator(MaxNLocator(3 if short and height < width else 8, steps=steps))
    for spine in axes.spines.values():
        spine.set_color("#5a5a5a")


def _scale_bar(axes: Axes, panel: Projection) -> None:
    """Draw a bar of a round length (1, 2 or 5 times a power of ten), about a fifth of the width."""
    from matplotlib.patches import Rectangle

    _left, right, bottom, _top = panel.extent_mm
    width, height = panel.size_mm
    power = 10.0 ** np.floor(np.log10(width / 5))
    length = (
        max(m * power for m in (1, 2, 5) if m * power <= width / 4) if width / 4 >= power else power
    )
    text = f"{length:g} mm" if length >= 1 else f"{length * 1000:g} µm"
    x, y = right - 0.04 * width - length, bottom - 0.05 * height
    thick = max(0.012 * min(width, height), 0.004 * max(width, height))
    axes.add_patch(
        Rectangle(
            (x, y - thick), length, thick, facecolor="white", edgecolor="black", linewidth=0.4
        )
    )
    label = axes.text(
        x + length / 2, y - 2 * thick, text, color="white", fontsize=9, ha="center", va="bottom"
    )
    _outline(label)


def _outline(text: Any) -> None:
    from matplotlib.patheffects import withStroke

    text.set_path_effects([withStroke(linewidth=2, foreground="black")])


def _bar_label(map_: VesselMap, gamma: float) -> str:
    label = _BAR_LABELS.get(map_.name) or f"{map_.name} ({map_.unit or 'a.u.'})"
    return label if gamma == 1 else f"{label}, gamma {gamma:g}"


def _voxel(map_: VesselMap) -> str:
    """Voxel size in um as text: one number if all axes with several voxels agree."""
    edges = {f"{s:.4g}" for s, n in zip(map_.grid.spacing_um, map_.shape, strict=True) if n > 1}
    if len(edges) <= 1:
        return f"{next(iter(edges), f'{map_.grid.spacing_um[0]:.4g}')} µm"
    return " x ".join(f"{s:.4g}" for s in map_.grid.spacing_um) + " µm"
