"""What is seen after a run, a reopened run, and a results folder that is opened or dropped."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari")
pytest.importorskip("pytestqt")
pytest.importorskip("qtpy.QtCore", exc_type=ImportError)

from plugin_hands import PLUGIN, add, choose, click, dock, drop, enter, idle
from test_plugin_core import tracks_table

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.pipeline import run
from napari_ulm3d.plugin.jobs.run_series import outcome_of, result_of
from napari_ulm3d.plugin.layers.place import find_layer, place
from napari_ulm3d.plugin.session import session_of
from napari_ulm3d.plugin.state.saved_results import mapped
from napari_ulm3d.tables import Localizations, Tracks


def assert_map_alone(viewer: Any, ndisplay: int = 3) -> None:
    """The map fills the view with one titled colour bar; nothing else of ours is seen."""
    layer = find_layer(viewer, "map")
    assert [one for one in viewer.layers if one.visible] == [layer]
    assert viewer.dims.ndisplay == ndisplay
    assert layer.rendering == "mip"
    assert layer.colormap.name.startswith("hot")
    assert layer.colorbar.visible
    assert layer.name_overlay.visible
    assert "density" in layer.name
    assert viewer.canvas.overlays.scale_bar.visible
    middle = np.mean(layer.extent.world, axis=0)
    shown = list(viewer.dims.displayed)[-ndisplay:]
    centre = np.array(viewer.scene.camera.center)[-ndisplay:]
    offset = viewer.dims.ndim - 3
    np.testing.assert_allclose(centre, [middle[k - offset] for k in shown], rtol=0.05)
    if ndisplay == 3:  # depth runs downwards, whatever was looked at before
        assert [k - offset for k in shown] == [1, 0, 2]
        assert viewer.scene.camera.up_direction[1] < -0.9


@pytest.fixture(scope="module")
def results(flow: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder of the small flow."""
    out = tmp_path_factory.mktemp("run") / "results"
    config = PipelineConfig().with_settings(["clutter.svd_range=4,60", "maps.resolution_factor=4"])
    run(flow.acquisition, config, out=out)
    return out


@pytest.mark.slow
def test_after_a_run_and_when_it_is_reopened(loaded: Any, qtbot: Any, tmp_path: Path) -> None:
    panel = dock(loaded, "Localize & track")
    enter(panel.folder, str(tmp_path / "out"))
    click(panel.series_button)
    idle(qtbot, panel)
    assert_map_alone(loaded)
    # A person looks at the frames and the tracks again, and comes back by the button.
    loaded.dims.ndisplay = 2
    for layer in loaded.layers:
        layer.visible = True
    maps = dock(loaded, "Vessel maps")
    idle(qtbot, maps)
    click(maps.show_button)
    assert_map_alone(loaded)
    loaded.dims.ndisplay = 2
    history = dock(loaded, "Run history")
    history.runs.selectRow(0)
    click(history.reopen_button)
    idle(qtbot, history, maps)
    assert_map_alone(loaded)


@pytest.mark.slow
def test_a_view_that_shows_the_map_is_left_alone(loaded: Any, qtbot: Any) -> None:
    panel = dock(loaded, "Localize & track")
    click(panel.series_button)
    idle(qtbot, panel)
    loaded.scene.camera.angles = (10, -35, 60)
    click(panel.series_button)
    idle(qtbot, panel)
    np.testing.assert_allclose(loaded.scene.camera.angles, (10, -35, 60), atol=1e-6)
    click(panel.frame_button)  # a frame is looked at where it was found
    loaded.dims.ndisplay = 2
    idle(qtbot, panel)
    assert loaded.dims.ndisplay == 2


@pytest.mark.parametrize("by", [pytest.param("open", marks=pytest.mark.slow), "drop"])
def test_a_results_folder_is_the_run_again(
    viewer: Any, qtbot: Any, results: Path, by: str, ours_reads: None
) -> None:
    session = session_of(viewer)
    for _ in range(2):  # the second replaces the first
        if by == "open":
            viewer.open(str(results), plugin=PLUGIN)
        else:
            drop(viewer, [results])
        qtbot.waitUntil(lambda: find_layer(viewer, "localizations") is not None)
        qtbot.waitUntil(lambda: viewer.dims.ndisplay == 3)
        idle(qtbot)
    assert_map_alone(viewer)
    roles = [layer.metadata["ulm3d_role"] for layer in viewer.layers]
    assert sorted(roles) == ["localizations", "map", "tracks"]
    assert session.result is not None
    assert session.result.folder == results
    assert session.config.clutter.svd_range == (4, 60)


def test_a_plane_is_shown_as_a_plane(viewer: Any, flow: Any, qtbot: Any) -> None:
    plane = flow.acquisition.read(0, 60)[:, :, :1, :]
    acquisition = Acquisition.from_array(plane, flow.acquisition.grid.spacing_um, 260.0)
    add(viewer, acquisition)
    tracks = tracks_table([20], [3.0], 260.0)
    table = tracks.table.assign(y_um=0.0)
    result = result_of(
        acquisition, PipelineConfig(), Localizations.empty(), Tracks(table), "whole series"
    )
    outcome = outcome_of(mapped(result))
    for layer in outcome.layers:
        place(viewer, layer)
    session_of(viewer).set_result(outcome.result)
    qtbot.waitUntil(lambda: not viewer.layers[0].visible)
    assert_map_alone(viewer, ndisplay=2)
    assert tuple(viewer.dims.displayed) == (1, 3)


@pytest.mark.slow
def test_all_tracks_or_those_of_the_last_frames(loaded: Any, qtbot: Any) -> None:
    panel = dock(loaded, "Localize & track")
    click(panel.series_button)
    idle(qtbot, panel)
    layer, box = find_layer(loaded, "tracks"), panel.colours.span
    n_frames = int(layer.data[:, 1].max()) + 1

    def seen(frame: int) -> bool:
        """Whether napari's shader draws a point of this frame almost in full."""
        now = loaded.dims.point[0] * 260.0
        tail, head = layer.tail_length, layer.head_length
        return bool(frame <= now + head and 1 - (head + now - frame) / (tail + head) > 0.97)

    loaded.dims.set_point(0, 20 / 260.0)
    assert loaded.dims.ndisplay == 3
    assert all(seen(frame) for frame in range(n_frames))
    loaded.dims.ndisplay = 2
    assert layer.tail_length == 30
    assert not seen(40)
    qtbot.waitUntil(lambda: box.which.currentText() == "last frames")
    choose(box.which, "all tracks")
    box.which.activated.emit(0)
    assert all(seen(frame) for frame in range(n_frames))
    choose(box.which, "last frames")
    box.which.activated.emit(1)
    enter(box.frames, "1200")  # more than napari's own slider offers
    assert layer.tail_length == 1200
    loaded.dims.ndisplay = 3  # what a person chose stays, also when tracks are made anew
    click(panel.relink_button)
    idle(qtbot, panel)
    assert find_layer(loaded, "tracks").tail_length == 1200
    assert box.frames.value() == 1200


def test_the_sample_is_small_and_ready(viewer: Any, qtbot: Any) -> None:
    from napari_ulm3d.simulate.sample_map import sample_map_config, sample_map_path

    folder = sample_map_path()
    assert sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) < 5_000_000
    panel = dock(viewer, "ULM workflow")
    click(panel.sample_button)  # the third click, after the two of the menu
    assert panel.sample_button.text() == "Opening…"
    qtbot.waitUntil(lambda: session_of(viewer).result is not None and viewer.dims.ndisplay == 3)
    assert_map_alone(viewer)
    result = session_of(viewer).result
    assert result is not None
    assert result.grid.shape == sample_map_config().grid.shape
    assert result.tracks.n_tracks > 5_000
    assert panel.next_button.text() == "Show vessel map"
    qtbot.waitUntil(panel.sample_button.isEnabled)
    assert panel.sample_button.text() == "Open the sample"


@pytest.mark.slow
def test_the_sample_is_computed_anew_by_a_click(
    viewer: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_ulm3d.simulate import sample_map

    whole = sample_map.sample_map_config()
    short = whole.replace(n_frames=40, bubbles=whole.bubbles.replace(n_bubbles=20))
    monkeypatch.setattr(sample_map, "sample_map_config", lambda: short)
    panel = dock(viewer, "ULM workflow")
    assert not panel.anew_button.isVisible()
    click(panel.sample_button)
    session = session_of(viewer)
    qtbot.waitUntil(lambda: session.result is not None and viewer.dims.ndisplay == 3)
    stored = session.result
    assert panel.anew_button.isVisible()
    click(panel.anew_button)
    qtbot.waitUntil(lambda: session.result is not stored)
    idle(qtbot, panel)
    result = session.result
    assert result.folder is None
    assert result.n_frames == 40
    assert session.acquisition is not None
    assert len(result.localizations) > 100
    assert_map_alone(viewer)
    assert panel.accordion.opened == "Localize & track"
    assert not panel.anew_button.isVisible()


def test_the_button_of_the_next_step_opens_what_was_chosen(
    viewer: Any, qtbot: Any, flow: Any, folder_of: Any
) -> None:
    panel = dock(viewer, "ULM workflow")
    load = panel.panels["Load"]
    enter(load.path, str(folder_of(flow.acquisition, sidecar=False)))
    idle(qtbot, panel)
    assert panel.next_button.text() == "Choose a folder…"  # this one lacks its scale and rate
    enter(load.form.controls["voxel_um"], "100")
    enter(load.form.controls["rate_hz"], "260")
    qtbot.waitUntil(lambda: panel.next_button.text() == "Open these files")
    click(panel.next_button)
    qtbot.waitUntil(lambda: session_of(viewer).acquisition is not None)
    qtbot.waitUntil(lambda: panel.next_button.text() == "Make the map")


@pytest.mark.slow
def test_one_step_is_open_at_a_time_and_all_fit(loaded: Any, qtbot: Any) -> None:
    loaded.window.resize(1366, 740)
    panel = dock(loaded, "ULM workflow")
    idle(qtbot, panel)
    for title, step in panel.sections.items():
        assert step.expanded == (title == "Load")
    assert panel.next_button.text() == "Make the map"
    for title in ("Vessel maps", "Clutter & PSF", "Export"):
        click(panel.sections[title].title)
        idle(qtbot, panel)
        assert panel.accordion.opened == title
        assert [t for t, step in panel.sections.items() if step.expanded] == [title]
        assert panel.sections["Log"].title.isVisible()
    assert loaded.window._qt_window.height() <= 768
    click(panel.next_button)
    bar = panel.panels["Localize & track"].bar  # how far it is, on a small screen too
    qtbot.waitUntil(lambda: not bar.visibleRegion().isEmpty())
    idle(qtbot, panel)
    assert panel.accordion.opened == "Localize & track"
    assert_map_alone(loaded)
