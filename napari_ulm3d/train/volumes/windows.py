"""Windows of vessel maps with their ground truth."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import MapConfig
from napari_ulm3d.evaluate.maps import occupied_voxels
from napari_ulm3d.maps import accumulate
from napari_ulm3d.networks.volumes.config import FEATURES
from napari_ulm3d.refinement.features import MapFeatures, map_features
from napari_ulm3d.refinement.tensor import finer
from napari_ulm3d.simulate.vasculature import VesselNetwork
from napari_ulm3d.simulate.vasculature.lumen import lumen_voxels
from napari_ulm3d.tables import POSITION_UM, Tracks
from napari_ulm3d.train.volumes.config import VolumeDataConfig
from napari_ulm3d.train.volumes.scenes import FlowScene, draw_flow_scene, turned, turning

__all__ = ["VolumeWindow", "cropped", "cut_window", "place_window", "varied", "volume_windows"]

#: A measured voxel within this distance of a bubble's true path is vessel, otherwise noise.
NOISE_BEYOND_UM = 20.0
_KIND_WITHIN_UM = 30.0


@dataclass(frozen=True)
class VolumeWindow:
    """A crop of a map with its ground truth.

    Attributes
    ----------
    features
        Features of the map of the tracks.
    target
        (n,) int64, C-order flat indices on `fine` of the voxels that a full acquisition fills.
    fine
        Grid of the target, 2^doublings times as fine as that of the map.
    vessel
        (voxels of the map,) bool: near a bubble's true path.
    kind
        (voxels of the map,) int8: artery 0, capillary 1, vein 2, -1 unknown.
    """

    features: MapFeatures
    target: NDArray[np.int64]
    fine: Grid
    vessel: NDArray[np.bool_]
    kind: NDArray[np.int8]

    @property
    def grid(self) -> Grid:
        """Grid of the map."""
        return self.features.grid


def volume_windows(seed: int, config: VolumeDataConfig, doublings: int = 0) -> list[VolumeWindow]:
    """The windows of one training scene; the same seed gives the same windows."""
    rng = np.random.default_rng((seed, 12))
    trees = config.trees if config.trees and rng.random() < config.tree_share else ()
    scene = draw_flow_scene(seed, config, trees)
    out = []
    for _ in range(config.windows_per_scene):
        share = float(np.exp(rng.uniform(*np.log(config.acquired))))
        matrix = turning(rng, config.upright)
        edge = float(rng.uniform(*config.voxel_um))
        flat = rng.random() < config.flat_share
        slab = float(rng.uniform(*config.slab_um))
        grid, moved, tracks, paths = place_window(
            scene, share, matrix, edge, config.window, rng, slab if flat else None
        )
        out.append(cut_window(moved, tracks, paths, grid, doublings))
    return out


def varied(
    window: VolumeWindow, config: VolumeDataConfig, rng: np.random.Generator
) -> VolumeWindow:
    """Mirror a window at random, and in some cases omit its speeds.

    Axial velocity and direction change sign with z, which is not mirrored if `upright`.
    """
    flips = rng.random(3) < 0.5
    flips[0] &= not config.upright
    swap = rng.random() < 0.5
    with_speed = rng.random() < config.speed_share
    grid, fine, features = window.grid, window.fine, window.features
    swap &= grid.shape[1] == grid.shape[2]
    order = (0, 2, 1) if swap else (0, 1, 2)

    def moved(places: NDArray[np.int32], shape: tuple[int, ...]) -> NDArray[np.int32]:
        ends = np.asarray(shape, np.int32) - 1
        return np.where(flips, ends - places, places)[:, order]

    places = moved(features.index, grid.shape)
    sort = np.argsort(np.ravel_multi_index(tuple(places.T), grid.shape))
    values = features.values[sort]
    if flips[0]:
        values[:, [FEATURES.index("velocity_z"), FEATURES.index("direction")]] *= -1
    target = moved(np.stack(np.unravel_index(window.target, fine.shape), axis=1), fine.shape)
    features = MapFeatures(grid, places[sort], values)
    return VolumeWindow(
        features if with_speed else features.without_velocity(),
        np.sort(np.ravel_multi_index(tuple(target.T), fine.shape)),
        fine,
        window.vessel[sort],
        window.kind[sort],
    )


def cropped(window: VolumeWindow, side: int, rng: np.random.Generator) -> VolumeWindow:
    """A smaller cube of a window, around one of its measured voxels."""
    features, grid, fine = window.features, window.grid, window.fine
    if not len(features) or max(grid.shape) <= side:
        return window
    shape = np.minimum(grid.shape, side)
    centre = features.index[int(rng.integers(len(features)))]
    low = np.clip(centre - rng.integers(0, shape), 0, np.asarray(grid.shape) - shape)
    times = np.asarray(fine.shape) // np.asarray(grid.shape)

    def part(whole: Grid, first: NDArray[np.int64], n: NDArray[np.int64]) -> Grid:
        z, y, x = (int(k) for k in n)
        return Grid((z, y, x), whole.spacing_um, tuple(whole.to_um(first[None])[0]))

    inner, inner_fine = part(grid, low, shape), part(fine, low * times, shape * times)
    kept = ((features.index >= low) & (features.index < low + shape)).all(axis=1)
    places = np.stack(np.unravel_index(window.target, fine.shape), axis=1) - low * times
    inside = ((places >= 0) & (places < shape * times)).all(axis=1)
    index = (features.index[kept] - low).astype(np.int32)
    return VolumeWindow(
        MapFeatures(inner, index, features.values[kept]),
        np.ravel_multi_index(tuple(places[inside].T), inner_fine.shape),
        inner_fine,
        window.vessel[kept],
        window.kind[kept],
    )


def place_window(
    scene: FlowScene,
    share: float,
    matrix: NDArray[np.float64],
    edge_um: float,
    side: int,
    rng: np.random.Generator,
    slab_um: float | None = None,
) -> tuple[Grid, VesselNetwork, Tracks, Tracks]:
    """A cube (or plane) around a measured position, with the rotated scene in it.

    Parameters
    ----------
    scene, share
        The acquisition, and the share of it that is measured.
    matrix
        (3, 3), from `turning`.
    edge_um, side
        Edge of a voxel, and number of voxels per side.
    rng
        Draws the position.
    slab_um
        Thickness along y of a slab that is projected to a plane; None: a volume.

    Returns
    -------
    grid, network, tracks, paths
        In common coordinates; for a slab, in its plane.
    """
    tracks, paths = scene.until(share)
    tracks, paths = turned(tracks, matrix), turned(paths, matrix)
    network = scene.network.transformed(matrix)
    points = tracks.positions_um if len(tracks) else network.nodes_um
    corner = points[int(rng.integers(len(points)))] if len(points) else np.zeros(3)
    centre = corner * rng.uniform(0.2, 0.8)  # closer to the middle, which is the origin
    size = np.full(3, side * edge_um)
    shape = [side] * 3
    spacing = [edge_um] * 3
    if slab_um is not None:
        size[1], shape[1], spacing[1] = slab_um, 1, slab_um
        box = np.stack([centre - size / 2, centre + size / 2])
        network = network.cropped(box)
        nodes = network.nodes_um.copy()
        nodes[:, 1] = centre[1]
        apart = nodes[network.segments[:, 0]] != nodes[network.segments[:, 1]]
        network = replace(network, nodes_um=nodes).selected(apart.any(axis=1))
    first = centre - size / 2 + np.asarray(spacing) / 2
    grid = Grid((shape[0], shape[1], shape[2]), tuple(spacing), tuple(first))  # type: ignore[arg-type]
    return grid, network, tracks, paths


def cut_window(
    network: VesselNetwork, tracks: Tracks, paths: Tracks, grid: Grid, doublings: int = 0
) -> VolumeWindow:
    """The map of the tracks on a grid, with the ground truth.

    Parameters
    ----------
    network
        The vessels that a full acquisition fills.
    tracks, paths
        Measured and true positions.
    grid
        Grid of the map.
    doublings
        Number of doublings of the target's resolution.
    """
    maps = accumulate(tracks, grid, MapConfig(resolution_factor=1.0, fsc=False))
    features = map_features(maps)
    fine = finer(grid, doublings)
    target, _ = lumen_voxels(network, fine)
    vessel, kind = _labels(features, network, paths, grid)
    return VolumeWindow(features, target, fine, vessel, kind)


def _labels(
    features: MapFeatures, network: VesselNetwork, paths: Tracks, grid: Grid
) -> tuple[NDArray[np.bool_], NDArray[np.int8]]:
    from scipy.spatial import cKDTree

    places = grid.to_um(features.index)
    table = paths.table
    inside = np.abs(paths.positions_um[:, 1] - grid.origin_um[1]) <= grid.spacing_um[1] / 2
    if grid.shape[1] == 1:  # a slab: bubbles above or below it are not in view
        table = table[inside].assign(**{POSITION_UM[1]: grid.origin_um[1]})
    shown = Tracks(table)
    true = occupied_voxels(
        shown.table["track_id"].to_numpy(), shown.frames, shown.positions_um, grid, max_gap=0
    )
    vessel = np.zeros(len(features), bool)
    if true.size and len(features):
        where = grid.to_um(np.stack(np.unravel_index(true, grid.shape), axis=1))
        vessel = cKDTree(where).query(places)[0] <= NOISE_BEYOND_UM
    kind = np.full(len(features), -1, np.int8)
    if network.kind is not None and len(features):
        index, segment = lumen_voxels(network, grid)
        if index.size:
            where = grid.to_um(np.stack(np.unravel_index(index, grid.shape), axis=1))
            distance, nearest = cKDTree(where).query(places)
            near = vessel & (distance <= _KIND_WITHIN_UM)
            kind[near] = network.kind[segment[nearest[near]]]
    return vessel, kind
