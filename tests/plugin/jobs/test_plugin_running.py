"""Localize & track, maps and export, by mouse and keyboard; nothing blocks, nothing is lost."""

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

from plugin_hands import add, choose, click, dock, enter, idle, save_as
from qtpy.QtWidgets import QApplication

from napari_ulm3d.acquisition import Acquisition, Grid
from napari_ulm3d.io.results import ResultsFolder
from napari_ulm3d.io.writers import read_map, read_table
from napari_ulm3d.link import link
from napari_ulm3d.maps import accumulate
from napari_ulm3d.pipeline import run
from napari_ulm3d.plugin.controls.section import Section
from napari_ulm3d.plugin.jobs.progress import Progress
from napari_ulm3d.plugin.layers.place import find_layer
from napari_ulm3d.plugin.panels.parts.localize.run_progress import RunProgress
from napari_ulm3d.plugin.session import session_of
from napari_ulm3d.tables import Localizations, Tracks


@pytest.fixture
def loaded(viewer: Any, flow: Any, folder_of: Any) -> Any:
    """A viewer with the small flow, opened from a folder, in three blocks."""
    folder = folder_of(flow.acquisition)
    viewer.open(str(folder), plugin="napari-ulm3d")
    QApplication.processEvents()
    session = session_of(viewer)
    session.change("load", frames_per_block=20)
    session.change("clutter", svd_range=(2, 200))
    session.change("maps", resolution_factor=4.0)
    return viewer


def test_the_whole_series_is_the_pipelines(
    loaded: Any, flow: Any, qtbot: Any, tmp_path: Path
) -> None:
    panel = dock(loaded, "Localize & track")
    out = tmp_path / "results"
    enter(panel.folder, str(out))
    click(panel.series_button)
    assert panel.cancel_button.isEnabled()
    assert not panel.series_button.isEnabled()
    idle(qtbot, panel)
    assert panel.problem.text() == ""
    session = session_of(loaded)
    expected = run(session.acquisition, session.config)
    assert len(expected.tracks)
    result = session.result
    pd.testing.assert_frame_equal(result.tracks.table, expected.tracks.table)
    pd.testing.assert_frame_equal(result.localizations.table, expected.localizations.table)
    np.testing.assert_array_equal(result.maps["density"].values, expected.maps["density"].values)
    layer = find_layer(loaded, "tracks")
    np.testing.assert_allclose(layer.scale, (1 / 260, 1, 1, 1))
    assert len(layer.data) == len(expected.tracks)
    assert len(find_layer(loaded, "localizations").data) == len(expected.localizations)
    assert find_layer(loaded, "map").data.sum() == expected.maps["density"].values.sum()
    assert ResultsFolder.open(out).complete
    assert "tracks" in panel.status.text()


def test_a_frame_and_a_block(loaded: Any, qtbot: Any) -> None:
    panel = dock(loaded, "Localize & track")
    session = session_of(loaded)
    loaded.dims.set_point(0, 30 / 260.0)
    whole = run(session.acquisition, session.config)
    click(panel.frame_button)
    idle(qtbot, panel)
    found = session.result.localizations.table
    rows = whole.localizations.table
    expected = rows[rows["frame"] == 30].reset_index(drop=True)
    assert set(found["frame"]) == {30}
    pd.testing.assert_frame_equal(found, expected)
    click(panel.block_button)
    idle(qtbot, panel)
    found = session.result.localizations.table
    expected = rows[rows["frame"].between(20, 39)].reset_index(drop=True)
    pd.testing.assert_frame_equal(found, expected)
    assert session.result.scope == "block 1"


@pytest.mark.slow
def test_linking_again_does_not_localize_again(
    loaded: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = dock(loaded, "Localize & track")
    click(panel.series_button)
    idle(qtbot, panel)
    session = session_of(loaded)
    before = session.result
    monkeypatch.setattr("napari_ulm3d.localize.conventional.detect_maxima", None)
    enter(panel.link_form.controls["max_speed_mm_s"], "4.6")
    click(panel.relink_button)
    idle(qtbot, panel)
    assert panel.problem.text() == ""
    assert session.result.localizations is before.localizations
    expected = link(before.localizations, 260.0, session.config.link)
    pd.testing.assert_frame_equal(session.result.tracks.table, expected.table)
    assert not expected.table.equals(before.tracks.table)


@pytest.mark.slow
def test_a_stopped_folder_goes_on_where_it_stopped(loaded: Any, qtbot: Any, tmp_path: Path) -> None:
    session = session_of(loaded)
    out = tmp_path / "results"
    events = iter(
        __import__("napari_ulm3d.pipeline", fromlist=["x"]).run_events(
            session.acquisition, session.config, out
        )
    )
    while type(next(events)).__name__ != "BlockFinished":
        pass
    events.close()
    panel = dock(loaded, "Localize & track")
    enter(panel.folder, str(out))
    n_done = len(list((out / "blocks").glob("*.npz")))
    assert panel.series_button.text() == f"Resume ({n_done} of 3 blocks done)"
    click(panel.series_button)
    idle(qtbot, panel)
    assert panel.problem.text() == ""
    assert ResultsFolder.open(out).complete
    assert panel.series_button.text() == "Whole series"
    click(panel.series_button)  # a finished run is not written over
    idle(qtbot, panel)
    assert "already contains a finished run" in panel.problem.text()


@pytest.mark.slow
def test_a_broken_file_is_left_out_and_named(
    viewer: Any, flow: Any, folder_of: Any, qtbot: Any
) -> None:
    folder = folder_of(flow.acquisition, n_files=3)
    viewer.open(str(folder), plugin="napari-ulm3d")
    QApplication.processEvents()
    second = folder / "IQ002.npy"
    second.write_bytes(second.read_bytes()[:3000])
    panel = dock(viewer, "Localize & track")
    click(panel.series_button)
    idle(qtbot, panel)
    (left_out,) = (row for row in panel.status.text().split("\n") if row.startswith("skipped"))
    assert "IQ002.npy" in left_out
    assert [block.index for block in session_of(viewer).result.failed] == [1]
    assert set(session_of(viewer).result.localizations.frames) <= {*range(20), *range(40, 60)}
    assert panel.series_button.isEnabled()


@pytest.mark.slow
def test_maps_follow_the_filters(loaded: Any, qtbot: Any) -> None:
    session = session_of(loaded)
    maps = dock(loaded, "Vessel maps")
    panel = dock(loaded, "Localize & track")
    click(panel.series_button)
    idle(qtbot, panel, maps)
    result = session.result
    layer = find_layer(loaded, "map")
    assert layer.data.sum() == result.maps["density"].values.sum()
    assert layer.colorbar.visible

    scores = result.tracks.table.groupby("track_id")["score"].mean()
    cut = round(float(scores.median()), 3)
    enter(maps.filters.score, str(cut))
    idle(qtbot, maps)
    kept = scores.index[scores >= cut]
    assert 0 < len(kept) < len(scores)
    table = result.tracks.table
    some = Tracks(table[table["track_id"].isin(kept)].reset_index(drop=True))
    expected = accumulate(some, result.grid, session.config.maps)
    np.testing.assert_array_equal(find_layer(loaded, "map").data, expected["density"].dense())
    assert f"{len(kept)} of {len(scores)} tracks" in maps.status.text()
    assert session.shown.tracks.n_tracks == len(kept)

    choose(maps.which, "Axial velocity (mm/s)")
    idle(qtbot, maps)
    layer = find_layer(loaded, "map")
    np.testing.assert_array_equal(layer.data, expected["velocity_z"].dense())
    low, high = layer.contrast_limits
    assert low == -high
    assert not maps.looks.gamma.isEnabled()  # or zero would not stay in the middle
    choose(maps.looks.colours, "PiYG")
    colours = find_layer(loaded, "map").colormap
    assert colours.name.startswith("PiYG")
    assert colours.map(0.5)[0, 3] == 0  # empty voxels are clear
    choose(maps.which, "Density (tracks per voxel)")
    idle(qtbot, maps)
    enter(maps.looks.gamma, "1.5")
    assert find_layer(loaded, "map").gamma == 1.5
    enter(maps.form.controls["resolution_factor"], "2")
    idle(qtbot, maps)
    np.testing.assert_allclose(find_layer(loaded, "map").scale, 50.0)


@pytest.mark.slow
def test_export_and_the_same_run_from_the_command_line(
    loaded: Any, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:

    from napari_ulm3d.cli import main

    panel = dock(loaded, "Localize & track")
    export = dock(loaded, "Export")
    assert not export.export_button.isEnabled()
    click(panel.series_button)
    idle(qtbot, panel)
    target = tmp_path / "tracks.csv"
    choose(export.what, "tracks")
    save_as(str(target))
    click(export.export_button)
    idle(qtbot, export)
    assert str(target) in export.status.text()
    choose(export.what, "density")
    save_as(str(tmp_path / "density"))
    click(export.export_button)
    idle(qtbot, export)

    monkeypatch.chdir(tmp_path)
    words = shlex.split(export.line.toPlainText())
    assert main(words[1:]) == 0
    by_line = ResultsFolder.open(tmp_path / "results")
    pd.testing.assert_frame_equal(
        read_table(target, Tracks).table, by_line.tracks().table, check_exact=True
    )
    mine, theirs = read_map(tmp_path / "density.ome.tif"), by_line.map("density")
    assert mine.grid == theirs.grid
    np.testing.assert_array_equal(mine.values, theirs.values)
    assert len(by_line.localizations()) == len(session_of(loaded).result.localizations)


def test_the_view_is_saved_as_a_picture_of_any_width(
    loaded: Any, qtbot: Any, tmp_path: Path
) -> None:
    from matplotlib.image import imread

    export = dock(loaded, "Export")
    enter(export.picture.width_px, "640")
    click(export.picture.preview_button)
    (shown,) = export.picture.preview.pictures
    assert shown.shape[1] == 640
    export.picture.save(str(tmp_path / "view.png"))
    idle(qtbot, export)
    assert export.problem.text() == ""
    written = (255 * imread(tmp_path / "view.png")[..., :3]).round().astype(np.uint8)
    np.testing.assert_array_equal(written, shown)
    export.picture.save(str(tmp_path / "no" / "such" / "view.png"))
    idle(qtbot, export)
    assert "does not exist. Create it first" in export.problem.text()


def test_settings_are_saved_and_loaded(loaded: Any, tmp_path: Path) -> None:
    session = session_of(loaded)
    session.change("link", max_speed_mm_s=12.5)
    session.config.to_toml(tmp_path / "mine.toml")
    clutter = dock(loaded, "Clutter & PSF")
    session.reset_config()
    assert session.config.link.max_speed_mm_s is None
    assert clutter.form.controls["svd_range"].boxes[0].value() is None  # found on the data
    session.load_config(tmp_path / "mine.toml")
    assert session.config.link.max_speed_mm_s == 12.5
    assert clutter.form.controls["svd_range"].boxes[0].value() == 2


def test_empty_results_are_no_error(viewer: Any, qtbot: Any) -> None:
    frames = np.zeros((30, 8, 8, 8), np.complex64)
    frames[:] = np.random.default_rng(0).normal(size=frames.shape) * 1e-3
    add(viewer, Acquisition.from_array(frames, (100, 100, 100), 100.0))
    session = session_of(viewer)
    session.change("clutter", svd_range=(2, 200))
    session.change("localize", min_snr_db=60.0)
    maps = dock(viewer, "Vessel maps")
    panel = dock(viewer, "Localize & track")
    click(panel.series_button)
    idle(qtbot, panel, maps)
    assert panel.problem.text() == ""
    assert isinstance(session.result.localizations, Localizations)
    assert len(session.result.localizations) == 0
    assert session.result.grid == Grid((8, 8, 8), (100, 100, 100))


@pytest.mark.long
@pytest.mark.slow
def test_workers_make_the_run_of_one_process(loaded: Any, qtbot: Any, tmp_path: Path) -> None:
    """Two workers asked for in the folded-away field, on a series of three blocks."""
    pytest.importorskip("distributed")
    panel = dock(loaded, "Localize & track")
    (section,) = (one for one in panel.findChildren(Section) if one.title.text() == "Workers")
    assert not panel.workers.isVisible()
    click(section.title)
    assert panel.workers.isVisible()
    enter(panel.workers.fields["workers"], "many")
    click(panel.series_button)
    assert "workers" in panel.problem.text()
    assert panel.series_button.isEnabled()
    enter(panel.workers.fields["workers"], "2")
    click(panel.series_button)
    qtbot.waitUntil(lambda: "2 workers running" in panel.cluster.text())
    assert panel.cluster.isVisible()
    idle(qtbot, panel)
    assert panel.problem.text() == ""
    session = session_of(loaded)
    expected = run(session.acquisition, session.config)
    assert len(expected.tracks)
    pd.testing.assert_frame_equal(session.result.tracks.table, expected.tracks.table)
    pd.testing.assert_frame_equal(session.result.localizations.table, expected.localizations.table)


@pytest.mark.slow
def test_the_bar_moves_within_a_block(
    loaded: Any, flow: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "napari_ulm3d.pipeline.localizers.chunks._CHUNK_BYTES", 10 * flow.frames[0].nbytes
    )
    monkeypatch.setattr("napari_ulm3d.pipeline.executors.throttled", lambda tell: tell)
    session_of(loaded).change("load", frames_per_block=60)  # one block
    panel = dock(loaded, "Localize & track")
    values: list[int] = []
    panel.bar.valueChanged.connect(values.append)
    texts: list[str] = []
    panel._job.progressed.connect(lambda progress: texts.append(progress.text(1.0)))
    click(panel.series_button)
    idle(qtbot, panel)
    assert {167, 333, 500, 667, 833} <= set(values)
    assert any("20 of 60 frames" in text and "left" in text for text in texts)


@pytest.mark.slow
def test_a_setting_changed_during_a_run_is_said(loaded: Any, qtbot: Any, tmp_path: Path) -> None:
    panel = dock(loaded, "Localize & track")
    session = session_of(loaded)
    enter(panel.folder, str(tmp_path / "out"))
    click(panel.series_button)
    assert panel.changed.text() == ""
    session.change("link", min_length_frames=61)  # while it runs; no track is that long
    assert "link.min_length_frames" in panel.changed.text()
    assert "not used in it" in panel.changed.text()
    idle(qtbot, panel)
    assert ResultsFolder.open(tmp_path / "out").tracks().n_tracks == session.result.tracks.n_tracks


def test_a_first_run_says_that_it_compiles(
    qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path))
    progress = RunProgress(lambda: None)
    qtbot.addWidget(progress)
    progress.begin()
    progress.show_progress(Progress("Calibrating"))
    assert progress.status.text().startswith("Calibrating…")
    assert "compiles" in progress.status.text()
    progress.show_progress(Progress("Localizing", 0.5, 10, 20))
    assert "compiles" not in progress.status.text()
    (tmp_path / "link").mkdir()
    (tmp_path / "link" / "assign.nbi").touch()  # what a run leaves
    progress.begin()
    progress.show_progress(Progress("Calibrating"))
    assert progress.status.text() == "Calibrating…"
