"""Colours of tracks on a fixed range, with a colour bar: what napari's Tracks layer lacks.

By itself it stretches its colours over the values it happens to hold, so that the same
speed changes colour with every filter, and a single NaN spoils everything. Here a quantity is
mapped over a fixed range, with napari's own colour bar on the layer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_ulm3d.plugin.napari_private import add_overlay, overlay_of
from napari_ulm3d.tables import Tracks

__all__ = [
    "COLOURING",
    "COLOUR_BAR",
    "DOPPLER",
    "QUANTITIES",
    "Colouring",
    "apply_colouring",
    "carried",
    "colormap_name",
    "complete_colouring",
    "default_colouring",
    "default_range",
    "features_of",
    "layer_name",
    "map_colormap",
    "napari_colormap",
    "ranged_colormap",
    "show_colour_bar",
    "signed_top",
    "title_colour_bar",
]

#: Metadata key of a layer's `Colouring`.
COLOURING = "ulm3d_colouring"

#: Name of the overlay that is the colour bar of a Tracks layer.
COLOUR_BAR = "ulm3d_colorbar"

#: Colour map of signed values: red towards the probe, blue away from it, as in colour Doppler.
DOPPLER = "doppler"
_DOPPLER = [
    [1.0, 0.95, 0.35, 1.0],
    [1.0, 0.25, 0.10, 1.0],
    [0.25, 0.03, 0.03, 1.0],
    [0.03, 0.03, 0.25, 1.0],
    [0.10, 0.35, 1.0, 1.0],
    [0.45, 1.0, 1.0, 1.0],
]
_NAME = re.compile(r"^tracks( by [^\[(]+(\[[^\]]*\])?)?(?= \(|$)")
_SCALE = "ulm3d_scale"
# Suffix of a colour map whose lowest colour is transparent.
_CLEAR = ", clear"


@dataclass(frozen=True)
class Quantity:
    """A quantity to colour tracks by: its label, unit and colour map."""

    label: str
    unit: str
    colormap: str = "turbo"
    signed: bool = False


#: Keyed by the name of the layer's feature.
QUANTITIES = {
    "speed_mm_s": Quantity("Speed", "mm/s"),
    "depth_um": Quantity("Depth", "µm", "viridis"),
    "direction": Quantity("Direction", "-1 up, 1 deeper", DOPPLER, signed=True),
    "vz_mm_s": Quantity("Axial velocity", "mm/s", DOPPLER, signed=True),
    "time_s": Quantity("Time", "s", "plasma"),
    "score": Quantity("Score", "", "viridis"),
}


@dataclass(frozen=True)
class Colouring:
    """The quantity that colours tracks, and its range.

    Attributes
    ----------
    by
        A name of `QUANTITIES`.
    low, high
        Values of the first and last colour; values beyond are clipped.
    chosen
        Whether the user set the range; it then persists when the result changes.
    """

    by: str = "speed_mm_s"
    low: float = 0.0
    high: float = 1.0
    chosen: bool = False

    @property
    def title(self) -> str:
        """The quantity with its unit."""
        quantity = QUANTITIES[self.by]
        return f"{quantity.label} ({quantity.unit})" if quantity.unit else quantity.label


def layer_name(colouring: Colouring) -> str:
    """Name of a Tracks layer, which serves as the title of its colour bar."""
    quantity = QUANTITIES[colouring.by]
    unit = f" [{quantity.unit}]" if quantity.unit else ""
    return f"tracks by {quantity.label.lower()}{unit}"


def features_of(table: pd.DataFrame) -> pd.DataFrame:
    """The values for colouring track points, one column for each of `QUANTITIES`.

    `direction` is axial velocity over speed: 1 straight down, -1 straight up.
    """
    speed = table["speed_mm_s"].to_numpy(np.float64)
    axial = table["vz_mm_s"].to_numpy(np.float64)
    with np.errstate(invalid="ignore", divide="ignore"):
        direction = np.where(speed > 0, axial / speed, 0.0)
    return pd.DataFrame(
        {
            "speed_mm_s": speed,
            "depth_um": table["z_um"].to_numpy(np.float64),
            "direction": direction,
            "vz_mm_s": axial,
            "time_s": table["time_s"].to_numpy(np.float64),
            "score": table["score"].to_numpy(np.float64),
        }
    )


def default_range(values: NDArray[np.float64], by: str) -> tuple[float, float]:
    """The 1st to the 99th percentile, rounded outwards; symmetric for signed quantities.

    Speed starts at 0 and time covers all values. NaN is ignored; a range is never empty.
    """
    values = values[np.isfinite(values)]
    if by == "direction":
        return -1.0, 1.0
    if not values.size:
        return (-1.0, 1.0) if QUANTITIES[by].signed else (0.0, 1.0)
    if QUANTITIES[by].signed:
        top = signed_top(_round_out(0.0, float(np.percentile(np.abs(values), 99)))[1])
        return -top, top
    ends = (0, 100) if by == "time_s" else (1, 99)
    low, high = (float(v) for v in np.percentile(values, ends))
    if by == "speed_mm_s":
        low = 0.0  # speed starts at zero
    return _round_out(low, high)


def signed_top(top: float) -> float:
    """The upper end, at or above `top`, of a symmetric colour range.

    napari labels only 0 on a symmetric colour bar that ends between 4 and 5 or between
    7.5 and 10 times a power of ten.
    """
    if not top > 0:
        return 1.0
    power = 10.0 ** np.floor(np.log10(top))
    share = top / power
    if 4.0 < share < 5.0:
        share = 5.0
    elif share > 7.0:
        share = 10.0
    return float(f"{share * power:.6g}")


def default_colouring(tracks: Tracks, by: str = "speed_mm_s") -> Colouring:
    """Colouring of some tracks over their own robust range."""
    return Colouring(by, *default_range(features_of(tracks.table)[by].to_numpy(), by))


def napari_colormap(name: str) -> Any:
    """A colour map by name: ours of signed values, or one of napari's."""
    from napari.utils.colormaps import Colormap, ensure_colormap

    if name == DOPPLER:
        return Colormap(_DOPPLER, name=DOPPLER, controls=[0.0, 0.25, 0.499, 0.501, 0.75, 1.0])
    return ensure_colormap(name)


def map_colormap(name: str, signed: bool) -> Any:
    """A colour map for a vessel map, with transparent empty voxels.

    Otherwise a map whose lowest colour is not black would cover the layers below it.
    """
    from napari.utils.colormaps import Colormap

    base = napari_colormap(name)
    if not signed and base.map(0.0)[0, :3].max() < 0.02:
        return base
    share = np.linspace(0, 1, 257)
    colours = base.map(share)
    if signed:
        colours[:, 3] *= np.clip(4 * (np.abs(2 * share - 1) - 0.02), 0, 1)
        return Colormap(colours, name=f"{name}{_CLEAR}")
    colours[0] = 0
    return Colormap(colours, name=f"{name}{_CLEAR}")


def colormap_name(colormap: Any) -> str:
    """The name from which `map_colormap` or `napari_colormap` made this colour map."""
    return str(colormap.name).removesuffix(_CLEAR)


def ranged_colormap(colouring: Colouring) -> Any:
    """The colour map of a quantity over its range, for a Tracks layer."""
    from napari_ulm3d.plugin.layers.ranged_colormap import RangedColormap

    base = napari_colormap(QUANTITIES[colouring.by].colormap)
    return RangedColormap(base, colouring.low, colouring.high)


def apply_colouring(layer: Any, colouring: Colouring, *, colour_bar: bool = True) -> None:
    """Colour a Tracks layer and show a colour bar of its range."""
    layer.colormaps_dict = {**layer.colormaps_dict, colouring.by: ranged_colormap(colouring)}
    layer.color_by = colouring.by
    layer.name = _NAME.sub(layer_name(colouring), layer.name, count=1)
    layer.metadata = {**layer.metadata, COLOURING: colouring}
    colormap = napari_colormap(QUANTITIES[colouring.by].colormap)
    show_colour_bar(layer, colormap, (colouring.low, colouring.high), colour_bar)


def show_colour_bar(
    layer: Any, colormap: Any, limits: tuple[float, float], visible: bool = True
) -> None:
    """Show a colour bar, titled with the layer's name, on a layer without one of its own."""
    from napari.components.overlays import ColorBarOverlay

    from napari_ulm3d.plugin.layers.ranged_colormap import ColourScale

    scale = getattr(layer, _SCALE, None)
    if scale is None:
        scale = ColourScale()
        setattr(layer, _SCALE, scale)
    scale.continuous_colormap = colormap
    scale.contrast_limits = limits
    # An overlay of the layer, like that of a Points layer's face colours; it follows `scale`.
    bar = overlay_of(layer, COLOUR_BAR)
    if bar is None:
        bar = ColorBarOverlay(colormanager_attribute=_SCALE)
        add_overlay(layer, COLOUR_BAR, bar)
    bar.visible = visible
    title_colour_bar(layer, visible)


def title_colour_bar(layer: Any, visible: bool = True) -> None:
    """Title the colour bar with the layer's name, which gives quantity and unit."""
    title = layer.name_overlay
    title.position = "top_right"
    title.font_size = 11
    title.visible = visible


def complete_colouring(layer: Any) -> None:
    """Add the colour bar to a Tracks layer that napari itself created, for example from a file."""
    colouring = layer.metadata.get(COLOURING) if hasattr(layer, "metadata") else None
    if colouring is not None and overlay_of(layer, COLOUR_BAR) is None:
        apply_colouring(layer, colouring)


def carried(old: Any, new: Any) -> None:
    """Keep the user's colours when a Tracks layer is replaced."""
    before = old.metadata.get(COLOURING)
    now = new.metadata.get(COLOURING)
    if before is None or now is None:
        return
    if before.chosen or before.by != now.by:
        if not before.chosen:
            ends = default_range(np.asarray(new.features[before.by], np.float64), before.by)
            before = replace(before, low=ends[0], high=ends[1])
        apply_colouring(new, before)
    bar = overlay_of(old, COLOUR_BAR)
    if bar is not None:
        overlay_of(new, COLOUR_BAR).visible = bar.visible


def _round_out(low: float, high: float) -> tuple[float, float]:
    """Widen the range to round numbers."""
    span = high - low
    if not span > 0:
        return low, low + 1.0
    step = 10.0 ** np.floor(np.log10(span)) / 5
    low, high = np.floor(low / step + 1e-9) * step, np.ceil(high / step - 1e-9) * step
    return float(f"{low:.6g}"), float(f"{high:.6g}")
