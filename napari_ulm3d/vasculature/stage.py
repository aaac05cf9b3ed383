"""Build a measured vessel graph from a map and, if available, tracks."""

from __future__ import annotations

from collections.abc import Callable
from os import PathLike, fspath

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import VesselConfig
from napari_ulm3d.errors import ConfigError, ResultsError
from napari_ulm3d.io.results import ResultsFolder
from napari_ulm3d.maps import density_maps
from napari_ulm3d.tables import Tracks
from napari_ulm3d.vasculature.graph import VesselGraph
from napari_ulm3d.vasculature.measures.error import track_error_um
from napari_ulm3d.vasculature.measures.junctions import junction_table
from napari_ulm3d.vasculature.measures.kinds import kinds_of
from napari_ulm3d.vasculature.measures.lines import centrelines_of
from napari_ulm3d.vasculature.measures.vessel import measure_with_tracks, measure_without_tracks
from napari_ulm3d.vasculature.trace.bridge import bridge_gaps
from napari_ulm3d.vasculature.trace.mask import Thresholds, vessel_mask
from napari_ulm3d.vasculature.trace.simplify import (
    contract_junctions,
    drop_small_pieces,
    join_passing,
    prune,
)
from napari_ulm3d.vasculature.trace.skeleton import skeleton_graph
from napari_ulm3d.volumes import VesselMap

__all__ = ["vessels"]

_MIN_LENGTH_VOXELS = 8.0
_BRIDGE_VOXELS = 10.0
_VOXELS_MEASURED = 1_000_000  # of a mask without tracks; larger masks are subsampled


def vessels(
    source: VesselMap | ResultsFolder | NDArray[np.generic] | str | PathLike[str],
    tracks: Tracks | None = None,
    config: VesselConfig | None = None,
    *,
    voxel_um: tuple[float, float, float] | None = None,
    smoothing_frames: int = 5,
    labels: bool = False,
    progress: Callable[[str], None] | None = None,
) -> VesselGraph:
    """Find the vessels of a map and measure them.

    If the map is a prediction (`refine`), the graph's facts say so.

    Parameters
    ----------
    source
        A results folder (or its path), for its density map and tracks. Or a map: a density, any
        image with bright vessels, or a segmentation; as `VesselMap`, or as an array (z, y, x)
        or (z, x) with `voxel_um`.
    tracks
        For a map: tracks in the same coordinates, from which diameters, speeds and flows are
        measured. None: lengths and diameters from the mask alone.
    config
        None: the settings of the results folder, or the defaults.
    voxel_um
        For an array: voxel size along z, y, x, micrometres.
    smoothing_frames
        Moving average of the tracks (`link.smoothing_frames`); not needed for a results folder.
    labels
        The map's values are segment labels: all but 0 is vessel.
    progress
        Called with a line of text at each step; its exceptions stop the measurement.

    Returns
    -------
    VesselGraph

    Raises
    ------
    ResultsError
        The results folder is incomplete, or the map contains no vessel.
    ConfigError
        An array has no voxel size or the wrong number of axes.
    """
    told = progress or (lambda step: None)
    if isinstance(source, str | PathLike):
        source = ResultsFolder.open(fspath(source))
    if isinstance(source, ResultsFolder):
        own = source.config
        config, smoothing_frames = config or own.vessels, own.link.averaged_frames
        tracks = source.tracks() if tracks is None else tracks
        map_ = density_maps(source, [])["density"]
    elif isinstance(source, VesselMap):
        map_ = source
    else:
        map_ = _map_of(np.asarray(source), voxel_um)
    config = config or VesselConfig()
    told("finding the vessels' voxels")
    mask, thresholds = vessel_mask(map_, config, labels=labels)
    graph = _of_mask(mask, map_.grid, thresholds, tracks, config, smoothing_frames, told)
    if map_.prediction is not None:
        graph.facts["predicted"] = f"{map_.name}, by {map_.prediction.get('weights', 'a network')}"
    return graph


def _map_of(data: NDArray[np.generic], voxel_um: tuple[float, float, float] | None) -> VesselMap:
    if voxel_um is None:
        raise ConfigError("An array has no voxel size; give voxel_um=(z, y, x) in um.")
    if data.ndim == 2:
        data = data[:, None, :]
    if data.ndim != 3:
        raise ConfigError(f"An array of vessels needs axes z, y, x; this one has {data.ndim} axes.")
    return VesselMap.from_dense("image", data, Grid(data.shape, voxel_um))


def _of_mask(
    mask: NDArray[np.bool_],
    grid: Grid,
    thresholds: Thresholds,
    tracks: Tracks | None,
    config: VesselConfig,
    smoothing_frames: int,
    told: Callable[[str], None],
) -> VesselGraph:
    planar = min(grid.shape) == 1
    voxel = min(s for s, n in zip(grid.spacing_um, grid.shape, strict=True) if n > 1)
    told("thinning the vessels to their centrelines")
    graph = skeleton_graph(mask, grid)
    n_voxels = int(np.count_nonzero(mask))
    held = np.flatnonzero(mask) if tracks is None or not len(tracks) else np.empty(0, np.int64)
    del mask
    told("joining and pruning branches")
    join_passing(graph)
    contract_junctions(graph)
    join_passing(graph)
    prune(graph, config.prune_diameters)
    longest = config.bridge_um if config.bridge_um is not None else _BRIDGE_VOXELS * voxel
    bridged = bridge_gaps(graph, longest, config.bridge_angle_deg, tracks)
    shortest = config.min_length_um
    drop_small_pieces(graph, _MIN_LENGTH_VOXELS * voxel if shortest is None else shortest)
    lines = centrelines_of(graph, voxel)
    facts: dict[str, float | str] = {
        "voxel_um": voxel,
        "vessel_voxels": n_voxels,
        "threshold_low": thresholds.low,
        "threshold_high": thresholds.high,
        "smoothing_um": thresholds.smoothing_um,
        "gaps_closed": bridged,
    }
    if tracks is None or not len(tracks):
        every = max(1, len(held) // _VOXELS_MEASURED)
        places = grid.to_um(np.stack(np.unravel_index(held[::every], grid.shape), axis=1))
        volume = float(np.prod(grid.spacing_um)) * len(held) / max(len(places), 1)
        thick = grid.spacing_um[grid.shape.index(1)] if planar else None
        table, track_vessel = measure_without_tracks(lines, places, volume, thick), None
    else:
        told("measuring diameters and flow")
        tracks, order = _in_order(tracks)
        error = _error_of(tracks, config, smoothing_frames, grid, facts)
        table, place = measure_with_tracks(
            lines, tracks, error, config, smoothing_frames, planar=planar
        )
        track_vessel = np.empty_like(place)
        track_vessel[order] = place + 1
        table["kind"] = kinds_of(table)
    return VesselGraph(
        lines.nodes_um,
        tuple(lines.paths),
        table,
        junction_table(lines.nodes_um, table),
        track_vessel,
        facts,
    )


def _in_order(tracks: Tracks) -> tuple[Tracks, NDArray[np.int64]]:
    """The tracks sorted by track and frame, and the original row of each."""
    table = tracks.table
    numbers = tracks.positions_um.sum(axis=1) + tracks.velocities_mm_s.sum(axis=1)
    if not np.isfinite(numbers).all():
        raise ResultsError(
            "The tracks hold NaN or infinite positions or velocities. Remove those rows."
        )
    order = np.lexsort((table["frame"].to_numpy(), table["track_id"].to_numpy()))
    if (order[1:] > order[:-1]).all():
        return tracks, order
    return Tracks(table.iloc[order].reset_index(drop=True)), order


def _error_of(
    tracks: Tracks,
    config: VesselConfig,
    smoothing_frames: int,
    grid: Grid,
    facts: dict[str, float | str],
) -> NDArray[np.float64]:
    """(3,) localization error of track positions; also recorded in `facts`."""
    axes = np.array([n > 1 for n in grid.shape]) if min(grid.shape) == 1 else np.ones(3, bool)
    if config.localization_error_um is not None:
        error, how = np.full(3, config.localization_error_um), "given"
    else:
        measured = track_error_um(tracks, smoothing_frames)
        how = "measured on the tracks" if measured is not None else "not known: too few tracks"
        error = np.zeros(3) if measured is None else measured
    error = np.where(axes, error, 0.0)
    facts["localization_error"] = how
    for name, value in zip(("z", "y", "x"), error, strict=True):
        facts[f"localization_error_{name}_um"] = float(value)
    return error
