"""Compare & measure by mouse and keyboard: two results, their numbers, lines and boxes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("napari")
pytest.importorskip("pytestqt")
pytest.importorskip("qtpy.QtCore", exc_type=ImportError)

from plugin_hands import Pointer, add, choose, click, dock, enter, idle
from qtpy.QtWidgets import QApplication

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.evaluate import (
    Region,
    evaluate,
    line_profile,
    map_difference,
    plane,
    read_truth,
    tracks_crossing,
)
from napari_ulm3d.io.writers import write
from napari_ulm3d.pipeline import run
from napari_ulm3d.plugin.jobs.compare import Source
from napari_ulm3d.plugin.layers.place import find_layer
from napari_ulm3d.plugin.layers.vessel_view import look_at_a_plane
from napari_ulm3d.plugin.session import session_of
from napari_ulm3d.simulate import sample_data_path


@pytest.fixture
def localized(viewer: Any, qtbot: Any, tmp_path: Path) -> Any:
    """A viewer with the sample acquisition, whole series localized."""
    folder = tmp_path / "sample"
    shutil.copytree(sample_data_path(), folder)
    viewer.open(str(folder), plugin="napari-ulm3d")
    QApplication.processEvents()
    session_of(viewer).change("maps", resolution_factor=4.0)
    panel = dock(viewer, "Localize & track")
    click(panel.series_button)
    idle(qtbot, panel)
    assert panel.problem.text() == ""
    # A run ends with its map in 3-D; what is drawn is drawn in a plane.
    look_at_a_plane(viewer)
    QApplication.processEvents()
    return viewer


def table_of(widget: Any) -> dict[str, list[str]]:
    return {
        widget.item(row, 0).text(): [
            widget.item(row, k).text() for k in range(1, widget.columnCount())
        ]
        for row in range(widget.rowCount())
    }


def in_the_world(shapes: Any) -> np.ndarray:
    return np.array([shapes.data_to_world(corner) for corner in shapes.data[0]])


@pytest.mark.slow
def test_a_run_against_the_truth_has_the_scores_of_the_core(localized: Any, qtbot: Any) -> None:
    session = session_of(localized)
    panel = dock(localized, "Compare & measure")
    choose(panel.second, "Ground truth")
    idle(qtbot, panel)
    result = session.result
    scores = evaluate(
        result.localizations,
        result.tracks,
        read_truth(session.truth_path),
        result.grid,
        session.acquisition.wavelength_um,
        frames=(0, session.acquisition.n_frames),
    )
    shown = table_of(panel.numbers)
    hit = f"{session.acquisition.wavelength_um / 4:.0f} µm"
    assert shown[f"Jaccard index at {hit}"][0] == f"{scores.localization.jaccard:.3f}"
    assert shown[f"recall at {hit}"][0] == f"{scores.localization.recall:.3f}"
    assert shown["RMSE of pairs"][0] == f"{scores.localization.rmse_um:.1f} µm"
    assert shown["Dice at 25 µm"][0] == f"{scores.map.dice:.3f}"
    assert shown["A to B: Dice at 25 µm"][0] == f"{scores.map.dice:.3f}"
    assert shown["tracks"][0] == f"{result.tracks.n_tracks:,}"
    truth_map = panel.compared.map(1, "density")
    assert truth_map.grid == result.maps["density"].grid
    assert truth_map.values.sum() > 0


@pytest.mark.slow
def test_the_two_maps_in_every_view(localized: Any, qtbot: Any) -> None:
    session = session_of(localized)
    panel = dock(localized, "Compare & measure")
    tracks = find_layer(localized, "tracks")
    tracks.visible = True  # a run ends with the map alone
    choose(panel.second, "Ground truth")
    idle(qtbot, panel)
    choose(panel.view, "Overlay: A magenta, B green")
    idle(qtbot, panel)
    first, second = (find_layer(localized, f"compare {k}") for k in "AB")
    assert first.data.sum() == session.result.maps["density"].values.sum()
    np.testing.assert_array_equal(first.scale, second.scale)
    np.testing.assert_array_equal(first.translate, second.translate)
    assert (first.colormap.name, second.colormap.name) == ("magenta", "green")
    assert not tracks.visible
    choose(panel.view, "Side by side")
    idle(qtbot, panel)
    assert localized.canvas.grid.enabled
    assert sum(layer.visible for layer in localized.layers) == 2
    assert localized.canvas.grid.actual_shape(localized.layers) == (1, 2)
    choose(panel.view, "Difference: A - B")
    idle(qtbot, panel)
    expected = map_difference(panel.compared.map(0, "density"), panel.compared.map(1, "density"))
    np.testing.assert_array_equal(
        find_layer(localized, "compare difference").data, expected.dense()
    )
    assert find_layer(localized, "compare A") is None
    assert not localized.canvas.grid.enabled
    choose(panel.view, "Off")
    idle(qtbot, panel)
    assert find_layer(localized, "compare difference") is None
    assert tracks.visible


@pytest.mark.slow
def test_a_line_drawn_with_the_mouse_gives_a_profile(
    localized: Any, qtbot: Any, tmp_path: Path
) -> None:
    panel = dock(localized, "Compare & measure")
    idle(qtbot, panel)
    choose(panel.measuring.slab, "whole volume")
    click(panel.measuring.line_button)
    mouse = Pointer(localized, qtbot)
    mouse.drag(mouse.place(500.0, 400.0), mouse.place(500.0, 1500.0))
    qtbot.waitUntil(lambda: bool(panel.measuring._measured))
    idle(qtbot, panel)
    (measured,) = panel.measuring._measured
    layer = find_layer(localized, "measure")
    ends = in_the_world(layer)
    np.testing.assert_allclose(ends[:, [0, 2]], [[500, 400], [500, 1500]], atol=25)
    length = np.linalg.norm(ends[1] - ends[0])
    assert measured.profile.distance_um[-1] == pytest.approx(length)
    image = plane(session_of(localized).result.maps["density"], 1)
    expected = line_profile(image, *ends[:, [0, 2]])
    np.testing.assert_allclose(measured.profile.values, expected.values)
    assert expected.values.max() > 0
    shown = table_of(panel.measuring.numbers)
    assert shown["length"][0] == f"{length:.1f} µm"
    assert shown["tracks in the peak"][0] == f"{measured.n_tracks:,}"
    # No vessel of this short sample holds ten tracks.
    assert np.isfinite(measured.width.fwhm_um)
    assert measured.n_tracks < 10
    assert panel.measuring.caution.isVisible()
    assert panel.measuring.caution.text().startswith("Too few tracks for a width")
    enter(panel.measuring.width_um, "200")
    idle(qtbot, panel)
    assert panel.measuring._measured[0].profile.width_um == 200
    panel.measuring.save_profile(str(tmp_path / "profile.csv"))
    saved = pd.read_csv(tmp_path / "profile.csv")
    assert list(saved.columns) == ["distance_um", "density [tracks]"]
    np.testing.assert_allclose(
        saved["density [tracks]"], panel.measuring._measured[0].profile.values
    )
    panel.measuring.save_profile(str(tmp_path / "no" / "profile.csv"))
    assert "Create it first" in panel.measuring.problem.text()


@pytest.mark.slow
def test_a_box_drawn_with_the_mouse_counts_its_tracks(localized: Any, qtbot: Any) -> None:
    panel = dock(localized, "Compare & measure")
    choose(panel.second, "Ground truth")
    idle(qtbot, panel)
    choose(panel.measuring.slab, "whole volume")
    click(panel.measuring.box_button)
    tracks = session_of(localized).result.tracks.table
    depth = localized.dims.point[-2]
    mouse = Pointer(localized, qtbot)
    mouse.drag(mouse.place(300.0, 500.0), mouse.place(1200.0, 1700.0))
    qtbot.waitUntil(lambda: bool(panel.measuring._measured))
    idle(qtbot, panel)
    corners = in_the_world(find_layer(localized, "measure"))
    low, high = corners.min(axis=0), corners.max(axis=0)
    inside = tracks["z_um"].between(low[0], high[0]) & tracks["x_um"].between(low[2], high[2])
    first, second = (m.region for m in panel.measuring._measured)
    assert first.n_points == inside.sum() > 0
    assert first.mean_speed_mm_s == pytest.approx(tracks["speed_mm_s"][inside].mean(), rel=1e-5)
    assert first.n_tracks >= tracks["track_id"][inside].nunique()
    assert second.n_tracks > 0
    shown = table_of(panel.measuring.numbers)
    assert shown["tracks crossing"] == [f"{first.n_tracks:,}", f"{second.n_tracks:,}"]
    assert table_of(panel.numbers)["resolution (FSC)"][0].startswith("too few tracks to measure")
    numbers = panel.numbers  # and the names beside this sentence are broken into lines, not cut
    assert all(numbers.rowHeight(k) >= numbers.sizeHintForRow(k) for k in range(numbers.rowCount()))

    def counted() -> int:
        idle(qtbot, panel)
        return panel.measuring._measured[0].region.n_tracks

    def in_slab(half: float) -> int:
        box = Region.box(1, low[[0, 2]], high[[0, 2]], (depth - half, depth + half))
        return tracks_crossing(session_of(localized).result.tracks, box).size

    # As seen: the slab of the view, which can be set, and is shown.
    choose(panel.measuring.slab, "as seen")
    assert panel.measuring.slab_um.value() == 300
    assert counted() == in_slab(150.0)
    counts = []
    for thickness in (600, 1500, 6000):
        enter(panel.measuring.slab_um, str(thickness))
        counts.append(counted())
        assert counts[-1] == in_slab(thickness / 2)
        assert localized.dims.thickness[-2] == thickness
    assert counts[-1] == first.n_tracks > 0
    edges = f"from y = {depth - 3000:.0f} to {depth + 3000:.0f} µm"
    assert edges in panel.measuring.status.text()
    enter(panel.measuring.slab_um, "300")
    # While tracks are shown, which napari draws at every depth, all of them count.
    find_layer(localized, "tracks").visible = True
    panel.measuring.refresh()
    assert counted() == first.n_tracks
    choose(panel.measuring.slab, "single plane")
    density = session_of(localized).result.maps["density"]
    assert counted() == in_slab(density.grid.spacing_um[1] / 2)
    click(panel.measuring.clear_button)
    idle(qtbot, panel)
    qtbot.waitUntil(lambda: not panel.measuring._measured)


@pytest.mark.slow
def test_a_folder_and_a_table_can_be_compared(localized: Any, qtbot: Any, tmp_path: Path) -> None:
    session = session_of(localized)
    other = session.config.with_settings(["link.min_length_frames=20"])
    whole = run(session.acquisition, other, tmp_path / "other")
    write(whole.tracks, tmp_path / "tracks.csv")
    panel = dock(localized, "Compare & measure")
    folder = tmp_path / "other"
    panel.add_source(Source(str(folder), "other", "folder", path=folder))
    idle(qtbot, panel)
    assert table_of(panel.numbers)["tracks"][1] == f"{whole.tracks.n_tracks:,}"
    path = tmp_path / "tracks.csv"
    panel.add_source(Source(str(path), "table", "table", path=path))
    idle(qtbot, panel)
    assert table_of(panel.numbers)["tracks"][1] == f"{whole.tracks.n_tracks:,}"
    np.testing.assert_array_equal(
        panel.compared.map(1, "density").dense(), whole.maps["density"].dense()
    )
    shutil.rmtree(folder)
    choose(panel.second, "other")
    idle(qtbot, panel)
    assert "not a results folder" in panel.problem.text()


def test_without_a_result_it_says_what_to_do(viewer: Any, qtbot: Any) -> None:
    panel = dock(viewer, "Compare & measure")
    idle(qtbot, panel)
    assert "Localize & track" in panel.status.text()
    assert not panel.measuring.save_button.isEnabled()


def test_two_dimensional_data(viewer: Any, flow: Any, qtbot: Any) -> None:
    frames = flow.frames[:, :, 8:9]
    flat = Acquisition.from_array(frames, (100.0, 150.0, 150.0), 260.0, wavelength_um=100.0)
    add(viewer, flat)
    session = session_of(viewer)
    session.change("clutter", svd_range=(2, 200))
    session.change("psf", fwhm_voxels=(3.0, 3.0, 3.0))
    local = dock(viewer, "Localize & track")
    click(local.series_button)
    idle(qtbot, local)
    assert local.problem.text() == ""
    panel = dock(viewer, "Compare & measure")
    idle(qtbot, panel)
    click(panel.measuring.line_button)
    mouse = Pointer(viewer, qtbot)
    mouse.drag(mouse.place(300.0, 300.0), mouse.place(1500.0, 1800.0))
    qtbot.waitUntil(lambda: bool(panel.measuring._measured))
    assert panel.measuring.problem.text() == ""
    assert panel.measuring._measured[0].profile is not None
