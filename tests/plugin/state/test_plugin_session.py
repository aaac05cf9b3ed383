"""A session that is saved comes back: by its folder, by its file, dropped or opened."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari")
pytest.importorskip("pytestqt")
pytest.importorskip("qtpy.QtCore", exc_type=ImportError)

from plugin_hands import PLUGIN, Pointer, choose, click, dock, drop, enter, idle, save_as
from qtpy.QtWidgets import QApplication

from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.pipeline import run
from napari_ulm3d.plugin.jobs.job import Job
from napari_ulm3d.plugin.layers.place import Placer, find_layer
from napari_ulm3d.plugin.session import session_of


@pytest.fixture(scope="module")
def made(flow: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with frames and the results of them."""
    lab = tmp_path_factory.mktemp("lab")
    frames = flow.acquisition.read(0, flow.acquisition.n_frames)
    np.save(lab / "IQ001.npy", frames)
    (lab / "acquisition.toml").write_text(
        f"axes = 'tzyx'\nvoxel_um = {list(flow.acquisition.grid.spacing_um)}\n"
        f"rate_hz = {flow.acquisition.rate_hz}\nwavelength_um = {flow.acquisition.wavelength_um}\n"
    )
    config = PipelineConfig().with_settings(["clutter.svd_range=4,60", "maps.resolution_factor=4"])
    run(flow.acquisition, config, out=lab / "results")
    return lab


@pytest.fixture
def lab(made: Path, tmp_path: Path) -> Path:
    """A copy, of which a test may do what it likes."""
    return Path(shutil.copytree(made, tmp_path / "lab"))


def settled(qtbot: Any, viewer: Any) -> None:
    """Wait until the session of a viewer is at rest."""
    session, quiet = session_of(viewer), 0

    def done() -> bool:
        nonlocal quiet
        QApplication.processEvents()
        owners = [session, *viewer.window.dock_widgets.values()]
        busy = any(job.running for one in owners for job in one.findChildren(Job))
        busy |= any(placer.busy for one in owners for placer in one.findChildren(Placer))
        quiet = 0 if busy else quiet + 1
        return quiet > 5

    qtbot.waitUntil(done)


def said_of(viewer: Any) -> dict[str, Any]:
    """What a person sees of a viewer."""
    camera, region = viewer.scene.camera, find_layer(viewer, "region")
    session, shown = session_of(viewer), find_layer(viewer, "map")
    return {
        "layers": sorted((la.name, la.visible, la.opacity, str(la.blending)) for la in viewer.layers),
        "map": (shown.colormap.name, shown.gamma, tuple(np.round(shown.contrast_limits, 6))),
        "tracks": find_layer(viewer, "tracks").color_by,
        "view": (viewer.dims.ndisplay, tuple(viewer.dims.order)),
        "place": tuple(np.round([*camera.center[-3:], *camera.angles], 3)),
        "point": tuple(np.round(viewer.dims.point, 6)),
        "config": session.config,
        "filters": session.map_view,
        "n_tracks": session.shown.tracks.n_tracks,
        "region": None if region is None else np.round(np.array(region.data) * region.scale[-1], 3).tolist(),
        "scale bar": viewer.canvas.overlays.scale_bar.visible,
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("by", ["folder dropped", "file opened"])
def test_a_saved_session_comes_back_whole(
    viewer: Any, make_napari_viewer: Any, qtbot: Any, lab: Path, by: str, ours_reads: None
) -> None:
    viewer.open(str(lab / "IQ001.npy"), plugin=PLUGIN)
    viewer.open(str(lab / "results"), plugin=PLUGIN)
    qtbot.waitUntil(lambda: find_layer(viewer, "localizations") is not None)
    panel = dock(viewer, "ULM workflow")
    click(panel.sections["Vessel maps"].title)
    maps = panel.panels["Vessel maps"]
    idle(qtbot, panel)
    choose(maps.which, "Speed (mm/s)")
    enter(maps.filters.length, "12")
    idle(qtbot, panel)
    click(maps.filters.rectangle)
    pointer = Pointer(viewer, qtbot)
    pointer.drag(pointer.share(0.35, 0.3), pointer.share(0.7, 0.7))
    idle(qtbot, panel)
    choose(maps.looks.colours, "viridis")
    maps.looks.colours.textActivated.emit("viridis")
    # What a person does in napari's own controls, sliders and canvas.
    shown = find_layer(viewer, "map")
    shown.opacity, shown.contrast_limits = 0.8, (0.0, 9.0)
    viewer.layers["localizations"].visible = True
    viewer.dims.set_point(0, 0.1)
    viewer.dims.ndisplay = 3
    viewer.scene.camera.angles = (10, -35, 60)
    viewer.scene.camera.zoom *= 1.4
    session_of(viewer).change("link", max_speed_mm_s=77.0)
    idle(qtbot, panel)
    before = said_of(viewer)
    assert before["filters"].min_length_frames == 12
    assert before["region"]
    save_as(str(lab / "results" / "session.ulm3d.toml"))
    click(panel.save_button)
    assert (lab / "results" / "session.ulm3d.toml").is_file()
    seen, size = viewer.scene.camera.zoom, viewer.canvas.size
    viewer.close()

    # Another day, another place, another window.
    moved = lab.parent / "archive"
    shutil.move(lab, moved)
    later = make_napari_viewer(show=True)
    later.window.resize(1300, 760)
    if by == "folder dropped":
        drop(later, [moved / "results"])
    else:
        later.open(str(moved / "results" / "session.ulm3d.toml"), plugin=PLUGIN)
    settled(qtbot, later)
    after = said_of(later)
    assert after == before
    zoom = later.scene.camera.zoom / seen
    assert zoom == pytest.approx(min(np.array(later.canvas.size) / size), rel=1e-3)
    assert session_of(later).acquisition is not None
    assert session_of(later).result.folder == moved / "results"
    assert any(name.startswith("ULM workflow") for name in later.window.dock_widgets)


@pytest.mark.slow
def test_what_is_missing_is_said(viewer: Any, qtbot: Any, lab: Path, capsys: Any) -> None:
    viewer.open(str(lab / "IQ001.npy"), plugin=PLUGIN)
    viewer.open(str(lab / "results"), plugin=PLUGIN)
    qtbot.waitUntil(lambda: find_layer(viewer, "localizations") is not None)
    viewer.add_image(np.zeros((5, 5)), name="drawn by hand")
    panel = dock(viewer, "Export")
    idle(qtbot, panel)
    told = _notes()
    save_as(str(lab / "results" / "session.ulm3d.toml"))
    click(panel.session_button)
    assert "without the layer 'drawn by hand'" in told[-1]
    (lab / "IQ001.npy").unlink()
    for layer in [*viewer.layers]:
        viewer.layers.remove(layer)
    viewer.open(str(lab / "results"), plugin=PLUGIN)
    settled(qtbot, viewer)
    assert f"{lab / 'IQ001.npy'}: not found" in told[-1]
    assert find_layer(viewer, "map").visible
    # Nothing at all: an error in one sentence, and the viewer stays as it is.
    shutil.move(lab / "results" / "session.ulm3d.toml", lab.parent / "alone.ulm3d.toml")
    layers = list(viewer.layers)
    viewer.open(str(lab.parent / "alone.ulm3d.toml"), plugin=PLUGIN)
    settled(qtbot, viewer)
    assert "none of the files in this session can be opened" in told[-1]
    assert list(viewer.layers) == layers


def _notes() -> list[str]:
    """What napari notifies of from now on."""
    from napari.utils.notifications import notification_manager

    told: list[str] = []
    notification_manager.notification_ready.connect(lambda event: told.append(str(event.message)))
    return told
