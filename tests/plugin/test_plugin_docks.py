"""Several of the plugin's docks share one place on a low screen."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("napari")
pytest.importorskip("pytestqt")
pytest.importorskip("qtpy.QtCore", exc_type=ImportError)

from plugin_hands import LEFT, NO_KEY, PLUGIN, dock, idle
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QDockWidget, QTabBar
from test_plugin_core import tracks_table

from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.plugin.docks import Dock
from napari_ulm3d.plugin.jobs.job import Job
from napari_ulm3d.plugin.jobs.run_series import result_of
from napari_ulm3d.plugin.layers.place import find_layer
from napari_ulm3d.plugin.session import session_of
from napari_ulm3d.plugin.state.results import WHOLE_SERIES
from napari_ulm3d.plugin.state.saved_results import mapped
from napari_ulm3d.tables import Localizations


def _pick(viewer: Any, name: str) -> None:
    """Choose a widget as the Plugins menu does, which the test's viewer is not given."""
    from napari._qt._qplugins._qnpe2 import _toggle_or_get_widget

    full = f"{name} (ULM 3D)"
    made = _toggle_or_get_widget(plugin=PLUGIN, widget_name=name, full_name=full)
    if made is not None:
        viewer.window.add_dock_widget(made[0], name=full)
    QApplication.processEvents()
    QApplication.processEvents()


def _docks(viewer: Any) -> dict[str, QDockWidget]:
    window = viewer.window._qt_window
    found = [dock for dock in window.findChildren(QDockWidget) if isinstance(dock.widget(), Dock)]
    return {dock.windowTitle(): dock for dock in found}


def _in_front(viewer: Any) -> list[str]:
    return [
        name for name, dock in _docks(viewer).items() if not dock.widget().visibleRegion().isEmpty()
    ]


def test_docks_are_tabs_of_one_another_and_the_one_opened_is_in_front(
    viewer: Any, qtbot: Any
) -> None:
    _pick(viewer, "Load acquisition")
    alone = _docks(viewer)["Load acquisition"].geometry()
    for name in ("Sparsify", "Log"):
        _pick(viewer, name)
        assert _in_front(viewer) == [name]
        # As high as the first was by itself, less the row of tabs.
        assert _docks(viewer)[name].height() > alone.height() - 60
    (bar,) = [
        bar
        for bar in viewer.window._qt_window.findChildren(QTabBar)
        if bar.isVisible() and bar.count() == 3
    ]
    assert [bar.tabText(k) for k in range(3)] == ["Load acquisition", "Sparsify", "Log"]
    QTest.mouseClick(bar, LEFT, NO_KEY, bar.tabRect(1).center())
    qtbot.waitUntil(lambda: _in_front(viewer) == ["Sparsify"])
    # Picked in the menu while it is behind: the same dock, in front and not closed.
    behind = _docks(viewer)["Log"]
    _pick(viewer, "Log")
    qtbot.waitUntil(lambda: _in_front(viewer) == ["Log"])
    assert _docks(viewer)["Log"] is behind
    # Picked while it is in front: closed, as napari does; then opened in its old place.
    _pick(viewer, "Log")
    qtbot.waitUntil(lambda: behind.isHidden() and len(_in_front(viewer)) == 1)
    _pick(viewer, "Log")
    qtbot.waitUntil(lambda: _in_front(viewer) == ["Log"])
    assert len(_docks(viewer)) == 3


@pytest.mark.slow
def test_docks_behind_another_compute_nothing_and_catch_up(
    loaded: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = session_of(loaded)
    names = ("Clutter & PSF", "Sparsify", "Compare & measure", "Curate tracks", "Refine map")
    session.change("motion", method="rigid")
    session.change("psf", carrier="none", source="analytic")
    panels = {}
    for name in names:
        panels[name] = dock(loaded, name)
        idle(qtbot, panels[name])
    log = dock(loaded, "Log")
    idle(qtbot, log)
    overlay = find_layer(loaded, "kept voxels")
    assert overlay.visible
    started: list[Any] = []
    start = Job.start

    def noted(job: Job, work: Any) -> None:
        started.append(job.parent())
        start(job, work)

    monkeypatch.setattr(Job, "start", noted)
    # Another block, other settings and another result while all of them are behind.
    loaded.dims.set_point(0, 45 / 260.0)
    session.change("clutter", svd_range=(3, 200))
    session.change("sparsify", threshold=0.3)
    tracks = tracks_table([12] * 30, [5.0] * 30, 260.0)
    result = result_of(
        session.acquisition, PipelineConfig(), Localizations.empty(), tracks, WHOLE_SERIES
    )
    session.set_result(mapped(result))
    session.keep_view()
    idle(qtbot, *panels.values())
    assert started == []
    assert not overlay.visible  # it is of another frame
    for name in names:
        dock(loaded, name)
        idle(qtbot, panels[name])
    assert panels["Clutter & PSF"].status.text().startswith("Block 2")
    assert panels["Sparsify"].kept.text().startswith("Frame 45")
    assert overlay.visible
    assert panels["Compare & measure"].numbers.rowCount() > 0
    assert panels["Curate tracks"].table.model().rowCount() == 30
    assert panels["Refine map"].cost.text() != ""
