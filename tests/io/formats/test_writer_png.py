"""Pictures: scale, colours, pooling."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import ConfigError
from napari_ulm3d.io.formats.png.projection import project
from napari_ulm3d.io.formats.png.writer import projection_figure
from napari_ulm3d.io.writers import write
from napari_ulm3d.volumes import VesselMap


def make_map(shape=(60, 20, 40), spacing=(10.0, 10.0, 10.0), signed=False, name="density", seed=0):
    rng = np.random.default_rng(seed)
    dense = np.where(rng.random(shape) < 0.05, rng.integers(1, 50, shape), 0).astype(np.float32)
    if signed:
        dense *= rng.choice([-1, 1], shape)
    unit = {"density": "tracks", "direction": "tracks", "power_doppler": "a.u."}.get(name, "mm/s")
    return VesselMap.from_dense(
        name, dense, Grid(shape, spacing, (500.0, 0.0, -200.0)), unit, signed
    )


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("signed", [False, True])
def test_projection_equals_the_maps_own(axis, signed):
    vessels = make_map(signed=signed)
    assert np.array_equal(project(vessels, axis, 1000).image, vessels.projection(axis))


@settings(max_examples=30, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 40)] * 3), axis=st.integers(0, 2), longest=st.integers(1, 50)
)
def test_pooling_keeps_the_maximum_of_each_pixel(shape, axis, longest):
    vessels = make_map(shape)
    full, found = vessels.dense().max(axis), project(vessels, axis, longest)
    factor = -(-max(full.shape) // longest)
    padded = np.pad(full, [(0, -n % factor) for n in full.shape])
    pooled = padded.reshape(padded.shape[0] // factor, factor, -1, factor).max((1, 3))
    assert np.array_equal(found.image, pooled)
    assert max(found.image.shape) <= longest
    left, right, bottom, top = found.extent_mm
    down, across = found.axes
    assert left == pytest.approx((vessels.grid.origin_um[across] - 5) / 1000)
    assert top == pytest.approx((vessels.grid.origin_um[down] - 5) / 1000)
    assert right - left == pytest.approx(pooled.shape[1] * factor * 0.01)
    assert bottom - top == pytest.approx(pooled.shape[0] * factor * 0.01)


@pytest.mark.parametrize("axis", [0, 1, 2, "z", "y", "x", "all"])
def test_scale_is_correct_and_labelled(axis):
    figure = projection_figure(make_map(spacing=(10.0, 20.0, 30.0)), axis=axis)
    width, height = figure.get_size_inches()
    panels = [a for a in figure.axes if a.images and a.get_xlabel()]
    assert len(panels) == (3 if axis == "all" else 1)
    for axes in panels:
        box = axes.get_position()
        x_mm = abs(np.diff(axes.get_xlim())[0])
        y_mm = abs(np.diff(axes.get_ylim())[0])
        assert box.width * width / x_mm == pytest.approx(box.height * height / y_mm)
        assert "(mm)" in axes.get_xlabel()
        assert "(mm)" in axes.get_ylabel()
        assert box.x0 >= 0
        assert box.x1 <= 1
        assert box.y0 >= 0
        assert box.y1 <= 1


def test_scale_bar_has_its_stated_length():
    axes = projection_figure(make_map()).axes[0]
    (bar,), (text,) = axes.patches, axes.texts
    value, unit = text.get_text().split()
    assert bar.get_width() == pytest.approx(float(value) * {"mm": 1.0, "µm": 1e-3}[unit])


def test_signed_maps_have_a_scale_about_zero_and_black_in_the_middle():
    figure = projection_figure(make_map(signed=True, name="velocity_z"))
    image = figure.axes[0].images[0]
    assert image.norm.vmin == -image.norm.vmax
    assert image.cmap(image.norm(0.0))[:3] == pytest.approx((0, 0, 0), abs=0.02)
    assert "mm/s" in figure.axes[1].get_ylabel()


@pytest.mark.parametrize("name", ["density", "speed", "power_doppler"])
def test_empty_is_black_and_the_scale_begins_at_zero(name):
    image = projection_figure(make_map(name=name)).axes[0].images[0]
    assert image.norm.vmin == 0
    assert image.cmap(image.norm(0.0)) == (0, 0, 0, 1)


def test_gamma_and_limit():
    image = projection_figure(make_map(), gamma=0.5, limit=16).axes[0].images[0]
    assert np.asarray(image.norm(np.array([0.0, 4.0, 16.0]))) == pytest.approx([0, 0.5, 1])
    for bad in ({"gamma": 0.0}, {"limit": -1.0}, {"axis": "t"}):
        with pytest.raises(ConfigError):
            projection_figure(make_map(), **bad)


@pytest.mark.parametrize(
    ("shape", "spacing"),
    [((80, 1, 50), (5.0, 400.0, 5.0)), ((1, 1, 1), (10.0,) * 3), ((3, 200, 2000), (10.0,) * 3), ((40, 36, 32), (98.56, 150, 150))],
    ids=["2-D", "one voxel", "long", "coarse"],
)  # fmt: skip
def test_pictures_of_all_shapes_can_be_opened(tmp_path, shape, spacing):
    write(make_map(shape, spacing), tmp_path / "m.png")
    write(make_map(shape, spacing), tmp_path / "all.png", axis="all")
    with Image.open(tmp_path / "m.png") as image:
        image.load()
        assert image.width * image.height < 4e6


def test_an_empty_map_has_a_picture(tmp_path):
    grid = Grid((20, 20, 20), (10.0,) * 3)
    write(
        VesselMap("density", grid, np.zeros(0, int), np.zeros(0, np.float32), "tracks"),
        tmp_path / "m.png",
    )
    assert (tmp_path / "m.png").stat().st_size > 1000


def test_every_thin_vessel_reaches_the_picture(tmp_path):
    # One bright voxel in ten thousand by ten thousand: striding would lose it.
    grid = Grid((9001, 1, 7001), (1.0, 100.0, 1.0))
    vessels = VesselMap(
        "density", grid, np.array([4567 * 7001 + 1234]), np.array([9.0], np.float32), "tracks"
    )
    write(vessels, tmp_path / "m.png")
    picture = np.asarray(Image.open(tmp_path / "m.png").convert("RGB")).astype(int)
    axes = projection_figure(vessels).axes[0].get_position()
    height, width = picture.shape[:2]
    row = round((1 - axes.y1 + (axes.y1 - axes.y0) * 4567 / 9001) * height)
    column = round((axes.x0 + (axes.x1 - axes.x0) * 1234 / 7001) * width)
    assert picture[row - 3 : row + 4, column - 3 : column + 4].max() > 250
