"""The tables and maps as value objects."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import ResultsError
from napari_ulm3d.sparse_frames import SparseFrames
from napari_ulm3d.tables import Localizations, Tracks
from napari_ulm3d.volumes import VesselMap


def test_columns_are_checked_and_typed() -> None:
    table = Localizations.from_arrays(
        np.array([0, 1]), np.ones((2, 3)), np.array([9, 10]), np.array([0.5, 1]), rate_hz=50.0
    )
    assert table.table["time_s"].tolist() == [0.0, 0.02]
    assert table.table["snr_db"].dtype == np.float32
    with pytest.raises(ResultsError, match="lacks the column"):
        Tracks(table.table)
    with pytest.raises(ResultsError, match="not numeric"):
        Localizations(table.table.assign(frame=["a", "b"]))


def test_joining_tables_keeps_rows_and_types() -> None:
    assert len(Tracks.concat([])) == 0
    assert list(Tracks.empty().table.columns) == list(Tracks.required)
    one = Localizations.from_arrays(np.array([3]), np.zeros((1, 3)), np.ones(1), np.ones(1), 1.0)
    both = Localizations.concat([Localizations.empty(), one, one])
    assert both.frames.tolist() == [3, 3]
    assert both.table.dtypes.to_dict() == one.table.dtypes.to_dict()
    assert isinstance(both.table, pd.DataFrame)


volumes = hnp.arrays(
    np.float32,
    hnp.array_shapes(min_dims=3, max_dims=3, max_side=6),
    elements=st.sampled_from([0.0, 0.0, 1.0, -2.0, 3.5]),
)


@given(volumes, st.integers(1, 3), st.integers(0, 2))
def test_sparse_maps_hold_the_dense_volume(data: np.ndarray, depth: int, axis: int) -> None:
    grid = Grid(data.shape, (1, 2, 3))
    vessel_map = VesselMap.from_dense("density", data, grid)
    np.testing.assert_array_equal(vessel_map.dense(), data)
    np.testing.assert_array_equal(np.concatenate(list(vessel_map.slabs(depth))), data)
    np.testing.assert_array_equal(vessel_map.projection(axis), np.maximum(data, 0).max(axis=axis))
    signed = VesselMap.from_dense("direction", data, grid, signed=True).projection(axis)
    np.testing.assert_array_equal(np.abs(signed), np.abs(data).max(axis=axis))


def test_maps_refuse_indices_out_of_order_or_place() -> None:
    grid = Grid((2, 2, 2), (1, 1, 1))
    for index in ([1, 1], [2, 1], [-1, 3], [0, 8]):
        with pytest.raises(ValueError, match="ascend"):
            VesselMap("density", grid, np.array(index), np.ones(2, np.float32))


def test_sparse_frames_and_back() -> None:
    rng = np.random.default_rng(0)
    frames = (rng.normal(size=(4, 3, 2, 5)) + 1j * rng.normal(size=(4, 3, 2, 5))).astype(
        np.complex64
    )
    mask = np.abs(frames) > 1
    mask[2] = False
    sparse = SparseFrames.from_mask(frames, mask, first_frame=7)
    np.testing.assert_array_equal(sparse.dense(), np.where(mask, frames, 0))
    assert sparse.counts.tolist() == mask.sum(axis=(1, 2, 3)).tolist()
    assert sparse.occupancy == pytest.approx(mask.mean())
    assert sparse.first_frame == 7
