"""Memory and time for 64 to 512 voxels per side, of prediction and training step, sparse and dense.

Every measurement runs in a separate process: processor time in seconds (on one thread equal to wall time, if nothing
else runs), and memory relative to that before. Maps are grown networks of equal vessel density, with half
of the lumen voxels measured. The dense network has the same levels and channels and processes
every voxel. It is run if it fits into memory; otherwise it is extrapolated (a factor of eight per
doubling) and marked as such.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
from collections.abc import Sequence

import numpy as np

from benchmarks.vessels.cost import KINDS, cost_of
from napari_ulm3d.networks.shipped import find_weights, load_weights
from napari_ulm3d.refinement.features import map_features
from napari_ulm3d.simulate.vasculature import VasculatureConfig, procedural_network
from napari_ulm3d.simulate.vasculature.lumen import lumen_voxels

__all__ = ["table"]

EDGE_UM = 10.0
_DENSE_TO = 128


def table(sides: Sequence[int], weights: str | None, extent_um: float | None = None) -> None:
    """Print the table for growing tissue, or, with `extent_um`, for ever finer voxels of a cube."""
    print(
        "\n| side | voxels held | what | processor seconds | MB |\n| ---: | ---: | --- | ---: | ---: |"
    )
    known: dict[str, list[tuple[int, float, float]]] = {}
    for side in sides:
        for what in KINDS:
            if what.startswith("dense") and side > _DENSE_TO:
                last = known[what][-1]
                seconds, mb = (v * (side / last[0]) ** 3 for v in last[1:])
                print(f"| {side} | | {what} (by its law) | {seconds:.3g} | {mb:.0f} |", flush=True)
                continue
            line = [
                sys.executable,
                "-m",
                __name__,
                str(side),
                what,
                str(weights or ""),
                str(extent_um or side * EDGE_UM),
            ]
            done = subprocess.run(line, capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"| {side} | | {what} | did not fit | |", flush=True)
                continue
            held, seconds, mb = json.loads(done.stdout.splitlines()[-1])
            known.setdefault(what, []).append((side, seconds, mb))
            print(f"| {side} | {held:,} | {what} | {seconds:.2f} | {mb:.0f} |", flush=True)
    for what, rows in known.items():
        if len(rows) > 1:
            n, s, mb = np.log2(np.array(rows)[[-2, -1]]).T
            power = np.diff([s, mb], axis=1)[:, 0] / np.diff(n)
            print(f"{what}: eight times the voxels, {2 ** power[0]:.1f} times the time, "
                  f"{2 ** power[1]:.1f} times the memory ({rows[-2][0]} to {rows[-1][0]})")  # fmt: skip


def _map(side: int, extent: float):
    """Half of the lumen voxels of a grown network, with random counts."""
    from napari_ulm3d.acquisition import Grid
    from napari_ulm3d.volumes import VesselMap

    edge = extent / side
    config = VasculatureConfig(capillary_spacing_um=130.0)
    network = procedural_network((extent,) * 3, 1, config)
    grid = Grid((side,) * 3, (edge,) * 3, tuple(network.bounds_um.mean(0) - (extent - edge) / 2))
    index, _ = lumen_voxels(network, grid)
    rng = np.random.default_rng(0)
    index = index[rng.random(index.size) < 0.5]
    return VesselMap("density", grid, index, rng.geometric(0.5, index.size), "tracks")


def _measured(
    side: int, what: str, weights: str | None, extent_um: float
) -> tuple[int, float, float]:
    network = load_weights(find_weights(weights, "complete"), ("CompletionNet",), "cpu").network
    features = map_features({"density": _map(side, extent_um)})
    small = map_features({"density": _map(32, 32 * EDGE_UM)})
    return len(features), *cost_of(network, features, what, small)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_AS, (14 << 30, 14 << 30))
    print(
        json.dumps(
            _measured(int(sys.argv[1]), sys.argv[2], sys.argv[3] or None, float(sys.argv[4]))
        )
    )
