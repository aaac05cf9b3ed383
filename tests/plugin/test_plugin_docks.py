"""Several of the plugin's docks share one place on a low screen."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("napari")
pytest.importorskip("pytestqt")
pytest.importorskip("qtpy.QtCore", exc_type=ImportError)

from plugin_hands import LEFT, NO_KEY, PLUGIN
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QDockWidget, QTabBar

from napari_ulm3d.plugin.docks import Dock


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
