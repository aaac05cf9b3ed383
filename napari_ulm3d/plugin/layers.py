"""Value objects as napari layers: data, scale in um, units and axis labels."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.tables import POSITION_UM, Tracks
from napari_ulm3d.volumes import VesselMap

__all__ = ["map_layer", "tracks_layer"]

LayerData = tuple[Any, dict[str, Any], str]

SPACE_UNITS = ("um", "um", "um")
SPACE_LABELS = ("z", "y", "x")

# Colour maps of the field: hot for counts, diverging for signed values.
_COLORMAPS = {"density": "hot", "power_doppler": "gray", "speed": "turbo"}

# More drawn voxels than this stall the viewer; 3-D textures past the GL limit are strided
# by it, so that thin vessels vanish. Larger maps are pooled by their maximum instead.
MAX_DRAWN_VOXELS = 48_000_000
MAX_DRAWN_TRACK_POINTS = 300_000


def map_layer(vessel_map: VesselMap, *, max_voxels: int = MAX_DRAWN_VOXELS) -> LayerData:
    """A vessel map as an image layer on its own grid, pooled by maximum when it is large."""
    data, factor = _pooled(vessel_map, max_voxels)
    spacing = np.asarray(vessel_map.grid.spacing_um)
    factors = np.where(np.asarray(vessel_map.shape) > 1, factor, 1)
    scale = spacing * factors
    translate = np.asarray(vessel_map.grid.origin_um) + spacing * (factors - 1) / 2
    top = float(np.percentile(np.abs(vessel_map.values), 99.5)) if len(vessel_map.values) else 1.0
    top = top or 1.0
    settings = {
        "name": f"{vessel_map.name} [{vessel_map.unit}]" if vessel_map.unit else vessel_map.name,
        "scale": scale,
        "translate": translate,
        "units": SPACE_UNITS,
        "axis_labels": SPACE_LABELS,
        "colormap": "twilight_shifted"
        if vessel_map.signed
        else _COLORMAPS.get(vessel_map.name, "hot"),
        "contrast_limits": (-top, top) if vessel_map.signed else (0.0, top),
        "gamma": 1.0 if vessel_map.signed else 0.6,
        "blending": "additive",
        "rendering": "mip",
        "metadata": {"ulm3d_pooled_by": factor},
    }
    return data, settings, "image"


def tracks_layer(tracks: Tracks, *, max_points: int = MAX_DRAWN_TRACK_POINTS) -> LayerData:
    """Tracks as a layer coloured by speed; whole tracks are left out past `max_points` rows."""
    table = tracks.table
    if len(table) > max_points:
        n_kept = max(int(tracks.n_tracks * max_points / len(table)), 1)
        rng = np.random.default_rng(0)
        kept = rng.choice(table["track_id"].unique(), n_kept, replace=False)
        table = table[table["track_id"].isin(kept)]
    data = table[["track_id", "frame", *POSITION_UM]].to_numpy(np.float64)
    settings = {
        "name": "tracks",
        "features": table[["speed_mm_s", "vz_mm_s", "score", "time_s"]].reset_index(drop=True),
        "color_by": "speed_mm_s",
        "colormap": "turbo",
        "tail_length": 30,
    }
    return data, settings, "tracks"


def _pooled(vessel_map: VesselMap, max_voxels: int) -> tuple[NDArray[np.float32], int]:
    """The volume, and the factor that its resolved axes were pooled by."""
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
