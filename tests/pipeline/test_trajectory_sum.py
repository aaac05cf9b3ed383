"""Trajectory counts of blocks, added up: against full arrays."""

from __future__ import annotations

import numpy as np
import pytest

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.io.results import BlockResult
from napari_ulm3d.pipeline.trajectories import TrajectorySum
from napari_ulm3d.tables import Localizations
from napari_ulm3d.volumes import VesselMap

GRID = Grid((6, 7, 8), (10.0, 10.0, 10.0))


def block(dense: np.ndarray) -> BlockResult:
    counts = VesselMap.from_dense("trajectory", dense, GRID, "windows")
    return BlockResult(Localizations.empty(), np.zeros((1, 1, 1), np.float32), 1, {}, counts)


@pytest.mark.parametrize("share", [0.01, 0.3, 1.0])
def test_the_sum_is_that_of_the_full_arrays(share: float) -> None:
    rng = np.random.default_rng(0)
    parts = [rng.integers(1, 9, GRID.shape) * (rng.random(GRID.shape) < share) for _ in range(6)]
    parts[2][:] = 0  # a block without any
    total = TrajectorySum()
    for k, part in enumerate(parts):
        total.add(block(part), float(k + 1))
    found = total.maps()["trajectory"]
    assert np.array_equal(found.dense(), sum(parts))
    assert (found.values > 0).all()
    curve = total.saturation(6.0, n_points=7)
    assert curve is not None
    reached = [np.count_nonzero(sum(parts[:k])) if k else 0 for k in range(7)]
    assert curve["voxels_reached"].tolist() == reached


def test_without_counts_there_is_no_map() -> None:
    total = TrajectorySum()
    total.add(BlockResult(Localizations.empty(), np.zeros((1, 1, 1), np.float32), 1, {}, None), 1.0)
    assert total.maps() == {}
    assert total.saturation(1.0) is None
