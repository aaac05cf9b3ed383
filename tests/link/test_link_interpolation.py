"""Resampling tracks along their length."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_ulm3d.errors import ConfigError
from napari_ulm3d.link import interpolate
from napari_ulm3d.tables import Tracks


def tracks(*ways: list[tuple[float, float, float]]) -> Tracks:
    parts = []
    for track_id, way in enumerate(ways):
        n = len(way)
        part = pd.DataFrame(np.array(way), columns=["z_um", "y_um", "x_um"])
        part = part.assign(track_id=track_id, frame=10 + np.arange(n), time_s=np.arange(n) / 10)
        parts.append(part.assign(vz_mm_s=np.arange(n), vy_mm_s=0, vx_mm_s=0, speed_mm_s=1, score=1))
    return Tracks(pd.concat(parts, ignore_index=True))


def test_manual_result() -> None:
    """A track of 6 + 4 um around a corner in steps of 2.5 um."""
    out = interpolate(tracks([(0, 0, 0), (6, 0, 0), (6, 0, 4)]), 2.5)
    np.testing.assert_allclose(
        out.positions_um, [[0, 0, 0], [2.5, 0, 0], [5, 0, 0], [6, 0, 1.5], [6, 0, 4]], atol=1e-12
    )
    np.testing.assert_allclose(out.table["time_s"] * 10, [0, 2.5 / 6, 5 / 6, 1 + 1.5 / 4, 2])
    np.testing.assert_allclose(out.table["vz_mm_s"], [0, 2.5 / 6, 5 / 6, 1 + 1.5 / 4, 2], rtol=1e-6)
    assert out.frames.tolist() == [10, 10, 10, 11, 12]
    assert list(out.table.columns) == list(tracks([(0, 0, 0)]).table.columns)


def test_steps_are_equal_and_both_ends_are_kept() -> None:
    rng = np.random.default_rng(0)
    ways = [rng.normal(size=(n, 3)).cumsum(axis=0).tolist() for n in (2, 9, 40)]
    given = tracks(*ways)
    for step in (0.05, 0.7, 1000.0):
        out = interpolate(given, step).table
        for track_id, way in enumerate(ways):
            part = out[out["track_id"] == track_id]
            np.testing.assert_array_equal(
                part[["z_um", "y_um", "x_um"]].iloc[[0, -1]], [way[0], way[-1]]
            )
            length = np.linalg.norm(np.diff(way, axis=0), axis=1).sum()
            assert len(part) == max(int(np.ceil(length / step)), 1) + 1
            # Never longer than the step (shorter where the track bends between rows).
            chord = np.linalg.norm(np.diff(part[["z_um", "y_um", "x_um"]], axis=0), axis=1)
            assert chord.max() <= step * (1 + 1e-9)


def test_a_resting_bubble_keeps_its_ends() -> None:
    out = interpolate(tracks([(1, 2, 3)] * 5, [(0, 0, 0), (0, 0, 2)]), 1.0).table
    assert out["track_id"].tolist() == [0, 0, 1, 1, 1]
    assert out["frame"].tolist() == [10, 14, 10, 10, 11]


def test_a_pause_within_a_track() -> None:
    out = interpolate(tracks([(0, 0, 0), (0, 0, 1), (0, 0, 1), (0, 0, 2)]), 0.5).table
    np.testing.assert_allclose(out["x_um"], [0, 0.5, 1, 1.5, 2])


def test_empty_and_invalid_input() -> None:
    assert len(interpolate(Tracks.empty(), 1.0)) == 0
    for step in (0.0, -1.0, np.nan):
        with pytest.raises(ConfigError, match="step_um"):
            interpolate(tracks([(0, 0, 0), (0, 0, 1)]), step)
