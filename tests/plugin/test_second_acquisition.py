"""Another acquisition is opened after the first: nothing of the first is left in its way."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari")
pytest.importorskip("pytestqt")
pytest.importorskip("qtpy.QtCore", exc_type=ImportError)

from plugin_hands import PLUGIN, add, click, dock, idle

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.plugin.layers.place import find_layer
from napari_ulm3d.plugin.session import session_of


@pytest.mark.slow
def test_the_first_is_hidden_the_view_fits_and_settings_can_be_reset(
    loaded: Any, flow: Any, qtbot: Any
) -> None:
    session = session_of(loaded)
    panel = dock(loaded, "Localize & track")
    click(panel.series_button)
    idle(qtbot, panel)
    load = dock(loaded, "Load acquisition")
    assert not load.reset_offer.isVisible()
    old = [*loaded.layers]
    first = session.acquisition
    assert first is not None
    frames = flow.acquisition.read(0, 60)[:, :10, :8, :8]
    new = add(loaded, Acquisition.from_array(frames, (50.0, 50.0, 50.0), 500.0, name="second"))
    idle(qtbot, panel, load)
    assert [layer for layer in loaded.layers if layer.visible] == [new]
    assert all(layer.name.startswith(first.name) for layer in old)
    assert loaded.dims.ndisplay == 2
    height = new.extent.world[1, 1] - new.extent.world[0, 1]
    seen = height * loaded.scene.camera.zoom
    width = (new.extent.world[1, 3] - new.extent.world[0, 3]) * loaded.scene.camera.zoom
    rows, columns = loaded.canvas.size
    assert max(seen / rows, width / columns) == pytest.approx(0.9, abs=0.02)
    # Its own run makes layers of its own, and leaves the hidden ones as they are.
    before = [layer.data.shape for layer in old if hasattr(layer.data, "shape")]
    assert load.reset_offer.isVisible()
    assert "clutter.svd_range" in load.reset_offer.text.text()
    click(load.reset_offer.button)
    assert session.config.clutter == PipelineConfig().clutter
    assert not load.reset_offer.isVisible()
    click(panel.frame_button)
    idle(qtbot, panel)
    assert find_layer(loaded, "localizations") not in old
    assert [layer.data.shape for layer in old if hasattr(layer.data, "shape")] == before


def test_layers_of_the_first_are_not_offered_as_somebody_elses(
    viewer: Any, flow: Any, qtbot: Any
) -> None:
    frames = flow.acquisition.read(0, 20)
    panel = dock(viewer, "Load acquisition")
    add(viewer, Acquisition.from_array(frames, (50.0, 50.0, 50.0), 500.0, name="A"))
    theirs = viewer.add_image(np.abs(frames), name="theirs")
    offered = panel.from_layer.layers
    assert [offered.itemText(k) for k in range(offered.count())] == ["theirs"]
    add(viewer, Acquisition.from_array(frames, (60.0, 60.0, 60.0), 500.0, name="B"))
    panel = dock(viewer, "Load acquisition")
    theirs.name = "theirs, renamed"
    assert [offered.itemText(k) for k in range(offered.count())] == ["theirs, renamed"]
    click(panel.from_layer.use_button)
    idle(qtbot, panel)
    assert "Fill in Voxel size and Frame rate" in panel.problem.text()


@pytest.mark.slow
def test_frames_of_a_reopened_run_come_to_its_result(
    viewer: Any, flow: Any, folder_of: Any, qtbot: Any, tmp_path: Path
) -> None:
    from napari_ulm3d.io import open_acquisition
    from napari_ulm3d.pipeline import run

    source = str(folder_of(flow.acquisition))
    config = PipelineConfig().with_settings(["clutter.svd_range=4,60", "maps.resolution_factor=3"])
    run(open_acquisition(source), config, out=tmp_path / "out")
    viewer.open(str(tmp_path / "out"), plugin=PLUGIN)
    session = session_of(viewer)
    qtbot.waitUntil(lambda: session.result is not None)
    created = session.history.entries[0].created
    result = session.result
    viewer.open(source, plugin=PLUGIN)
    qtbot.waitUntil(lambda: session.acquisition is not None)
    assert session.result is result
    assert find_layer(viewer, "map") is not None
    viewer.open(str(tmp_path / "out"), plugin=PLUGIN)
    qtbot.waitUntil(lambda: session.result is not result)
    assert [entry.created for entry in session.history.entries] == [created]


def test_a_picture_of_any_width_is_the_view(loaded: Any, qtbot: Any, tmp_path: Path) -> None:
    import matplotlib.image

    panel = dock(loaded, "Export")
    zoom = loaded.scene.camera.zoom
    shares = []
    for width in (400, 1600):
        panel.picture.width_px.setValue(width)
        path = tmp_path / f"{width}.png"
        panel.picture.save(str(path))
        idle(qtbot, panel)
        picture = matplotlib.image.imread(path)[..., :3].max(axis=-1)
        assert picture.shape[1] == width
        shares.append(float((picture > 0.3).mean()))
    assert shares[1] == pytest.approx(shares[0], rel=0.25)
    np.testing.assert_allclose(loaded.scene.camera.zoom, zoom)


def test_the_offer_to_reset_is_in_view_whichever_step_is_open(
    viewer: Any, flow: Any, qtbot: Any
) -> None:
    viewer.window.resize(1366, 740)
    panel = dock(viewer, "ULM workflow")
    session = session_of(viewer)
    frames = flow.acquisition.read(0, 20)
    add(viewer, Acquisition.from_array(frames, (50.0, 50.0, 50.0), 500.0, name="A"))
    session.change("sparsify", threshold=0.4)
    panel.open("Export")
    add(viewer, Acquisition.from_array(frames, (60.0, 60.0, 60.0), 500.0, name="B"))
    offer = panel.panels["Load"].reset_offer
    qtbot.waitUntil(lambda: not offer.button.visibleRegion().isEmpty())
    assert "Settings kept from A: sparsify.threshold" in offer.text.text()
    click(offer.button)
    assert session.config.sparsify == PipelineConfig().sparsify
    assert not offer.isVisible()


def test_a_layer_can_be_used_without_scrolling_and_what_it_lacks_is_in_view(
    viewer: Any, flow: Any, qtbot: Any
) -> None:
    viewer.window.resize(1366, 740)
    viewer.add_image(np.abs(flow.acquisition.read(0, 20)), name="theirs")
    load = dock(viewer, "ULM workflow").open("Load")
    use = load.from_layer.use_button
    qtbot.waitUntil(lambda: not use.visibleRegion().isEmpty())
    click(use)
    idle(qtbot, load)
    assert "Fill in Voxel size and Frame rate below" in load.problem.text()
    for part in (load.problem, load.form.controls["voxel_um"].boxes[0]):
        qtbot.waitUntil(lambda part=part: not part.visibleRegion().isEmpty())
