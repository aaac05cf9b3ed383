"""Value objects as napari layers: data, scale in um and s, units and axis labels.

Every function returns napari layer data, ``(data, settings, type)``, and needs
no viewer. The layer's metadata hold the complete value object, however much of it is
drawn.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Acquisition, Grid
from napari_ulm3d.plugin.layers.decibels import DecibelSeries
from napari_ulm3d.plugin.layers.track_colors import (
    COLOURING,
    DOPPLER,
    Colouring,
    default_colouring,
    features_of,
    layer_name,
    map_colormap,
    ranged_colormap,
    signed_top,
)
from napari_ulm3d.system.shown_units import shown_as
from napari_ulm3d.tables import POSITION_UM, Localizations, Tracks
from napari_ulm3d.volumes import VesselMap

__all__ = [
    "COLORMAPS",
    "COUNTS",
    "LABELS",
    "LIMITS",
    "POOLED",
    "SPACE_LABELS",
    "SPACE_UNITS",
    "UNITS",
    "LayerData",
    "acquisition_layer",
    "filtered_layer",
    "localizations_layer",
    "map_layer",
    "mask_layer",
    "rate_of",
    "tracks_layer",
    "value_of",
    "volume_layer",
]

LayerData = tuple[Any, dict[str, Any], str]

SPACE_UNITS = ("um", "um", "um")
SPACE_LABELS = ("z", "y", "x")
UNITS = ("s", *SPACE_UNITS)
LABELS = ("t", *SPACE_LABELS)

#: Metadata key of a layer's value object.
VALUE = "ulm3d"
#: Metadata keys of a map layer: pooling factor, and contrast limits before any user change.
POOLED = "ulm3d_pooled_by"
LIMITS = "ulm3d_limits"

#: Maps of counts span many decades, so faint vessels are brightened.
COUNTS = ("density", "trajectory")
#: Colour maps as in the field: hot for counts, colour Doppler for signed values.
COLORMAPS = {"density": "hot", "power_doppler": "gray", "speed": "turbo", "trajectory": "hot"}

_SHOWN_DB = 50.0
_SHOWN_FILTERED_DB = 25.0

# More voxels than this stall the viewer, and napari strides 3-D textures past the GL limit,
# so that thin vessels vanish. Larger maps are max-pooled instead.
MAX_DRAWN_VOXELS = 16_000_000
MAX_DRAWN_TRACK_POINTS = 300_000
MAX_DRAWN_LOCALIZATIONS = 300_000


def value_of(layer: Any, kind: type) -> Any:
    """The value object of this type that a layer shows; None if it shows none."""
    value = layer.metadata.get(VALUE) if hasattr(layer, "metadata") else None
    return value if isinstance(value, kind) else None


def acquisition_layer(acquisition: Acquisition, reference: float | None = None) -> LayerData:
    """Frames in dB relative to a fixed reference, read lazily."""
    series = DecibelSeries(acquisition, reference)
    settings = {
        "name": f"{acquisition.name} [dB]",
        "scale": _scale(acquisition.rate_hz, acquisition.grid),
        "translate": (0.0, *acquisition.grid.origin_um),
        "units": UNITS,
        "axis_labels": LABELS,
        "colormap": "gray",
        "contrast_limits": (-_SHOWN_DB, 0.0),
        "multiscale": False,
        "metadata": {VALUE: acquisition},
    }
    return series, settings, "image"


def map_layer(vessel_map: VesselMap, *, max_voxels: int = MAX_DRAWN_VOXELS) -> LayerData:
    """A vessel map as an image layer on its own grid, max-pooled if it is large."""
    data, factor = _pooled(vessel_map, max_voxels)
    spacing = np.asarray(vessel_map.grid.spacing_um)
    factors = np.where(np.asarray(vessel_map.shape) > 1, factor, 1)
    top = float(np.percentile(np.abs(vessel_map.values), 99.5)) if len(vessel_map.values) else 1.0
    top = top or 1.0
    name = vessel_map.name.replace("_", " ")
    signed = vessel_map.signed
    colours = DOPPLER if signed else COLORMAPS.get(vessel_map.name, "hot")
    top = signed_top(top) if signed else top
    limits = (-top, top) if signed else (0.0, top)
    settings = {
        "name": f"{name} [{shown_as(vessel_map.unit)}]" if vessel_map.unit else name,
        "scale": spacing * factors,
        "translate": np.asarray(vessel_map.grid.origin_um) + spacing * (factors - 1) / 2,
        "units": SPACE_UNITS,
        "axis_labels": SPACE_LABELS,
        "colormap": map_colormap(colours, signed),
        "contrast_limits": limits,
        "gamma": 0.6 if vessel_map.name in COUNTS else 1.0,
        "blending": "additive",
        # For signed values, neither the maximum nor the mean along a ray is meaningful.
        "rendering": "translucent" if signed else "mip",
        "projection_mode": "none" if signed else "max",
        "metadata": {VALUE: vessel_map, POOLED: factor, LIMITS: limits},
    }
    return data, settings, "image"


def volume_layer(name: str, volume: NDArray[Any], grid: Grid, **settings: Any) -> LayerData:
    """A volume (z, y, x) on the acquisition's grid."""
    settings = {
        "name": name,
        "scale": grid.spacing_um,
        "translate": grid.origin_um,
        "units": SPACE_UNITS,
        "axis_labels": SPACE_LABELS,
        "blending": "additive",
        **settings,
    }
    return volume, settings, "image"


def mask_layer(name: str, mask: NDArray[np.bool_], grid: Grid) -> LayerData:
    """Marked voxels of the acquisition's grid as a coloured overlay."""
    from napari.utils.colormaps import Colormap

    green = Colormap([[0.0, 0.0, 0.0, 0.0], [0.1, 0.9, 0.3, 1.0]], name="kept")
    return volume_layer(
        name,
        mask.view(np.uint8),
        grid,
        colormap=green,
        contrast_limits=(0, 1),
        opacity=0.55,
        blending="translucent_no_depth",
        interpolation2d="nearest",
        rendering="mip",
    )


def filtered_layer(
    frames: NDArray[Any], grid: Grid, rate_hz: float, first_frame: int, reference: float
) -> LayerData:
    """A block after the clutter filter, in dB, at its position in time."""
    block = Acquisition.from_array(frames, grid.spacing_um, rate_hz, origin_um=grid.origin_um)
    settings = {
        "name": "filtered frames (preview) [dB]",
        "scale": _scale(rate_hz, grid),
        "translate": (first_frame / rate_hz, *grid.origin_um),
        "units": UNITS,
        "axis_labels": LABELS,
        "colormap": "gray",
        "contrast_limits": (-_SHOWN_FILTERED_DB, 0.0),
        "multiscale": False,
        "blending": "translucent",
    }
    return DecibelSeries(block, reference), settings, "image"


def tracks_layer(
    tracks: Tracks,
    *,
    rate_hz: float | None = None,
    max_points: int = MAX_DRAWN_TRACK_POINTS,
    colouring: Colouring | None = None,
) -> LayerData:
    """Tracks as a layer; beyond `max_points` rows, whole tracks are left out.

    Parameters
    ----------
    rate_hz
        Frame rate of the time axis; None: taken from the table.
    colouring
        Quantity and range; None: speed over the robust range of these tracks.
    """
    colouring = colouring or default_colouring(tracks)
    table = _whole_tracks(tracks.table, max_points)
    data = table[["track_id", "frame", *POSITION_UM]].to_numpy(np.float64)
    if not len(data):  # napari rejects Tracks layers without points
        data = np.zeros((1, 5))
    features = features_of(table)
    settings = {
        "name": _drawn(layer_name(colouring), len(table), len(tracks)),
        "scale": (1 / (rate_hz or rate_of(tracks.table)), 1.0, 1.0, 1.0),
        "units": UNITS,
        "axis_labels": LABELS,
        "features": features.reindex(range(len(data)), fill_value=0.0),
        "color_by": colouring.by,
        "colormap": "turbo",
        "colormaps_dict": {colouring.by: ranged_colormap(colouring)},
        "blending": "translucent",
        "tail_length": 30,
        "metadata": {VALUE: tracks, COLOURING: colouring},
    }
    return data, settings, "tracks"


def localizations_layer(
    found: Localizations,
    rate_hz: float,
    size_um: float,
    *,
    max_points: int = MAX_DRAWN_LOCALIZATIONS,
) -> LayerData:
    """Localizations as points (t, z, y, x), each visible in its own frame."""
    table = found.table
    if len(table) > max_points:  # thinned by whole frames, so that a frame shows all of its bubbles
        last = table["frame"].iloc[max_points]
        table = table[table["frame"] < last]
    settings = {
        "name": _drawn("localizations", len(table), len(found)),
        "ndim": 4,
        "scale": (1 / rate_hz, 1.0, 1.0, 1.0),
        "units": UNITS,
        "axis_labels": LABELS,
        "features": table[["snr_db", "score"]].reset_index(drop=True),
        "size": size_um,
        "symbol": "disc",
        "face_color": "transparent",
        "border_color": "#ffd400",
        "border_width": 0.08,
        "projection_mode": "all",
        "metadata": {VALUE: found},
    }
    return table[["frame", *POSITION_UM]].to_numpy(np.float64), settings, "points"


def rate_of(table: pd.DataFrame) -> float:
    """Frame rate from a table's `frame` and `time_s`; 1 if they do not give it."""
    late = table["frame"].to_numpy().argmax() if len(table) else 0
    if not len(table) or not table["time_s"].iloc[late] > 0:
        return 1.0
    return float(table["frame"].iloc[late] / table["time_s"].iloc[late])


def _scale(rate_hz: float, grid: Grid) -> tuple[float, float, float, float]:
    return (1 / rate_hz, *grid.spacing_um)


def _drawn(name: str, n_drawn: int, n_all: int) -> str:
    # Short, since the name stands beside the colour bar.
    return name if n_drawn == n_all else f"{name} ({max(100 * n_drawn / n_all, 1):.0f} % drawn)"


def _whole_tracks(table: pd.DataFrame, max_points: int) -> pd.DataFrame:
    """The table, or a random choice of whole tracks with about `max_points` rows."""
    if len(table) <= max_points:
        return table
    identities = table["track_id"].unique()
    n_kept = max(int(identities.size * max_points / len(table)), 1)
    kept = np.random.default_rng(0).choice(identities, n_kept, replace=False)
    return table[table["track_id"].isin(kept)]


def _pooled(vessel_map: VesselMap, max_voxels: int) -> tuple[NDArray[np.float32], int]:
    """The volume, and the factor by which its resolved axes were pooled."""
    factor = 1
    shape = np.asarray(vessel_map.shape)
    while np.prod(-(-shape // np.where(shape > 1, factor, 1)), dtype=float) > max_voxels:
        factor += 1
    if factor == 1:
        return vessel_map.dense(), 1
    per_axis = np.where(shape > 1, factor, 1)
    coarse = tuple(int(n) for n in -(-shape // per_axis))
    index = np.ravel_multi_index(
        tuple(
            c // k
            for c, k in zip(
                np.unravel_index(vessel_map.index, vessel_map.shape), per_axis, strict=True
            )
        ),
        coarse,
    )
    out = np.zeros(int(np.prod(coarse)), np.float32)
    if vessel_map.signed:
        order = np.argsort(np.abs(vessel_map.values), kind="stable")
        out[index[order]] = vessel_map.values[order]
    else:
        np.maximum.at(out, index, vessel_map.values)
    return out.reshape(coarse), factor
