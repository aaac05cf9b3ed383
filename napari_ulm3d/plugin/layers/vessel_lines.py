"""A vessel graph in the viewer: one Vectors layer of centrelines, with the selected ones on top.

napari's Shapes take seconds for thousands of paths, and Tracks would add a time axis. Straight
segments as Vectors do neither, and each has its own colour.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.plugin.layers.convert import SPACE_LABELS, SPACE_UNITS, VALUE, LayerData
from napari_ulm3d.plugin.layers.place import ROLE, find_layer, make_layer, place, remove
from napari_ulm3d.plugin.layers.track_colors import napari_colormap, show_colour_bar
from napari_ulm3d.vasculature import VesselGraph

__all__ = [
    "CHOSEN_ROLE",
    "ROLE_OF_VESSELS",
    "VesselLines",
    "colours_of",
    "complete_vessels",
    "show_chosen",
    "show_vessels",
    "vessel_at",
    "vessels_layer",
]

ROLE_OF_VESSELS, CHOSEN_ROLE = "vessels", "vessel chosen"

_MOST_PIECES = 80_000
_COLOURS = "turbo"
_UNITS = {"_mm_s": "mm/s", "_nl_min": "nl/min", "_um": "µm"}
_UNKNOWN = np.array([0.55, 0.55, 0.55, 1.0])
_KINDS = {"artery": [0.95, 0.25, 0.2, 1.0], "vein": [0.25, 0.5, 1.0, 1.0]}
_PICK_PIXELS, _LINE_PIXELS = 8.0, 2.5
# Metadata key of the column that colours a layer made by a reader.
_OPENED = "ulm3d_vessels_by"
# Before the view is known, this many lines side by side fill the extent.
_EXTENT_LINES = 400


@dataclass(frozen=True)
class VesselLines:
    """Centrelines as straight segments.

    Attributes
    ----------
    graph
        The vessels.
    start, along
        (n, 3) start and extent of each segment, um.
    owner
        (n,) row of its vessel in the table.
    """

    graph: VesselGraph
    start: NDArray[np.float64]
    along: NDArray[np.float64]
    owner: NDArray[np.int64]

    @classmethod
    def of(cls, graph: VesselGraph) -> VesselLines:
        """Segments short enough to follow the vessels, and few enough to be drawn at once."""
        total = sum(len(path) for path in graph.paths)
        every = max(1, -(-total // _MOST_PIECES))
        starts, alongs, owners = [np.empty((0, 3))], [np.empty((0, 3))], [np.empty(0, np.int64)]
        for k, path in enumerate(graph.paths):
            points = np.concatenate([path[:-1:every], path[-1:]])
            starts.append(points[:-1])
            alongs.append(np.diff(points, axis=0))
            owners.append(np.full(len(points) - 1, k))
        return cls(graph, np.concatenate(starts), np.concatenate(alongs), np.concatenate(owners))

    def vectors(self, pieces: NDArray[Any] | slice = slice(None)) -> NDArray[np.float64]:
        """(n, 2, 3) as for napari's Vectors."""
        return np.stack([self.start[pieces], self.along[pieces]], axis=1)


def colours_of(
    graph: VesselGraph, column: str
) -> tuple[NDArray[np.float64], tuple[float, float] | None]:
    """(vessels, 4) colours by a column of the table, and the range of values they span.

    Numbers span their 2nd to 98th percentile, unknown ones are grey; kinds are red and blue.
    """
    if column == "kind":
        kinds = graph.table["kind"]
        return np.array([_KINDS.get(kind, _UNKNOWN) for kind in kinds]), None
    values = graph.table[column].to_numpy(np.float64)
    known = np.isfinite(values)
    colours = np.tile(_UNKNOWN, (len(values), 1))
    if not known.any():
        return colours, None
    low, high = (float(v) for v in np.percentile(values[known], [2, 98]))
    share = np.clip((values[known] - low) / ((high - low) or 1.0), 0, 1)
    colours[known] = napari_colormap(_COLOURS).map(share)
    return colours, (low, high)


def vessels_layer(graph: VesselGraph) -> LayerData:
    """Vessels from a file: by diameter if known, else by length."""
    lines = VesselLines.of(graph)
    column = "diameter_um" if graph.table["diameter_um"].notna().any() else "length_um"
    places = lines.start if len(lines.start) else np.zeros((1, 3))
    width = float(np.ptp(places, axis=0).max()) / _EXTENT_LINES
    name, colours = f"vessels by {_with_unit(column)}", colours_of(graph, column)[0]
    data = _layer(lines, lines.vectors(), name, colours[lines.owner], width or 1.0)
    data[1]["metadata"].update({ROLE: ROLE_OF_VESSELS, _OPENED: column})
    return data


def complete_vessels(viewer: Any, layer: Any) -> None:
    """Add the colour bar that a reader cannot give its layer; earlier vessels stay as they are."""
    metadata = dict(layer.metadata)
    column = metadata.pop(_OPENED, None)
    if column is None:
        return
    layer.metadata = metadata
    _show_range(layer, colours_of(metadata[VALUE], column)[1])
    for other in viewer.layers:
        if other is not layer and other.metadata.get(ROLE) == ROLE_OF_VESSELS:
            other.metadata = {key: v for key, v in other.metadata.items() if key != ROLE}


def _show_range(layer: Any, span: tuple[float, float] | None) -> None:
    seen = span is not None and span[0] < span[1]
    show_colour_bar(layer, napari_colormap(_COLOURS), span if seen and span else (0.0, 1.0), seen)


def show_vessels(
    viewer: Any, lines: VesselLines, column: str, shown: NDArray[np.bool_] | None = None
) -> Any:
    """Draw the vessels in `shown` (vessels,), coloured by a column, with its colour bar."""
    pieces = np.ones(len(lines.owner), bool) if shown is None else shown[lines.owner]
    colours, span = colours_of(lines.graph, column)
    name = f"vessels by {_with_unit(column)}"
    width = _width_um(viewer, lines, _LINE_PIXELS)
    data = _layer(lines, lines.vectors(pieces), name, colours[lines.owner[pieces]], width)
    layer = _renewed(viewer, data, ROLE_OF_VESSELS)
    _show_range(layer, span)
    return layer


def _with_unit(column: str) -> str:
    """``mean_speed_mm_s`` as "mean speed [mm/s]"."""
    ending = next((ending for ending in _UNITS if column.endswith(ending)), "")
    words = column.removesuffix(ending).replace("_", " ")
    return f"{words} [{_UNITS[ending]}]" if ending else words


def show_chosen(viewer: Any, lines: VesselLines, chosen: list[int]) -> None:
    """Highlight vessels by their rows in the table; an empty selection highlights none."""
    pieces = np.isin(lines.owner, chosen)
    if not pieces.any():
        remove(viewer, CHOSEN_ROLE)
        return
    white = np.ones((int(pieces.sum()), 4))
    width = _width_um(viewer, lines, 2.5 * _LINE_PIXELS)
    data = _layer(lines, lines.vectors(pieces), "vessel, chosen", white, width)
    _renewed(viewer, data, CHOSEN_ROLE)


def vessel_at(
    lines: VesselLines,
    position_um: NDArray[np.float64],
    direction: NDArray[np.float64] | None,
    pixel_um: float,
    shown: NDArray[np.bool_] | None = None,
    depth_um: float = np.inf,
) -> int | None:
    """The vessel at a clicked position; None if there is none.

    Parameters
    ----------
    position_um
        (3,) world position z, y, x.
    direction
        (3,) view direction: the vessel nearest to that ray. None: nearest to the position itself.
    pixel_um
        Size of a screen pixel in the world; a vessel is hit within eight pixels.
    shown
        (vessels,) mask of the vessels drawn.
    depth_um
        Maximum distance of a vessel's wall along `direction`: in a slice, half its thickness.
    """
    wide = np.nan_to_num(lines.graph.table["diameter_um"].to_numpy(np.float64))[lines.owner]
    half = np.sqrt((lines.along**2).sum(axis=1)) / 2
    middle = lines.start + lines.along / 2 - np.asarray(position_um, np.float64)
    if direction is not None:
        way = np.asarray(direction, np.float64)
        way = way / (np.linalg.norm(way) or 1.0)
        deep = middle @ way
        middle = middle - deep[:, None] * way
    distance = np.sqrt((middle**2).sum(axis=1))
    if direction is not None and np.isfinite(depth_um):
        distance[np.abs(deep) > depth_um + wide / 2 + half] = np.inf
    if shown is not None:
        distance = np.where(shown[lines.owner], distance, np.inf)
    if not len(distance):
        return None
    best = int(distance.argmin())
    reach = max(_PICK_PIXELS * pixel_um, wide[best] / 2) + half[best]
    return int(lines.owner[best]) if distance[best] <= reach else None


def _width_um(viewer: Any, lines: VesselLines, pixels: float) -> float:
    """Line width: some pixels at the current zoom, or a fraction of a voxel when zoomed in."""
    zoom = max(float(viewer.scene.camera.zoom), 1e-9)
    voxel = float(lines.graph.facts.get("voxel_um", 10.0))
    return max(pixels / zoom, voxel * pixels / 10)


def _layer(
    lines: VesselLines, vectors: NDArray[Any], name: str, colours: NDArray[Any], width_um: float
) -> LayerData:
    settings = {
        "name": name,
        "ndim": 3,
        "units": SPACE_UNITS,
        "axis_labels": SPACE_LABELS,
        "edge_width": width_um,
        "edge_color": colours,
        "vector_style": "line",
        "projection_mode": "all",
        "blending": "translucent_no_depth",
        "metadata": {VALUE: lines.graph},
    }
    return vectors, settings, "vectors"


def _renewed(viewer: Any, data: LayerData, role: str) -> Any:
    """Create the layer with that role, or update its vectors and colours."""
    old = find_layer(viewer, role)
    vectors, settings, _ = data
    if old is None:
        return place(viewer, make_layer(data, role))
    # Same number: colours first, because napari keeps the old ones for new data.
    old.data = vectors
    old.edge_color = settings["edge_color"]
    old.edge_width = settings["edge_width"]
    old.name = settings["name"]
    old.metadata = {**old.metadata, VALUE: settings["metadata"][VALUE], ROLE: role}
    return old
