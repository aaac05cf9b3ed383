"""Networks in the widgets: methods, weights, device, cost, survivors, and a run from end to end."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("napari")
pytest.importorskip("pytestqt")
pytest.importorskip("qtpy.QtCore", exc_type=ImportError)
pytest.importorskip("torch")

import torch
from network_hands import by_network, linked_as_set, open_sample
from plugin_hands import choose, click, dock, drag, enter, idle, save_as
from qtpy.QtWidgets import QApplication

from napari_ulm3d.device import DeviceReport, inspect_device
from napari_ulm3d.io.results import ResultsFolder
from napari_ulm3d.io.writers import read_map, read_table
from napari_ulm3d.link import link
from napari_ulm3d.networks import build, save_weights
from napari_ulm3d.pipeline import run
from napari_ulm3d.plugin.layers.place import find_layer
from napari_ulm3d.plugin.layers.track_colors import COLOURING
from napari_ulm3d.plugin.panels.parts.device import report_text
from napari_ulm3d.plugin.session import session_of
from napari_ulm3d.tables import Localizations, Tracks


def test_the_method_chooses_its_controls(loaded: Any, weights: Path, qtbot: Any) -> None:
    panel = dock(loaded, "Localize & track")
    assert not panel.network.isVisible()
    assert panel.form.controls["min_snr_db"].isVisible()
    by_network(panel, weights)
    assert panel.network.isVisible()
    assert not panel.form.controls["min_snr_db"].isVisible()
    assert panel.network_form.controls["min_score"].isVisible()
    assert not panel.network_form.controls["trajectory_score"].isVisible()
    session = session_of(loaded)
    assert session.config.network.weights == str(weights)
    choose(panel.form.controls["localizer"], "trajectory")
    assert panel.network_form.controls["trajectory_score"].isVisible()
    assert not panel.network_form.controls["min_score"].isVisible()
    idle(qtbot, panel)
    report = inspect_device()
    labels = [label.text() for label in panel.findChildren(type(panel.status))]
    assert any(str(report.torch) in text for text in labels)


def test_the_device_report_names_the_line_that_installs() -> None:
    bare = DeviceReport(2, 8_000_000_000, None, None, None, None, (("PyTorch, for the networks", "pip install torch"),))  # fmt: skip
    text = report_text(bare, "auto")
    assert "cannot run" in text
    assert "<code>pip install torch</code>" in text
    gpu = DeviceReport(8, 64_000_000_000, "2.13", "NVIDIA H200", 150_000_000_000, "2.3", ())
    assert "on the GPU: NVIDIA H200, 150 GB" in report_text(gpu, "auto")
    assert "on the CPU: 8 cores" in report_text(gpu, "cpu")
    cpu = DeviceReport(2, 8_000_000_000, "2.13", None, None, None, ())
    assert "no usable GPU" in report_text(cpu, "cuda")


def test_the_device_is_chosen(loaded: Any, weights: Path, qtbot: Any) -> None:
    from napari_ulm3d.plugin.panels.parts.device import DeviceBox

    panel = dock(loaded, "Localize & track")
    by_network(panel, weights)
    (box,) = panel.findChildren(DeviceBox)
    choose(box.device, "cpu")
    assert session_of(loaded).config.device == "cpu"
    session_of(loaded).reset_config()
    assert box.device.box.currentText() == "auto"


def test_weights_that_are_not_there_are_one_sentence(loaded: Any, qtbot: Any) -> None:
    panel = dock(loaded, "Localize & track")
    by_network(panel, Path("/no/such.safetensors"))
    click(panel.window_button)
    idle(qtbot, panel)
    assert "/no/such.safetensors" in panel.problem.text()
    assert "\n" not in panel.problem.text()
    assert panel.series_button.isEnabled()


@pytest.mark.slow
def test_the_whole_series_by_a_network_is_the_pipelines(
    loaded: Any, weights: Path, qtbot: Any
) -> None:
    panel = dock(loaded, "Localize & track")
    by_network(panel, weights)
    click(panel.series_button)
    idle(qtbot, panel)
    assert panel.problem.text() == ""
    session = session_of(loaded)
    expected = run(session.acquisition, session.config)
    assert len(expected.localizations) > 100
    pd.testing.assert_frame_equal(session.result.localizations.table, expected.localizations.table)
    pd.testing.assert_frame_equal(session.result.tracks.table, expected.tracks.table)


@pytest.mark.slow
def test_a_frame_and_a_window_by_a_network(loaded: Any, weights: Path, qtbot: Any) -> None:
    panel = dock(loaded, "Localize & track")
    by_network(panel, weights)
    session = session_of(loaded)
    whole = run(session.acquisition, session.config).localizations.table
    loaded.dims.set_point(0, 30 / 260.0)
    click(panel.frame_button)
    idle(qtbot, panel)
    found = session.result.localizations.table
    assert panel.problem.text() == ""
    assert set(found["frame"]) == {30}
    there = whole[whole["frame"] == 30]
    # The noise is measured on the frames at hand: a bubble at the threshold may come or go.
    assert abs(len(found) - len(there)) <= 0.2 * len(there) + 1
    enter(panel.window_frames, "10")
    click(panel.window_button)
    idle(qtbot, panel)
    assert set(session.result.localizations.frames) == set(range(25, 35))
    assert session.result.scope == "frames 25 to 34"
    assert session.result.n_frames == 10
    enter(panel.window_frames, "1000")  # a window does not reach over its block
    click(panel.window_button)
    idle(qtbot, panel)
    assert session.result.frames == (20, 40)


@pytest.mark.slow
def test_score_and_length_act_without_the_network(
    loaded: Any, weights: Path, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = dock(loaded, "Localize & track")
    by_network(panel, weights)
    click(panel.series_button)
    idle(qtbot, panel)
    session = session_of(loaded)
    computed = session.result
    for module in ("jobs.run_window.localize_block", "jobs.run_series.run_events"):
        monkeypatch.setattr(f"napari_ulm3d.plugin.{module}", None)

    def settled() -> None:
        qtbot.waitUntil(lambda: linked_as_set(session))
        idle(qtbot, panel)

    scores = computed.localizations.table["score"]
    least = round(float(scores.quantile(0.5)), 3)
    enter(panel.network_form.controls["min_score"], str(least))
    settled()
    table = computed.localizations.table
    some = Localizations(table[table["score"] >= least].reset_index(drop=True))
    assert 0 < len(some) < len(computed.localizations)
    pd.testing.assert_frame_equal(session.result.localizations.table, some.table)
    expected = link(some, 260.0, session.config.link)
    pd.testing.assert_frame_equal(session.result.tracks.table, expected.table)
    enter(panel.link_form.controls["min_length_frames"], "4")
    settled()
    expected = link(some, 260.0, session.config.link)
    pd.testing.assert_frame_equal(session.result.tracks.table, expected.table)
    # And back: what was computed is not lost.
    enter(panel.network_form.controls["min_score"], "0.3")
    settled()
    assert len(session.result.localizations) == len(computed.localizations)
    assert session.result.config.network.min_score == 0.3
    assert panel.problem.text() == ""


def test_a_trajectory_volume_is_drawn(loaded: Any, qtbot: Any, tmp_path: Path) -> None:
    torch.manual_seed(1)
    model = build(
        "SparseDeepSTULM",
        {"space_axes": 3, "channels": 4, "input_kernel": 3, "convolutions": 1, "separable": True,
         "time_pools": (2, 2), "transition_pool": 2, "doublings": 1, "pruning": False,
         "deep_supervision": False},
    )  # fmt: skip
    path = tmp_path / "trajectories.safetensors"
    save_weights(path, model.eval())
    session = session_of(loaded)
    session.change("network", trajectory_score=0.3)
    maps = dock(loaded, "Vessel maps")
    panel = dock(loaded, "Localize & track")
    choose(panel.form.controls["localizer"], "trajectory")
    enter(panel.network_form.controls["weights"], str(path))
    click(panel.block_button)
    idle(qtbot, panel, maps)
    assert panel.problem.text() == ""
    drawn = session.result.maps["trajectory"]
    assert len(drawn.index)
    assert maps.which.currentData() == "trajectory"
    layer = find_layer(loaded, "map")
    np.testing.assert_array_equal(layer.data, drawn.dense())
    np.testing.assert_allclose(layer.scale, drawn.grid.spacing_um)


@pytest.mark.slow
def test_colours_of_tracks_are_set_and_kept(loaded: Any, qtbot: Any) -> None:
    panel = dock(loaded, "Localize & track")
    click(panel.series_button)
    idle(qtbot, panel)
    colours = panel.colours
    from napari_ulm3d.plugin.controls.section import Section

    for section in panel.findChildren(Section):
        section.expand()
    QApplication.processEvents()
    assert "all" in colours.drawn.text()
    choose(colours.by, "Direction (-1 up, 1 deeper)")
    colours.by.activated.emit(colours.by.currentIndex())
    layer = find_layer(loaded, "tracks")
    assert layer.color_by == "direction"
    assert (layer.metadata[COLOURING].low, layer.metadata[COLOURING].high) == (-1, 1)
    choose(colours.by, "Speed (mm/s)")
    colours.by.activated.emit(colours.by.currentIndex())
    enter(colours.high, "7.5")
    assert find_layer(loaded, "tracks").metadata[COLOURING].high == 7.5
    enter(panel.link_form.controls["max_speed_mm_s"], "12")  # links again by itself
    qtbot.waitUntil(lambda: linked_as_set(session_of(loaded)))
    idle(qtbot, panel)
    assert find_layer(loaded, "tracks").metadata[COLOURING].high == 7.5
    click(colours.reset)
    kept = find_layer(loaded, "tracks").metadata[COLOURING]
    assert kept.high != 7.5
    assert not kept.chosen


@pytest.mark.slow
def test_from_the_sample_to_an_export_and_the_same_by_the_command_line(
    viewer: Any, weights: Path, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_ulm3d.cli import main

    session = open_sample(viewer)
    session.change("maps", resolution_factor=4.0)
    session.change("link", min_length_frames=3)
    image = viewer.layers[0]
    sparsify = dock(viewer, "Sparsify")
    idle(qtbot, sparsify)
    drag(sparsify.histogram, 0, 0.3)
    assert session.config.sparsify.threshold == pytest.approx(0.3, abs=0.02)
    panel = dock(viewer, "Localize & track")
    by_network(panel, weights)
    click(panel.window_button)  # a window first, to try
    idle(qtbot, panel)
    assert panel.problem.text() == ""
    assert session.result.n_frames == 32
    assert session.result.frames[1] == 200  # its block ends there
    out = tmp_path / "by_widget"
    enter(panel.folder, str(out))
    click(panel.series_button)
    idle(qtbot, panel)
    assert panel.problem.text() == ""
    tracks, grid = find_layer(viewer, "tracks"), session.acquisition.grid
    np.testing.assert_allclose(tracks.scale, (1 / 260, 1, 1, 1))
    np.testing.assert_allclose(find_layer(viewer, "map").scale, grid.isotropic(4.0).spacing_um)
    border = np.asarray(grid.spacing_um) / 2  # a bubble lies within its voxel
    assert (tracks.extent.world[0][-3:] >= image.extent.world[0][-3:] - border - 1e-6).all()
    assert (tracks.extent.world[1][-3:] <= image.extent.world[1][-3:] + border + 1e-6).all()
    maps = dock(viewer, "Vessel maps")
    idle(qtbot, maps)
    whole = session.result.tracks
    enter(maps.filters.length, "5")
    idle(qtbot, maps)
    lengths = whole.table.groupby("track_id").size()
    assert 0 < session.shown.tracks.n_tracks == (lengths >= 5).sum() < whole.n_tracks

    export = dock(viewer, "Export")
    for what, suffix in (("tracks", ".csv"), ("density", ".ome.tif")):
        choose(export.what, what)
        save_as(str(tmp_path / f"{what}{suffix}"))
        click(export.export_button)
        idle(qtbot, export)
        assert export.problem.text() == ""
    filtered = read_table(tmp_path / "tracks.csv", Tracks)
    assert filtered.n_tracks == session.shown.tracks.n_tracks
    exported = read_map(tmp_path / "density.ome.tif")
    np.testing.assert_array_equal(exported.values, session.shown.maps["density"].values)
    viewer.open(str(tmp_path / "tracks.csv"), plugin="napari-ulm3d")
    reopened = viewer.layers[-1]
    assert reopened.metadata["ulm3d"].n_tracks == filtered.n_tracks
    np.testing.assert_allclose(reopened.scale, tracks.scale)

    monkeypatch.chdir(tmp_path)
    words = shlex.split(export.line.toPlainText())
    words[words.index("--out") + 1] = str(tmp_path / "by_line")
    assert main(words[1:]) == 0
    mine, theirs = (ResultsFolder.open(folder) for folder in (out, tmp_path / "by_line"))
    pd.testing.assert_frame_equal(mine.localizations().table, theirs.localizations().table)
    pd.testing.assert_frame_equal(mine.tracks().table, theirs.tracks().table)
    np.testing.assert_array_equal(mine.map("density").values, theirs.map("density").values)
