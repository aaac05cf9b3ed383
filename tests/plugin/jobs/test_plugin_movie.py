"""Movies of the view: turning and over time, of the size and length asked for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari")
pytest.importorskip("pytestqt")
pytest.importorskip("qtpy.QtCore", exc_type=ImportError)

from plugin_hands import add, choose, click, dock, enter

from napari_ulm3d.plugin.jobs import movie


@pytest.fixture
def export(viewer: Any, flow: Any) -> Any:
    add(viewer, flow.acquisition)
    panel = dock(viewer, "Export")
    enter(panel.movie.seconds, "0.5")
    enter(panel.movie.fps, "8")
    enter(panel.movie.width_px, "160")
    return panel


def test_over_time_by_way_of_another_reader(export: Any, qtbot: Any, tmp_path: Path) -> None:
    imageio = pytest.importorskip("imageio.v3")
    pytest.importorskip("napari_animation")
    viewer = export.viewer
    point = viewer.dims.point
    choose(export.movie.kind, "time, first frame to last")
    times: list[float] = []
    export.movie.maker.progressed.connect(lambda *_: times.append(viewer.dims.point[0]))
    export.movie.save(str(tmp_path / "time.gif"))
    assert export.movie.stop_button.isEnabled()
    qtbot.waitUntil(lambda: not export.movie.maker.running)
    assert export.movie.problem.text() == ""
    np.testing.assert_allclose(times, np.linspace(0, 59 / 260, 4), atol=0.6 / 260)
    assert imageio.improps(tmp_path / "time.gif").shape[0] == 4
    assert imageio.imread(tmp_path / "time.gif").shape[2] == 160
    assert viewer.dims.point == point  # the view is as it was


@pytest.mark.slow
def test_one_turn_of_the_view(export: Any, qtbot: Any, tmp_path: Path) -> None:
    imageio = pytest.importorskip("imageio.v3")
    pytest.importorskip("napari_animation")
    viewer = export.viewer
    export.movie.save(str(tmp_path / "turn.mp4"))
    qtbot.waitUntil(lambda: not export.movie.maker.running)
    assert "3-D view" in export.movie.problem.text()
    assert not (tmp_path / "turn.mp4").exists()
    viewer.dims.ndisplay = 3
    viewer.scene.camera.angles = (10, -35, 60)
    angles, seen, ups = viewer.scene.camera.angles, [], []

    def look(*_: Any) -> None:
        seen.append(viewer.scene.camera.view_direction)
        ups.append(viewer.scene.camera.up_direction)

    export.movie.maker.progressed.connect(look)
    export.movie.save(str(tmp_path / "turn.mp4"))
    qtbot.waitUntil(lambda: not export.movie.maker.running)
    assert export.movie.problem.text() == ""
    assert len(imageio.imread(tmp_path / "turn.mp4")) == 4
    np.testing.assert_allclose(seen[0], seen[-1], atol=1e-3)  # once round
    np.testing.assert_allclose(ups, np.tile(ups[0], (4, 1)), atol=1e-3)  # upright throughout
    np.testing.assert_allclose(viewer.scene.camera.angles, angles, atol=1e-3)


def test_a_preview_is_the_movie_at_any_size(export: Any, qtbot: Any) -> None:
    pytest.importorskip("napari_animation")
    viewer, box = export.viewer, export.movie
    choose(box.kind, "time, first frame to last")
    point, zoom = viewer.dims.point, viewer.scene.camera.zoom
    bright = []
    for width in ("160", "640"):
        enter(box.width_px, width)
        box.preview.show_pictures([], "")
        click(box.preview_button)
        qtbot.waitUntil(lambda: not box.maker.running)
        assert [picture.shape[1] for picture in box.preview.pictures] == [int(width)] * 4
        bright.append([float((frame.max(axis=-1) > 60).mean()) for frame in box.preview.pictures])
    assert box.preview.isVisible()
    assert min(bright[1]) > 0.02
    np.testing.assert_allclose(bright[0], bright[1], rtol=0.25)  # not a part of it, and no more
    first, _, middle, _ = box.preview.pictures
    assert (first != middle).mean() > 0.01  # frames of different times
    np.testing.assert_allclose(viewer.dims.point, point)  # the view is as it was
    assert viewer.scene.camera.zoom == pytest.approx(zoom)


def test_a_stopped_movie_leaves_no_file(export: Any, qtbot: Any, tmp_path: Path) -> None:
    pytest.importorskip("napari_animation")
    choose(export.movie.kind, "time, first frame to last")
    enter(export.movie.seconds, "60")
    export.movie.save(str(tmp_path / "long.gif"))
    qtbot.waitUntil(lambda: export.movie.bar.value() > 0)
    click(export.movie.stop_button)
    qtbot.waitUntil(lambda: not export.movie.maker.running)
    assert "stopped" in export.movie.problem.text()
    assert list(tmp_path.glob("*long*")) == []
    assert export.movie.save_button.isEnabled()


def test_without_napari_animation_it_says_how_to_install_it(
    viewer: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "napari_animation", None)
    monkeypatch.setattr(movie, "find_spec", lambda name: None)
    panel = dock(viewer, "Export")
    assert movie.INSTALL in panel.movie.status.text()
    assert not panel.movie.save_button.isEnabled()


def test_a_name_that_is_no_movie(export: Any, qtbot: Any, tmp_path: Path) -> None:
    export.movie.save(str(tmp_path / "movie.txt"))
    qtbot.waitUntil(lambda: not export.movie.maker.running)
    assert ".mp4" in export.movie.problem.text()


def test_sizes_are_even_and_keep_the_proportions() -> None:
    assert movie.sizes(641, (300, 400)) == (480, 640)
    height, width = movie.sizes(961, (333, 777))
    assert height % 2 == width % 2 == 0
    assert height / width == pytest.approx(333 / 777, rel=0.01)
