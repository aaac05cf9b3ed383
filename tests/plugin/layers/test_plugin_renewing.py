"""A layer that is there shows what is new, with the looks that a person gave it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("napari")
pytest.importorskip("pytestqt")
pytest.importorskip("qtpy.QtCore", exc_type=ImportError)

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.plugin.layers.convert import VALUE, localizations_layer, map_layer, tracks_layer
from napari_ulm3d.plugin.layers.place import find_layer, make_layer, place
from napari_ulm3d.tables import Localizations, Tracks
from napari_ulm3d.volumes import VesselMap


def some_tracks(n: int, speed: float) -> Tracks:
    rng = np.random.default_rng(n)
    table = {
        "track_id": np.repeat(np.arange(n), 10),
        "frame": np.tile(np.arange(10), n),
        "time_s": np.tile(np.arange(10) / 100, n),
        "speed_mm_s": np.full(10 * n, speed),
        "vz_mm_s": speed / 2,
        "vy_mm_s": 0.0,
        "vx_mm_s": 0.0,
        "score": 1.0,
    }
    positions = rng.uniform(0, 1000, (10 * n, 3)).T
    return Tracks(pd.DataFrame(table | dict(zip(["z_um", "y_um", "x_um"], positions, strict=True))))


def some_points(n: int) -> Localizations:
    rng = np.random.default_rng(n)
    return Localizations.from_arrays(
        np.sort(rng.integers(0, 10, n)), rng.uniform(0, 1000, (n, 3)), np.ones(n), np.ones(n), 100.0
    )


def some_map(edge: int, top: float, name: str = "density") -> VesselMap:
    volume = np.zeros((edge, edge, edge), np.float32)
    volume[edge // 2] = top
    signed = name == "velocity_z"
    grid = Grid(volume.shape, (1000 / edge,) * 3, (7.0, 0.0, 0.0))
    return VesselMap.from_dense(name, -volume if signed else volume, grid, "tracks", signed)


def test_tracks(viewer: Any) -> None:
    first = place(viewer, make_layer(tracks_layer(some_tracks(5, 3.0)), "tracks"))
    first.opacity, first.tail_length = 0.4, 7
    fresh = make_layer(tracks_layer(some_tracks(9, 8.0)), "tracks")
    second = place(viewer, fresh)
    assert second is first
    np.testing.assert_array_equal(second.data, fresh.data)
    pd.testing.assert_frame_equal(
        pd.DataFrame(second.features)[["speed_mm_s", "score"]],
        pd.DataFrame(fresh.features)[["speed_mm_s", "score"]],
    )
    assert second.color_by == "speed_mm_s"
    np.testing.assert_allclose(second.track_colors, fresh.track_colors)
    assert second.metadata[VALUE].n_tracks == 9
    assert (second.opacity, second.tail_length) == (0.4, 7)
    np.testing.assert_allclose(second.scale, fresh.scale)


def test_points(viewer: Any) -> None:
    def points(found: Localizations, size: float = 100.0) -> Any:
        return make_layer(localizations_layer(found, 100.0, size), "localizations")

    first = place(viewer, points(some_points(20)))
    first.visible = False
    second = place(viewer, points(some_points(50)))
    assert second is first
    assert len(second.data) == len(second.features) == 50
    assert set(second.size) == {100.0}
    assert not second.visible
    third = place(viewer, points(some_points(30), 50.0))  # in another size
    assert third is second
    assert set(third.size) == {50.0}
    assert not third.visible
    empty = place(viewer, points(Localizations.empty()))
    assert len(empty.data) == 0
    last = place(viewer, points(some_points(3)))
    assert set(last.size) == {100.0}
    assert [layer.metadata.get("ulm3d_role") for layer in viewer.layers] == ["localizations"]


@pytest.mark.parametrize("name", ["density", "velocity_z"])
def test_maps(viewer: Any, name: str) -> None:
    place(viewer, make_layer(map_layer(some_map(10, 3.0)), "map"))
    fresh = make_layer(map_layer(some_map(25, 9.0, name)), "map")
    shown = place(viewer, fresh)
    np.testing.assert_array_equal(shown.data, fresh.data)
    np.testing.assert_allclose(shown.scale, fresh.scale)
    np.testing.assert_allclose(shown.translate, fresh.translate)
    assert shown.name == fresh.name
    assert shown.colormap.name == fresh.colormap.name
    assert tuple(shown.contrast_limits) == tuple(fresh.contrast_limits)
    assert (shown.gamma, shown.blending) == (fresh.gamma, fresh.blending)
    assert shown.metadata[VALUE].name == name
    assert find_layer(viewer, "map") is shown
