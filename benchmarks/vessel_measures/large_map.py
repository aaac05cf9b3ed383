"""Time and memory from a map of 400 x 600 x 640 voxels to its vessels.

``python -m benchmarks.vessel_measures.large_map``: the density of a grown cortex, no tracks.
"""

from __future__ import annotations

import resource
import time

import numpy as np

from benchmarks.machine import machine_line
from napari_ulm3d import vessels
from napari_ulm3d.acquisition import Grid
from napari_ulm3d.simulate.vasculature import procedural_network
from napari_ulm3d.volumes import VesselMap

_SHAPE, _VOXEL_UM = (400, 600, 640), 10.0


def density(grid: Grid, seed: int = 0) -> VesselMap:
    """Counts of positions drawn in the lumen of a grown network, five per voxel of its length."""
    rng = np.random.default_rng(seed)
    network = procedural_network(grid, seed)
    start, stop = (network.nodes_um[network.segments[:, k]] for k in (0, 1))
    count = np.ceil(5 * network.length_um / _VOXEL_UM).astype(int)
    of = np.repeat(np.arange(len(count)), count)
    share = rng.random((len(of), 1))
    spread = rng.normal(size=(len(of), 3)) * (network.radius_um[of, None] / 2 + 5.0)
    place = start[of] + share * (stop - start)[of] + spread
    cell = np.floor(grid.to_index(place) + 0.5).astype(int)
    inside = ((cell >= 0) & (cell < grid.shape)).all(axis=1)
    index, n = np.unique(
        np.ravel_multi_index(tuple(cell[inside].T), grid.shape), return_counts=True
    )
    return VesselMap("density", grid, index, n.astype(np.float32), "tracks")


def main() -> None:
    grid = Grid(_SHAPE, (_VOXEL_UM,) * 3)
    map_ = density(grid)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    begun, used = time.perf_counter(), time.process_time()
    graph = vessels(map_)
    took, used = time.perf_counter() - begun, time.process_time() - used
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(machine_line("scikit-image", "skan"))
    print(
        f"{map_.index.size:,} voxels filled, {len(graph):,} vessels; {took:.0f} s ({used:.0f} s of "
        f"one processor); peak memory {peak:.2f} GB ({before:.2f} GB before)"
    )


if __name__ == "__main__":
    main()
