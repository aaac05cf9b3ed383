"""Lines and regions drawn on a map, in world micrometres, and their measurements."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.evaluate import (
    Profile,
    Region,
    RegionNumbers,
    Width,
    full_width_at_half_maximum,
    line_profile,
    plane,
    region_numbers,
    tracks_in_peak,
)
from napari_ulm3d.plugin.layers.place import find_layer, make_layer, place
from napari_ulm3d.plugin.layers.shapes.drawing import drawing_layer
from napari_ulm3d.plugin.state.results import Result

__all__ = [
    "Drawn",
    "Measured",
    "Slab",
    "drawn_shape",
    "measure",
    "measure_layer",
    "slab_of",
    "start_drawing",
    "thicken",
    "thickness_of",
]

ROLE = "measure"
Slab = Literal["view", "slab", "plane", "volume"]

# Default slab, measured and shown where napari shows one plane: about a beam's
# elevational width, three wavelengths at 15 MHz. One map plane holds about one track in twelve.
SLAB_UM = 300.0

_ELLIPSE_CORNERS = 64
_FLAT_UM = 1e-6


@dataclass(frozen=True)
class Drawn:
    """A shape in a plane of the volume.

    Attributes
    ----------
    kind
        "line" or "region".
    axis
        Axis perpendicular to its plane: 0 z, 1 y, 2 x.
    position_um
        Position along that axis.
    points_um
        (n, 2) corners along the other two axes.
    """

    kind: Literal["line", "region"]
    axis: int
    position_um: float
    points_um: NDArray[np.float64]


@dataclass(frozen=True)
class Measured:
    """Measurements of a shape on one result.

    `n_tracks` is the number of tracks in the peak whose width was measured.
    """

    profile: Profile | None = None
    width: Width | None = None
    region: RegionNumbers | None = None
    n_tracks: int = 0


def measure_layer(viewer: Any) -> Any:
    """The Shapes layer to measure with: the selected one, else the plugin's own, else None."""
    from napari.layers import Shapes

    active = viewer.layers.selection.active
    return active if isinstance(active, Shapes) else find_layer(viewer, ROLE)


def start_drawing(viewer: Any, mode: str) -> Any:
    """Prepare the plugin's Shapes layer for drawing in a mode such as ``add_line``."""
    layer = find_layer(viewer, ROLE)
    if layer is None:
        layer = place(viewer, make_layer(drawing_layer("measure", _edge_um(viewer)), ROLE))
    layer.visible = True
    viewer.layers.selection.active = layer
    layer.mode = mode
    return layer


def thickness_of(viewer: Any, axis: int | None = None) -> float:
    """Thickness in um of the slab that the view shows across the hidden axis."""
    axis = _hidden_axis(viewer) if axis is None else axis
    thickness = viewer.dims.thickness[-3:]
    return 0.0 if axis is None or len(thickness) < 3 else float(thickness[axis])


def thicken(viewer: Any, thickness_um: float) -> None:
    """Show a slab of this thickness in 2-D, for maps as a maximum projection."""
    axis = _hidden_axis(viewer)
    if axis is None:
        return
    thickness = list(viewer.dims.thickness)
    thickness[axis - 3] = thickness_um
    viewer.dims.thickness = tuple(thickness)


def drawn_shape(layer: Any, viewer: Any) -> Drawn | None:
    """The selected shape of a layer, or the last one drawn; None if there is none.

    Raises
    ------
    ConfigError
        The shape does not lie in one plane, or is not a line or area.
    """
    if layer is None or not len(layer.data):
        return None
    selected = [k for k in layer.selected_data if k < len(layer.data)]
    at = max(selected) if selected else len(layer.data) - 1
    kind = str(layer.shape_type[at])
    corners = np.asarray(layer.data[at], float)
    world = np.array([layer.data_to_world(corner) for corner in corners])[:, -3:]
    if world.shape[1] < 3:
        raise ConfigError("The shape is not in a volume; draw it with this widget's buttons.")
    flat = [k for k in range(3) if np.ptp(world[:, k]) < _FLAT_UM]
    if not flat:
        raise ConfigError("The shape is not in one plane; draw it in the 2-D view.")
    hidden = _hidden_axis(viewer)
    axis = hidden if hidden in flat else (1 if 1 in flat else flat[0])
    points = world[:, [k for k in range(3) if k != axis]]
    position = float(world[0, axis])
    if kind in ("line", "path"):
        if len(points) != 2:
            raise ConfigError("A path with several segments has no profile; draw a straight line.")
        return Drawn("line", axis, position, points)
    if kind == "ellipse":
        points = _ellipse(points)
    return Drawn("region", axis, position, points)


def slab_of(slab: Slab, viewer: Any, axis: int) -> float | None:
    """Thickness of the slab in micrometres; None: the whole volume.

    "view" is what is visible: the slab shown, or the whole volume while tracks are shown, since
    napari draws tracks of all depths.
    """
    tracks = find_layer(viewer, "tracks")
    seen_through = slab == "view" and tracks is not None and tracks.visible
    if slab == "volume" or seen_through:
        return None
    return 0.0 if slab == "plane" else thickness_of(viewer, axis)


def measure(
    result: Result,
    name: str,
    drawn: Drawn,
    thickness_um: float | None,
    width_um: float = 0.0,
    baseline: float | None = 0.0,
) -> Measured:
    """Measure the profile of a map along a line, or the statistics of a region.

    Parameters
    ----------
    name
        Which map.
    thickness_um
        Thickness of the slab around the shape's plane; None: the whole volume is projected.
    width_um
        Width over which a profile is averaged across its line.
    baseline
        See `full_width_at_half_maximum`.

    Raises
    ------
    ConfigError
        There is no such map, or the shape lies outside it.
    """
    density = result.maps.get("density")
    if drawn.kind == "region":
        return Measured(
            region=region_numbers(result.tracks, _region(drawn, thickness_um, result), density)
        )
    vessel_map = result.maps.get(name)
    if vessel_map is None:
        raise ConfigError(f"This result has no '{name}' map; choose another map.")
    position = None if thickness_um is None else drawn.position_um
    image = plane(vessel_map, drawn.axis, position, thickness_um or 0.0)
    start, stop = drawn.points_um
    profile = line_profile(image, start, stop, width_um, name=name, unit=vessel_map.unit)
    width = full_width_at_half_maximum(profile, baseline)
    across = drawn.axis
    band = max(width_um, *(vessel_map.grid.spacing_um[k] for k in range(3) if k != across))
    depth = _range_of(drawn, thickness_um, result)
    n_tracks = tracks_in_peak(result.tracks, across, start, stop, width, band, depth)
    return Measured(profile=profile, width=width, n_tracks=n_tracks)


def _region(drawn: Drawn, thickness_um: float | None, result: Result) -> Region:
    return Region(drawn.axis, drawn.points_um, _range_of(drawn, thickness_um, result))


def _range_of(drawn: Drawn, thickness_um: float | None, result: Result) -> tuple[float, float]:
    low, high = -np.inf, np.inf
    if thickness_um is not None and result.grid.shape[drawn.axis] > 1:
        density = result.maps.get("density")
        grid = result.grid if density is None else density.grid
        # A plane is one map voxel thick.
        half = max(thickness_um, grid.spacing_um[drawn.axis]) / 2
        low, high = drawn.position_um - half, drawn.position_um + half
    return low, high


def _hidden_axis(viewer: Any) -> int | None:
    """The spatial axis hidden in a 2-D view; None in 3-D."""
    if viewer.dims.ndisplay != 2:
        return None
    shown = {axis - (viewer.dims.ndim - 3) for axis in viewer.dims.displayed}
    hidden = {0, 1, 2} - shown
    return next(iter(hidden)) if len(hidden) == 1 else None


def _ellipse(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """An ellipse as a polygon, from the four corners of its bounding box."""
    centre = corners.mean(axis=0)
    first, second = (corners[1] - corners[0]) / 2, (corners[3] - corners[0]) / 2
    turn = np.linspace(0, 2 * np.pi, _ELLIPSE_CORNERS, endpoint=False)[:, None]
    return np.asarray(centre + np.cos(turn) * first + np.sin(turn) * second)


def _edge_um(viewer: Any) -> float:
    """Width in um of a line about two screen pixels wide at the current zoom."""
    zoom = float(viewer.scene.camera.zoom) or 1.0
    return 2.0 / zoom
