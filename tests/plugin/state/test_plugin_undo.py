"""One stack for what can be undone, by Ctrl+Z in any of the plugin's widgets."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("napari")
pytest.importorskip("pytestqt")
pytest.importorskip("qtpy.QtCore", exc_type=ImportError)

from napari.utils.notifications import notification_manager
from plugin_hands import click, dock, enter, idle
from qtpy.QtCore import QObject, Qt, Signal
from qtpy.QtGui import QKeySequence, QShortcut
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.plugin.layers.place import find_layer
from napari_ulm3d.plugin.session import session_of
from napari_ulm3d.plugin.state.undo import UndoStack


class _Settings(QObject):
    """As much of a session as the stack knows."""

    config_changed = Signal(str)

    def __init__(self) -> None:
        super().__init__()
        self.config = PipelineConfig()

    def set_config(self, config: PipelineConfig) -> None:
        self.config = config
        self.config_changed.emit("clutter")

    def change(self, *assignments: str) -> None:
        self.set_config(self.config.with_settings(assignments))


@pytest.fixture
def settings(qapp: Any) -> _Settings:
    return _Settings()


def test_settings_go_back_and_forth_step_by_step(settings: _Settings) -> None:
    stack = UndoStack(settings)  # type: ignore[arg-type]
    first = settings.config
    settings.change("clutter.svd_range=5,80")
    second = settings.config
    settings.change("maps.resolution_factor=4")
    assert stack.next_undo == "maps.resolution_factor"
    stack.undo()
    assert settings.config == second
    stack.undo()
    assert settings.config == first
    assert stack.next_undo == ""
    stack.undo()  # nothing is left: nothing happens
    stack.redo()
    assert settings.config == second
    settings.change("maps.resolution_factor=6")
    assert stack.next_redo == ""
    # How a file is read belongs to the file, and a slider that is dragged is one step.
    settings.change("load.rate_hz=200")
    for factor in (7, 8, 9):
        settings.change(f"maps.resolution_factor={factor}")
    stack.undo()
    assert settings.config.maps == second.maps
    assert settings.config.load.rate_hz == 200


def test_what_takes_time_is_undone_when_it_has_succeeded(settings: _Settings) -> None:
    stack = UndoStack(settings)  # type: ignore[arg-type]
    asked: list[tuple[str, Any]] = []

    def restore(state: str, settle: Any) -> None:
        asked.append((state, settle))

    settings.change("maps.resolution_factor=4")
    stack.push("edit", "none", "one", restore, later=True)
    stack.undo()
    (state, settle) = asked.pop()
    assert (state, stack.next_undo, stack.next_redo) == ("none", "edit", "")
    # Meanwhile nothing else is undone, and a new step waits for its place.
    stack.undo()
    stack.redo()
    assert asked == []
    assert settings.config.maps.resolution_factor == 4
    settle(False)
    assert (stack.next_undo, stack.next_redo) == ("edit", "")
    stack.undo()
    asked.pop()[1](True)
    assert (stack.next_undo, stack.next_redo) == ("maps.resolution_factor", "edit")
    stack.redo()
    (state, settle) = asked.pop()
    settle(True)
    assert (state, stack.next_undo, stack.next_redo) == ("one", "edit", "")
    stack.undo()
    (_, settle) = asked.pop()
    settings.change("maps.smoothing_um=20")
    assert stack.next_undo == "edit"
    settle(True)
    assert (stack.next_undo, stack.next_redo) == ("maps.smoothing_um", "")
    stack.undo()
    stack.undo()  # the edit had been undone before
    assert asked == []
    assert settings.config.maps.resolution_factor == PipelineConfig().maps.resolution_factor


@pytest.mark.slow
def test_ctrl_z_in_the_widgets(loaded: Any, qtbot: Any) -> None:
    """Filters, a drawn region and settings, through one viewer."""
    session = session_of(loaded)
    run = dock(loaded, "Localize & track")
    click(run.series_button)
    idle(qtbot, run)
    maps = dock(loaded, "Vessel maps")
    idle(qtbot, maps)

    def press(keys: Any = Qt.Key.Key_Z, more: Any = Qt.KeyboardModifier.NoModifier) -> None:
        held = Qt.KeyboardModifier.ControlModifier | more
        QTest.keyClick(maps.filters.length.lineEdit(), keys, held)
        idle(qtbot, maps)

    def shown() -> int:
        return int(session.shown.tracks.n_tracks)

    loaded.window._qt_window.activateWindow()
    everything = shown()
    longest = int(session.result.tracks.table.groupby("track_id").size().max())
    enter(maps.filters.length, f"{longest + 1}")
    idle(qtbot, maps)
    fewer = shown()
    assert fewer < everything
    press()
    assert (maps.filters.length.value(), shown()) == (0, everything)
    press(more=Qt.KeyboardModifier.ShiftModifier)
    assert (maps.filters.length.value(), shown()) == (longest + 1, fewer)
    click(maps.filters.reset_button)
    idle(qtbot, maps)
    assert shown() == everything
    press()
    assert shown() == fewer
    press()
    # A region that was drawn is taken back with its shape.
    click(maps.filters.rectangle)
    layer = find_layer(loaded, "region")
    corners = [[5, 0, 0], [5, 0, 900], [5, 900, 900], [5, 900, 0]]
    layer.add([layer.world_to_data(corner) for corner in corners], shape_type="rectangle")
    idle(qtbot, maps)
    assert maps.filters.chosen.regions is not None
    press()
    assert maps.filters.chosen.regions is None
    press(more=Qt.KeyboardModifier.ShiftModifier)
    assert len(layer.data) == 1
    # While one types, Ctrl+Z is the field's own.
    edit = maps.filters.length.lineEdit()
    edit.setFocus()
    edit.selectAll()
    QTest.keyClicks(edit, "12")
    QTest.keyClick(edit, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    assert len(layer.data) == 1


@pytest.mark.slow
def test_keys_of_the_window(loaded: Any, qtbot: Any) -> None:
    session = session_of(loaded)
    run = dock(loaded, "Localize & track")
    click(run.series_button)
    idle(qtbot, run)
    maps = dock(loaded, "Vessel maps")
    click(maps.filters.rectangle)
    # The keys of the window: sections, display, threshold, the map.
    window = loaded.window._qt_window

    def key(keys: str) -> None:
        # Without a window manager no window is active, and Qt delivers keys to those only.
        (shortcut,) = (
            one for one in window.findChildren(QShortcut) if one.key() == QKeySequence(keys)
        )
        shortcut.activated.emit()
        QApplication.processEvents()

    idle(qtbot, maps)
    key("F8")
    assert loaded.dims.ndisplay == 3
    key("F9")
    assert loaded.dims.ndisplay == 2
    axis = loaded.dims.order[-3]
    before = loaded.dims.point[axis]
    key("Alt+PgDown")
    step = find_layer(loaded, "map").scale[axis - loaded.dims.ndim]
    # napari's slider stands on whole steps of its own, of a micrometre.
    whole = loaded.dims.range[axis].step
    assert step > 10 * whole
    assert loaded.dims.point[axis] == pytest.approx(before + step, abs=whole)
    key("Alt+PgUp")
    assert loaded.dims.point[axis] == pytest.approx(before, abs=whole)
    session.change("sparsify", strategy="contrast", min_snr_db=10.0)
    key("F4")
    assert session.config.sparsify.min_snr_db == 10.5
    session.change("sparsify", strategy="threshold", threshold=0.5)
    key("F3")
    assert session.config.sparsify.threshold == pytest.approx(0.4545, abs=1e-3)
    # A region without a single track leaves no map; the key says so, and the map comes back.
    everything = maps.filters.chosen
    layer = find_layer(loaded, "region")
    corners = [[5, 0, 0], [5, 0, 1], [5, 1, 1], [5, 1, 0]]
    layer.add([layer.world_to_data(corner) for corner in corners], shape_type="rectangle")
    idle(qtbot, maps)
    assert maps.filters.chosen != everything
    key("F8")
    assert "no track passes the filters" in notification_manager.records[-1].message
    click(maps.filters.reset_button)
    idle(qtbot, maps)
    key("F8")
    assert loaded.dims.ndisplay == 3
    key("F5")
    idle(qtbot, run)
    assert session.result.scope.startswith("frame")
    # A single frame has no tracks.
    key("F8")
    assert "no vessel map yet" in notification_manager.records[-1].message
