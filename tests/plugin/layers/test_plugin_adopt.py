"""Layers that somebody else made, as frames, tracks and points of the plugin."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari")

from napari.layers import Image, Points
from napari.layers import Tracks as TracksLayer

from napari_ulm3d.config import LoadConfig
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.plugin.layers.adopt import (
    acquisition_of_layer,
    can_be_adopted,
    localizations_of_layer,
    tracks_of_layer,
)

FRAMES = np.random.default_rng(0).random((6, 4, 3, 5)).astype(np.float32)
UNITS = ("ms", "mm", "mm", "mm")


def image(data: Any = FRAMES, **more: Any) -> Image:
    settings = {"scale": (4.0, 0.1, 0.2, 0.2), "translate": (0, 1.0, -2.0, 3.0), "units": UNITS}
    return Image(data, name="theirs", **{**settings, **more})


def test_scale_and_units_are_voxel_size_and_rate() -> None:
    found = acquisition_of_layer(image())
    assert found.rate_hz == pytest.approx(250.0)
    assert found.grid.spacing_um == pytest.approx((100.0, 200.0, 200.0))
    assert found.grid.origin_um == pytest.approx((1000.0, -2000.0, 3000.0))
    np.testing.assert_array_equal(found.read(1, 4), FRAMES[1:4])
    assert found.kind == "envelope"


def test_axes_may_be_named_and_frames_may_be_lazy() -> None:
    dask = pytest.importorskip("dask.array")
    turned = image(
        dask.from_array(FRAMES.transpose(3, 1, 2, 0)),
        axis_labels=("x", "z", "y", "t"),
        scale=(0.2, 0.1, 0.3, 4.0),
        units=("mm", "mm", "mm", "ms"),
        translate=(0, 0, 0, 0),
    )
    found = acquisition_of_layer(turned)
    assert found.grid.spacing_um == pytest.approx((100.0, 300.0, 200.0))
    np.testing.assert_array_equal(found.read(2, 5), FRAMES[2:5])


def test_a_plane_is_2d() -> None:
    flat = Image(FRAMES[:, :, 1], scale=(0.01, 50, 60), units=("s", "um", "um"))
    found = acquisition_of_layer(flat)
    assert found.shape == (6, 4, 1, 5)
    assert found.grid.spacing_um == pytest.approx((50.0, 60.0, 60.0))


def test_what_the_layer_does_not_say_is_asked_for() -> None:
    bare = Image(FRAMES, name="bare")
    with pytest.raises(ConfigError, match="Fill in Voxel size and Frame rate"):
        acquisition_of_layer(bare)
    load = LoadConfig(voxel_um=(90.0, 100.0, 110.0), rate_hz=500.0, wavelength_um=98.0)
    found = acquisition_of_layer(bare, load)
    assert (found.grid.spacing_um, found.rate_hz) == ((90.0, 100.0, 110.0), 500.0)
    assert found.wavelength_um == 98.0
    with pytest.raises(ConfigError, match="negative numbers"):
        acquisition_of_layer(image(-FRAMES))
    with pytest.raises(ConfigError, match="rotated"):
        acquisition_of_layer(image(rotate=[10, 20, 30]))
    assert not can_be_adopted(Image(np.zeros((5, 6, 3), np.uint8), rgb=True))


def test_tracks_have_positions_times_and_velocities() -> None:
    frame = np.arange(5.0)
    rows = np.column_stack([np.full(5, 7), frame, 10 + 2 * frame, np.full(5, 4), 1 + 0 * frame])
    layer = TracksLayer(rows, scale=(2.0, 0.01, 0.01, 0.01), units=UNITS, name="theirs")
    table = tracks_of_layer(layer).table
    assert table["track_id"].tolist() == [7] * 5
    np.testing.assert_allclose(table["time_s"], frame * 2e-3)
    np.testing.assert_allclose(table["z_um"], 100 + 20 * frame)
    np.testing.assert_allclose(table["vz_mm_s"], 10.0, rtol=1e-5)  # 20 um in 2 ms
    with pytest.raises(ConfigError, match="no unit of time"):
        tracks_of_layer(TracksLayer(rows, name="bare"))
    bare = LoadConfig(voxel_um=(10.0, 10.0, 10.0), rate_hz=500.0)
    np.testing.assert_allclose(
        tracks_of_layer(TracksLayer(rows), bare).table["vz_mm_s"], 10.0, rtol=1e-5
    )


def test_points_have_frames_and_scores() -> None:
    rows = np.array([[3, 1.0, 2.0, 3.0], [0, 4.0, 5.0, 6.0]])
    layer = Points(rows, scale=(2.0, 0.1, 0.1, 0.1), units=UNITS, features={"score": [0.5, 0.9]})
    table = localizations_of_layer(layer).table
    assert table["frame"].tolist() == [0, 3]
    np.testing.assert_allclose(table["x_um"], [600.0, 300.0])
    np.testing.assert_allclose(table["score"], [0.9, 0.5], rtol=1e-6)
