"""Vessel maps and the colours of tracks: by mouse and keyboard, and without a viewer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("napari")
pytest.importorskip("pytestqt")
pytest.importorskip("qtpy.QtCore", exc_type=ImportError)

from plugin_hands import Pointer, add, click, dock, enter, idle
from qtpy.QtWidgets import QApplication

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.maps import accumulate, smooth_maps
from napari_ulm3d.plugin.jobs.rebuild_maps import ERRORS, OF_TRACKS
from napari_ulm3d.plugin.layers.convert import map_layer, tracks_layer
from napari_ulm3d.plugin.layers.place import find_layer, make_layer, place
from napari_ulm3d.plugin.layers.track_colors import (
    COLOURING,
    QUANTITIES,
    Colouring,
    default_colouring,
    default_range,
    features_of,
    signed_top,
)
from napari_ulm3d.plugin.session import session_of
from napari_ulm3d.plugin.state.results import Result
from napari_ulm3d.tables import Localizations, Tracks
from napari_ulm3d.volumes import VesselMap

SHAPE, SPACING = (18, 16, 14), (98.0, 150.0, 140.0)


def straight_tracks(n_tracks: int = 60, n_frames: int = 20, seed: int = 0) -> Tracks:
    """Tracks on straight lines through the volume, of their own speed and score each."""
    rng = np.random.default_rng(seed)
    start = rng.uniform(0.2, 0.6, (n_tracks, 1, 3)) * np.array(SHAPE) * SPACING
    step = rng.normal(0, 12, (n_tracks, 1, 3))
    position = (start + np.arange(n_frames)[None, :, None] * step).reshape(-1, 3)
    velocity = np.repeat(step[:, 0] * 0.26, n_frames, axis=0)
    frame = np.tile(np.arange(n_frames), n_tracks) + np.repeat(
        rng.integers(0, 80, n_tracks), n_frames
    )
    table = pd.DataFrame({"track_id": np.repeat(np.arange(n_tracks), n_frames), "frame": frame})
    table["time_s"] = frame / 260.0
    table[["z_um", "y_um", "x_um"]] = position
    table[["vz_mm_s", "vy_mm_s", "vx_mm_s"]] = velocity
    table["speed_mm_s"] = np.linalg.norm(velocity, axis=1)
    table["score"] = np.repeat(rng.random(n_tracks), n_frames)
    return Tracks(table)


@pytest.fixture
def mapped(viewer: Any, qtbot: Any) -> Any:
    """A viewer with an acquisition, and a result of known tracks as if it had been run."""
    frames = np.zeros((100, *SHAPE), np.complex64)
    frames[:, 3, 4, 5] = 1
    add(viewer, Acquisition.from_array(frames, SPACING, 260.0, origin_um=(500.0, -70.0, 30.0)))
    session = session_of(viewer)
    tracks = straight_tracks()
    table = tracks.table.copy()
    table[["z_um", "y_um", "x_um"]] += np.array([500.0, -70.0, 30.0])
    session.change("maps", resolution_factor=4.0)
    give(viewer, Tracks(table))
    return viewer


def give(viewer: Any, tracks: Tracks) -> Result:
    session = session_of(viewer)
    acquisition = session.acquisition
    result = Result(
        acquisition.grid, 260.0, acquisition.duration_s, session.config, Localizations.empty(), tracks
    )  # fmt: skip
    place(viewer, make_layer(tracks_layer(tracks, rate_hz=260.0), "tracks"))
    session.set_result(result)
    return result


def density(result: Result, tracks: Tracks) -> Any:
    return accumulate(tracks, result.grid, session_maps(result))["density"].dense()


def session_maps(result: Result) -> Any:
    return result.config.maps


# --- colours, without a viewer --------------------------------------------------------------------


@pytest.mark.parametrize("by", list(QUANTITIES))
def test_default_ranges_are_robust_and_hold_nan(by: str) -> None:
    values = features_of(straight_tracks().table)[by].to_numpy().copy()
    low, high = default_range(values, by)
    assert low < high
    assert low <= np.percentile(values, 1)
    assert high >= np.percentile(values, 99)
    if QUANTITIES[by].signed:
        assert low == -high
    values[:3] = np.nan
    if by != "time_s":
        values[3] = 1e9  # one wild track must not dim all others
    assert default_range(values, by) == pytest.approx((low, high), rel=0.2, abs=0.1)
    assert default_range(values[:0], by)[0] < default_range(values[:0], by)[1]
    assert default_range(np.full(9, 3.0), by)[0] < default_range(np.full(9, 3.0), by)[1]


@pytest.mark.parametrize(("top", "end"), [(8.7, 10.0), (43.0, 50.0), (0.62, 0.62), (0.0, 1.0)])
def test_a_symmetric_colour_bar_has_numbers_beside_zero(top: float, end: float) -> None:
    from vispy.visuals.axis import _get_ticks_talbot

    assert signed_top(top) == end
    ticks = _get_ticks_talbot(-end, end, 2.0, 2)  # as napari's colour bar asks for them
    assert sum(0 < abs(tick) <= end * 1.0001 for tick in ticks) >= 2


def test_direction_is_one_for_straight_down() -> None:
    table = straight_tracks(3, 2).table.copy()
    table["vz_mm_s"] = [5, 5, -5, -5, 0, 0]
    table["speed_mm_s"] = [5, 5, 10, 10, 0, 0]
    assert features_of(table)["direction"].tolist() == [1, 1, -0.5, -0.5, 0, 0]


@pytest.mark.parametrize(
    ("spacing", "origin", "factor"),
    [
        ((100.0, 100.0, 100.0), (0.0, 0.0, 0.0), 5.0),
        ((98.56, 150.0, 120.0), (500.0, -70.0, 30.0), 10.0),
        ((50.0, 400.0, 25.0), (-10.0, 0.0, 5.0), 3.0),
    ],
)
@pytest.mark.parametrize("name", ["density", "trajectory", "power_doppler"])
def test_layers_sit_on_each_other(
    spacing: Any, origin: Any, factor: float, name: str, viewer: Any
) -> None:
    """A bubble's voxel, its point, its track and its map voxel have one place in the world."""
    frames = np.zeros((4, 12, 10, 8), np.complex64)
    frames[:, 5, 6, 3] = 1
    acquisition = Acquisition.from_array(frames, spacing, 50.0, origin_um=origin)
    image = add(viewer, acquisition)
    grid = acquisition.grid
    at = grid.to_um(np.array([[5.0, 6.0, 3.0]]))[0]
    world = image.data_to_world((1, 5, 6, 3))
    np.testing.assert_allclose(world, (1 / 50, *at))
    table = straight_tracks(1, 4).table.copy()
    table[["z_um", "y_um", "x_um"]] = at
    table["frame"], table["time_s"] = np.arange(4), np.arange(4) / 50
    track = place(viewer, make_layer(tracks_layer(Tracks(table), rate_hz=50.0), "tracks"))
    np.testing.assert_allclose(track.data_to_world(track.data[1, 1:]), world)
    fine = grid if name == "power_doppler" else grid.isotropic(factor)
    voxel = np.floor(fine.to_index(at[None]) + 0.5).astype(int)[0]
    dense = np.zeros(fine.shape, np.float32)
    dense[tuple(voxel)] = 1
    for most in (10**8, dense.size // 20):  # whole, and pooled
        vessel_map = VesselMap.from_dense(name, dense, fine)
        layer = make_layer(map_layer(vessel_map, max_voxels=most), "map")
        (drawn,) = np.argwhere(layer.data)
        offset = np.abs(np.asarray(layer.data_to_world(drawn)) - at)
        assert (offset <= np.asarray(layer.scale) / 2 + 1e-9).all()
        np.testing.assert_allclose(  # the volumes' borders fall together
            layer.data_to_world((-0.5, -0.5, -0.5)), grid.to_um(np.array([[-0.5] * 3]))[0]
        )
        assert layer.axis_labels == ("z", "y", "x")
        assert [str(unit) for unit in layer.units] == ["micrometer"] * 3


# --- in the viewer -------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_range_of_colours_stays_when_tracks_are_filtered(mapped: Any, qtbot: Any) -> None:
    maps = dock(mapped, "Vessel maps")
    idle(qtbot, maps)
    layer = find_layer(mapped, "tracks")
    whole = layer.metadata[COLOURING]
    before = dict(zip(map(tuple, layer.data), map(tuple, layer.track_colors), strict=True))
    enter(maps.filters.fastest, "6")
    idle(qtbot, maps)
    layer = find_layer(mapped, "tracks")
    assert 0 < len(layer.data) < len(before)
    assert layer.metadata[COLOURING] == whole
    for point, colour in zip(layer.data, layer.track_colors, strict=True):
        assert before[tuple(point)] == tuple(colour)
    assert layer.metadata["ulm3d"].n_tracks == session_of(mapped).shown.tracks.n_tracks
    enter(maps.filters.fastest, "10000")
    idle(qtbot, maps)
    assert len(find_layer(mapped, "tracks").data) == len(before)


def test_nan_does_not_spoil_the_colours(mapped: Any) -> None:
    tracks = straight_tracks()
    table = tracks.table.copy()
    table.loc[:4, "score"] = np.nan
    layer = make_layer(
        tracks_layer(Tracks(table), rate_hz=260.0, colouring=Colouring("score", 0.0, 1.0)), "tracks"
    )
    colours = layer.track_colors
    np.testing.assert_allclose(colours[:5], [[0.5, 0.5, 0.5, 1.0]] * 5)
    assert np.isfinite(colours).all()
    assert len(np.unique(colours, axis=0)) > 10


@pytest.mark.parametrize("cut", [False, True])
def test_a_box_keeps_the_tracks_that_pass_it(mapped: Any, qtbot: Any, cut: bool) -> None:
    maps = dock(mapped, "Vessel maps")
    idle(qtbot, maps)
    result = session_of(mapped).result
    z = result.tracks.table["z_um"]
    low, high = (round(float(v)) for v in z.quantile([0.3, 0.45]))
    enter(maps.filters.box[0][0], str(low))
    enter(maps.filters.box[0][1], str(high))
    if cut:
        click(maps.filters.cut)
    idle(qtbot, maps)
    inside = z.between(low, high)
    passing = result.tracks.table["track_id"].isin(result.tracks.table["track_id"][inside])
    rows = inside if cut else passing
    some = Tracks(result.tracks.table[rows].reset_index(drop=True))
    found = session_of(mapped).shown
    assert 0 < some.n_tracks < result.tracks.n_tracks
    assert len(found.tracks) == len(some)
    # Straight tracks leave a slab once: none is cut in two.
    np.testing.assert_array_equal(found.maps["density"].dense(), density(result, some))
    np.testing.assert_array_equal(find_layer(mapped, "map").data, density(result, some))


@pytest.mark.parametrize(
    "order",
    [
        (0, 2, 1, 3),
        pytest.param((0, 1, 2, 3), marks=pytest.mark.slow),
        pytest.param((0, 3, 1, 2), marks=pytest.mark.slow),
    ],
)
def test_a_drawn_rectangle_keeps_the_tracks_that_pass_it(
    mapped: Any, qtbot: Any, order: Any
) -> None:
    """Drawn with the mouse in each of the three planes."""
    maps = dock(mapped, "Vessel maps")
    idle(qtbot, maps)
    mapped.dims.order = order
    mapped.reset_view()
    result = session_of(mapped).result
    click(maps.filters.rectangle)
    QApplication.processEvents()
    layer = find_layer(mapped, "region")
    assert str(layer.mode) == "add_rectangle"
    mouse = Pointer(mapped, qtbot)
    mouse.drag(mouse.share(0.42, 0.42), mouse.share(0.6, 0.6))
    idle(qtbot, maps)
    assert maps.filters.chosen.regions is not None
    (prism,) = maps.filters.chosen.regions
    assert prism.axis == order[1] - 1
    positions = result.tracks.table
    plane = [n for k, n in enumerate(("z_um", "y_um", "x_um")) if k != prism.axis]
    (a0, b0), (a1, b1) = np.min(prism.corners_um, axis=0), np.max(prism.corners_um, axis=0)
    inside = positions[plane[0]].between(a0, a1) & positions[plane[1]].between(b0, b1)
    kept = positions["track_id"].isin(positions["track_id"][inside])
    assert 0 < kept.sum() < len(positions)
    assert len(session_of(mapped).shown.tracks) == kept.sum()
    mapped.layers.remove(layer)
    idle(qtbot, maps)
    assert maps.filters.chosen.regions is None
    assert session_of(mapped).shown.tracks.n_tracks == result.tracks.n_tracks


@pytest.mark.slow
@pytest.mark.parametrize("cut", [False, True])
def test_a_drawn_polygon_keeps_the_tracks_that_pass_it(mapped: Any, qtbot: Any, cut: bool) -> None:
    """A triangle clicked corner by corner, in the plane of depth against lateral."""
    from matplotlib.path import Path as Outline

    maps = dock(mapped, "Vessel maps")
    idle(qtbot, maps)
    mapped.dims.order = (0, 2, 1, 3)
    mapped.reset_view()
    result = session_of(mapped).result
    click(maps.filters.polygon)
    if cut:
        click(maps.filters.cut)
    QApplication.processEvents()
    layer = find_layer(mapped, "region")
    assert str(layer.mode) == "add_polygon"
    mouse = Pointer(mapped, qtbot)
    corners = [mouse.share(*at) for at in ((0.40, 0.40), (0.66, 0.46), (0.44, 0.70))]
    for corner in corners[:2]:
        mouse.click(corner)
    # A person takes time between two corners, more than the hand needs to count as resting.
    with qtbot.waitSignal(maps.filters._settled.timeout):
        pass
    # It is not closed yet: nothing is filtered, and the pencil stays.
    assert session_of(mapped).shown.tracks.n_tracks == result.tracks.n_tracks
    assert str(layer.mode) == "add_polygon"
    mouse.click(corners[2])  # a double click begins with one
    mouse.click(corners[2], twice=True)
    qtbot.waitUntil(lambda: not layer._is_creating)
    idle(qtbot, maps)
    (prism,) = maps.filters.chosen.regions
    assert prism.axis == 1
    table = result.tracks.table
    inside = Outline(np.asarray(prism.corners_um)).contains_points(table[["z_um", "x_um"]])
    passing = table["track_id"].isin(table["track_id"][inside])
    assert 0 < inside.sum() < passing.sum() < len(table)
    shown = session_of(mapped).shown.tracks
    assert len(shown) == (inside if cut else passing).sum()


def test_smoothing_is_the_cores_and_needs_no_new_accumulation(
    mapped: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    maps = dock(mapped, "Vessel maps")
    idle(qtbot, maps)
    result = session_of(mapped).result
    raw = accumulate(result.tracks, result.grid, session_maps(result))
    monkeypatch.setattr("napari_ulm3d.plugin.jobs.rebuild_maps.MapAccumulator", None)
    enter(maps.form.controls["smoothing_um"], "40")
    idle(qtbot, maps)
    assert maps.problem.text() == ""
    expected = smooth_maps({name: raw[name] for name in OF_TRACKS}, 40.0)
    np.testing.assert_array_equal(find_layer(mapped, "map").data, expected["density"].dense())
    for name, vessel_map in expected.items():
        np.testing.assert_array_equal(session_of(mapped).shown.maps[name].values, vessel_map.values)
    assert not set(ERRORS) & set(
        session_of(mapped).shown.maps
    )  # those of a map that is not smoothed
    assert session_of(mapped).shown.config.maps.smoothing_um == 40.0


def test_errors_and_local_resolution_are_maps_of_the_tracks(mapped: Any, qtbot: Any) -> None:
    maps = dock(mapped, "Vessel maps")
    idle(qtbot, maps)
    raw = accumulate(
        session_of(mapped).result.tracks,
        session_of(mapped).result.grid,
        session_maps(session_of(mapped).result),
    )
    place_of = maps.which.findData("density_se")
    assert place_of > 0
    maps.which.setCurrentIndex(place_of)
    idle(qtbot, maps)
    assert maps.problem.text() == ""
    np.testing.assert_array_equal(find_layer(mapped, "map").data, raw["density_se"].dense())
    assert "filters do not apply" not in maps.status.text()
    assert "density known to" in maps.evidence.words.text()


@pytest.mark.slow
def test_limits_that_a_person_set_outlive_a_filter(mapped: Any, qtbot: Any) -> None:
    maps = dock(mapped, "Vessel maps")
    idle(qtbot, maps)
    find_layer(mapped, "map").contrast_limits = (0.0, 1.25)
    enter(maps.filters.score, "0.3")
    idle(qtbot, maps)
    assert find_layer(mapped, "map").contrast_limits == [0.0, 1.25]


@pytest.mark.slow
def test_the_trajectory_volume_is_a_map_of_its_own(mapped: Any, qtbot: Any) -> None:
    maps = dock(mapped, "Vessel maps")
    idle(qtbot, maps)
    session = session_of(mapped)
    grid = session.acquisition.grid.isotropic(3.0)
    dense = np.zeros(grid.shape, np.float32)
    dense[5:9, 7, :] = 2
    drawn = VesselMap.from_dense("trajectory", dense, grid)
    result = session.result
    session.set_result(
        Result(grid=result.grid, rate_hz=260.0, duration_s=result.duration_s, config=result.config,
               localizations=Localizations.empty(), tracks=Tracks.empty(), maps={"trajectory": drawn})
    )  # fmt: skip
    idle(qtbot, maps)
    assert maps.problem.text() == ""
    assert maps.which.currentText() == "Trajectory volume (network)"
    layer = find_layer(mapped, "map")
    np.testing.assert_array_equal(layer.data, dense)
    assert "filters do not apply" in maps.status.text()


@pytest.mark.slow
def test_no_tracks_pass_and_come_back(mapped: Any, qtbot: Any) -> None:
    maps = dock(mapped, "Vessel maps")
    idle(qtbot, maps)
    n = len(find_layer(mapped, "tracks").data)
    enter(maps.filters.slowest, "5000")
    idle(qtbot, maps)
    assert find_layer(mapped, "map") is None
    assert find_layer(mapped, "tracks") is None
    assert maps.status.text().startswith("0 of 60 tracks")
    enter(maps.filters.slowest, "0")
    idle(qtbot, maps)
    assert len(find_layer(mapped, "tracks").data) == n
    assert find_layer(mapped, "map") is not None


@pytest.mark.slow
def test_a_hundred_thousand_points_are_filtered(mapped: Any, qtbot: Any) -> None:
    session_of(mapped).change("maps", fsc=False)
    tracks = straight_tracks(5000, 20)
    give(mapped, tracks)
    maps = dock(mapped, "Vessel maps")
    idle(qtbot, maps)
    enter(maps.filters.score, "0.5")
    idle(qtbot, maps)
    kept = int((tracks.table.groupby("track_id")["score"].mean() >= 0.5).sum())
    assert 0 < kept < 5000
    assert f"{kept:,} of 5,000 tracks" in maps.status.text()
    assert session_of(mapped).shown.tracks.n_tracks == kept


def test_settings_know_what_smoothing_is() -> None:
    field = type(PipelineConfig().maps).model_fields["smoothing_um"]
    assert field.json_schema_extra == {"unit": "um"}
    assert default_colouring(Tracks.empty()).high > 0


def test_what_is_drawn_is_capped_and_said(mapped: Any, qtbot: Any) -> None:
    from napari_ulm3d.plugin.controls.section import Section

    panel = dock(mapped, "Localize & track")
    for section in panel.findChildren(Section):
        section.expand()
    assert panel.colours.drawn.text() == "The layer shows all 1,200 track points."
    tracks = session_of(mapped).result.tracks
    place(mapped, make_layer(tracks_layer(tracks, rate_hz=260.0, max_points=300), "tracks"))
    qtbot.waitUntil(lambda: "300 of 1,200 track points" in panel.colours.drawn.text())
    layer = find_layer(mapped, "tracks")
    assert layer.name.endswith("(25 % drawn)")
    assert layer.metadata["ulm3d"] is tracks
