"""Cost of a network on a skull, in a process of its own: ``... cost FILE WHAT WEIGHTS SIDE``."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

import numpy as np

from benchmarks.vessels.cost import cost_of
from benchmarks.vessels.skull.task import settings
from benchmarks.vessels.skull.volume import EDGE_MM, Mask, read_skull
from napari_ulm3d.acquisition import Grid
from napari_ulm3d.networks.shipped import find_weights, load_weights
from napari_ulm3d.networks.volumes.completion import CompletionNet
from napari_ulm3d.refinement.features import MapFeatures, map_features
from napari_ulm3d.system.machine import free_memory
from napari_ulm3d.volumes import VesselMap

_WARM_SIDE = 32
_SPARED_BYTES = 3 << 30  # left to other programs


def main(path: str, what: str, weights: str, side: int) -> None:
    """Print bone voxels, processor seconds, MB, and all voxels, of a cube or (0) of the whole."""
    most = free_memory() - _SPARED_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    skull = read_skull(Path(path))
    if weights:
        found = find_weights(weights, "complete")
        network = load_weights(found, ("CompletionNet",), "cpu").network
    else:
        network = CompletionNet(settings(1).network)
    small = _features(_around(skull, _WARM_SIDE))
    features = _features(_around(skull, side) if side else skull)
    del skull
    seconds, mb = cost_of(network, features, what, small)
    print(json.dumps((len(features), seconds, mb, features.grid.size)))


def _around(skull: Mask, side: int) -> Mask:
    """A cube around one of the bone's voxels."""
    bone = np.argwhere(skull)
    low = np.clip(bone[len(bone) // 2] - side // 2, 0, np.asarray(skull.shape) - side)
    return skull[tuple(slice(a, a + side) for a in low)]


def _features(mask: Mask) -> MapFeatures:
    grid = Grid(mask.shape, (1000 * EDGE_MM,) * 3)
    return map_features({"density": VesselMap.from_dense("density", mask, grid, "tracks")})


if __name__ == "__main__":
    main(*sys.argv[1:4], int(sys.argv[4]))
