"""Tracks selected in the view or the table, edited, undone, and kept in the results folder."""

from __future__ import annotations

import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari")
pytest.importorskip("pytestqt")
pytest.importorskip("qtpy.QtCore", exc_type=ImportError)

from napari.utils.notifications import notification_manager
from plugin_hands import LEFT, NO_KEY, PATIENCE_MS, Pointer, click, dock, idle
from qtpy.QtCore import QEvent, QPointF, Qt
from qtpy.QtGui import QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication
from test_plugin_core import tracks_table

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.edits import read_edits
from napari_ulm3d.errors import ResultsError
from napari_ulm3d.io.results import ResultsFolder
from napari_ulm3d.plugin.controls.tracks.track_table import table_of_tracks
from napari_ulm3d.plugin.jobs.run_series import outcome_of, result_of
from napari_ulm3d.plugin.layers.place import find_layer, place
from napari_ulm3d.plugin.layers.vessel_view import look_at_a_plane
from napari_ulm3d.plugin.saved_session.gather import gather
from napari_ulm3d.plugin.session import session_of
from napari_ulm3d.plugin.state.results import WHOLE_SERIES, Result
from napari_ulm3d.plugin.state.saved_results import mapped
from napari_ulm3d.simulate.sample_map import sample_map_path
from napari_ulm3d.tables import Localizations, Tracks


@pytest.mark.slow
def test_tracks_are_curated(loaded: Any, qtbot: Any, tmp_path: Path) -> None:
    session = session_of(loaded)
    run = dock(loaded, "Localize & track")
    run.folder.setText(str(tmp_path / "run"))
    click(run.series_button)
    idle(qtbot, run)
    panel = dock(loaded, "Curate tracks")
    idle(qtbot, panel)
    first = session.result
    rows = table_of_tracks(first.tracks)
    assert panel.table.model().rowCount() == len(rows) == first.tracks.n_tracks
    assert rows["frames"].sum() == len(first.tracks)

    # A track that is clicked in the view is chosen in the table and marked.
    look_at_a_plane(loaded)
    row = len(first.tracks) // 2
    point = first.tracks.positions_um[row]
    for axis, value in enumerate(point, start=1):
        loaded.dims.set_point(axis, float(value))
    number = int(first.tracks.table["track_id"].iloc[row])
    idle(qtbot, panel)
    pointer = Pointer(loaded, qtbot)
    across = [axis - 1 for axis in loaded.dims.displayed]
    pointer.click(pointer.place(*point[across]))
    idle(qtbot, panel)
    assert panel.table.chosen == (number,)
    assert find_layer(loaded, "chosen tracks") is not None
    _, lost = gather(session, tmp_path / "now.ulm3d.toml")
    assert lost == []  # nobody is told that a selection is not saved

    # It is deleted from the table, the maps and the folder, and comes back.
    click(panel.delete_button)
    idle(qtbot, panel)
    assert panel.problem.text() == ""
    assert session.result.tracks.n_tracks == first.tracks.n_tracks - 1
    assert number not in session.result.tracks.table["track_id"].to_numpy()
    folder = ResultsFolder.open(tmp_path / "run")
    assert folder.tracks().n_tracks == session.result.tracks.n_tracks
    np.testing.assert_array_equal(
        folder.map("density").dense(), session.result.maps["density"].dense()
    )
    session.undo.undo()
    idle(qtbot, panel)
    assert session.result.tracks.table.equals(first.tracks.table)
    assert read_edits(tmp_path / "run") == ()
    session.undo.redo()
    idle(qtbot, panel)
    assert session.result.tracks.n_tracks == first.tracks.n_tracks - 1

    # A split at the time slider, a mark, and all taken back.
    longest = int(table_of_tracks(session.result.tracks)["frames"].idxmax())
    frames = session.result.tracks.table.query("track_id == @longest")["frame"]
    middle = int(frames.iloc[len(frames) // 2])
    loaded.dims.set_point(0, middle / session.result.rate_hz)
    panel.table.choose((longest,))
    click(panel.split_button)
    idle(qtbot, panel)
    assert session.result.tracks.n_tracks == first.tracks.n_tracks
    panel.table.choose((longest,))
    click(panel.verify_button)
    idle(qtbot, panel)
    assert table_of_tracks(session.result.tracks).loc[longest, "verified"]
    panel.table.choose(tuple(table_of_tracks(session.result.tracks).index[:2].tolist()))
    assert "3 edits, kept in the results folder" in panel.status.text()
    click(panel.back_button)
    idle(qtbot, panel)
    assert session.result.tracks.table.equals(first.tracks.table)
    assert read_edits(tmp_path / "run") == ()


def brush(plot: Any, low: float, high: float) -> None:
    """Drag over a range of a histogram."""
    start, end = (plot.pixel_of(value).toPoint() for value in (low, high))
    surface = plot.viewport()
    QTest.mouseMove(surface, start)
    QTest.mousePress(surface, LEFT, NO_KEY, start)
    for share in (0.3, 0.7, 1.0):
        place = start + (end - start) * share
        event = QMouseEvent(
            QEvent.Type.MouseMove, QPointF(place), QPointF(surface.mapToGlobal(place)),
            Qt.MouseButton.NoButton, LEFT, NO_KEY,
        )  # fmt: skip
        QApplication.sendEvent(surface, event)
    QTest.mouseRelease(surface, LEFT, NO_KEY, end)
    QApplication.processEvents()


def test_histograms_table_and_view_choose_the_same_tracks(loaded: Any, qtbot: Any) -> None:
    rng = np.random.default_rng(5)
    tracks = tracks_table([12] * 300, rng.uniform(1, 20, 300).tolist(), 260.0)
    table = tracks.table
    table = table.assign(z_um=table["z_um"] + 3.0 * table["track_id"])
    result = result_of(
        session_of(loaded).acquisition, PipelineConfig(), Localizations.empty(), Tracks(table), "whole series"
    )  # fmt: skip
    for layer in outcome_of(mapped(result)).layers:
        place(loaded, layer)
    session_of(loaded).set_result(mapped(result))
    panel = dock(loaded, "Curate tracks")
    idle(qtbot, panel)
    rows, plots = table_of_tracks(Tracks(table)), panel.histograms.plots

    def drawn(name: str) -> tuple[int, int]:
        """Tracks in the blue and in the orange bars."""
        both = plots[name].curves
        return int(both[0].y.sum()), int(both[1].y.sum())

    assert [drawn(name) for name in plots] == [(300, 0)] * 4
    # A range of speeds: its tracks are selected in the table and marked in the view.
    brush(plots["speed"], 5.0, 9.0)
    low, high = plots["speed"].brush
    assert (low, high) == pytest.approx((5.0, 9.0), abs=0.5)
    fast = rows.index[rows["speed"].between(low, high)]
    assert 10 < len(fast) < 290
    assert sorted(panel.table.chosen) == sorted(fast)
    idle(qtbot, panel)
    marks = find_layer(loaded, "chosen tracks")
    assert len(marks.data) == 11 * len(fast)  # lines between the 12 points of each
    # In a slice the marks are in the plane on display, and follow when it moves.
    look_at_a_plane(loaded)
    hidden = next(axis for axis in (-3, -2, -1) if axis + 4 not in loaded.dims.displayed)
    for value in loaded.dims.range[hidden][:2]:
        loaded.dims.set_point(hidden + 4, float(value))
        qtbot.waitUntil(lambda: np.allclose(marks.data[:, 0, hidden], loaded.dims.point[hidden]))
        assert not marks.data[:, 1, hidden].any()
    assert (
        loaded.layers.selection.active is not marks
    )  # a person at work on another layer goes on with it
    assert [drawn(name) for name in plots] == [(300, len(fast))] * 4
    # A range of depths as well: tracks in both.
    middle = float(rows["depth"].median())
    brush(plots["depth"], float(rows["depth"].min()), middle)
    both = [n for n in fast if plots["depth"].holds(rows.loc[[n], "depth"].to_numpy())[0]]
    assert 0 < len(both) < len(fast)
    assert sorted(panel.table.chosen) == sorted(both)
    # Sorting keeps them; a row of the table takes the place of the ranges.
    panel.table.sortByColumn(4, Qt.SortOrder.DescendingOrder)
    assert sorted(panel.table.chosen) == sorted(both)
    panel.table.scrollToTop()
    row = panel.table.visualRect(panel.table.model().index(0, 1)).center()
    QTest.mouseClick(panel.table.viewport(), LEFT, NO_KEY, row)
    idle(qtbot, panel)
    fastest = int(rows["speed"].idxmax())
    assert panel.table.chosen == (fastest,)
    assert all(plot.brush is None for plot in plots.values())
    assert drawn("speed") == (300, 1)
    at = int(np.argmax(plots["speed"].curves[1].y))
    assert at == len(plots["speed"].curves[1].y) - 1
    assert len(find_layer(loaded, "chosen tracks").data) == 11
    # By keyboard: the first bin, wider by one, then none.
    plot = plots["length"]
    QTest.keyClick(plot, Qt.Key.Key_Right)
    narrow = panel.table.chosen
    QTest.keyClick(plot, Qt.Key.Key_Right, Qt.KeyboardModifier.ShiftModifier)
    assert set(narrow) <= set(panel.table.chosen)
    width = plot.brush[1] - plot.brush[0]
    span = rows["length"].max() - rows["length"].min()
    assert width == pytest.approx(span / 20)
    QTest.keyClick(plot, Qt.Key.Key_Escape)
    assert panel.table.chosen == ()
    idle(qtbot, panel)
    assert find_layer(loaded, "chosen tracks") is None
    # While an edit is applied the panel says so, and then how long it is kept.
    panel.table.choose((fastest,))
    assert not panel.busy.isVisible()
    click(panel.delete_button)
    assert "Applying the edit to tracks and maps…" in panel.status.text()
    assert panel.busy.isVisible()
    assert not panel.verify_button.isEnabled()
    idle(qtbot, panel)
    assert not panel.busy.isVisible()
    assert panel.status.text() == "299 tracks, 0 selected; 1 edit, kept until napari is closed."


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The maps of an edit are made when the gate is open, or fail with its message."""
    from napari_ulm3d.plugin import track_editor

    made, gate = track_editor.maps_of_tracks, threading.Event()
    gate.message = ""  # type: ignore[attr-defined]

    def make(*arguments: Any) -> Any:
        gate.wait(PATIENCE_MS / 1000)
        if gate.message:  # type: ignore[attr-defined]
            raise ResultsError(gate.message)  # type: ignore[attr-defined]
        return made(*arguments)

    monkeypatch.setattr(track_editor, "maps_of_tracks", make)
    yield gate
    gate.set()


def with_tracks(viewer: Any, qtbot: Any) -> tuple[Any, Any, Any]:
    """Twenty tracks as the current result: the session, *Curate tracks* and the table."""
    session = session_of(viewer)
    table = tracks_table([12] * 20, [5.0] * 20, 260.0)
    first = mapped(
        result_of(session.acquisition, PipelineConfig(), Localizations.empty(), table, WHOLE_SERIES)
    )
    for layer in outcome_of(first).layers:
        place(viewer, layer)
    session.set_result(first)
    panel = dock(viewer, "Curate tracks")
    idle(qtbot, panel)
    return session, panel, table


@pytest.mark.slow
def test_an_edit_that_is_cancelled_or_fails_leaves_no_trace(
    loaded: Any, qtbot: Any, gate: Any
) -> None:
    session, panel, table = with_tracks(loaded, qtbot)
    first = session.result
    n_runs, last = len(session.history.entries), session.undo.next_undo

    def press(more: Any = NO_KEY) -> None:
        panel.table.setFocus()
        QTest.keyClick(panel.table, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier | more)

    loaded.window._qt_window.activateWindow()
    panel.table.choose((3, 4))
    # Cancelled by its button: the tracks, the view and the steps to undo are as before.
    click(panel.delete_button)
    assert panel.cancel_button.isVisible()
    assert session.undo.next_undo == last  # not yet
    click(panel.cancel_button)
    assert "Cancelling…" in panel.status.text()
    assert not panel.cancel_button.isEnabled()
    gate.set()
    idle(qtbot, panel)
    assert session.result is first
    assert (session.undo.next_undo, panel.problem.text()) == (last, "")
    assert not panel.cancel_button.isVisible()
    assert panel.table.chosen == (3, 4)
    assert find_layer(loaded, "tracks").metadata["ulm3d"] is table
    # One that fails says why.
    gate.message = "The disk is full."
    click(panel.delete_button)
    idle(qtbot, panel)
    assert panel.problem.text() == "The disk is full."
    assert (session.result is first, session.undo.next_undo) == (True, last)
    gate.message = ""
    click(panel.delete_button)
    idle(qtbot, panel)
    assert panel.problem.text() == ""
    edited = session.result
    assert edited.tracks.n_tracks == 18
    assert session.undo.next_undo == "delete 2 tracks"
    # Undoing it can be cancelled, too, and nothing else is undone meanwhile.
    gate.clear()
    press()
    press()
    assert panel.cancel_button.isVisible()
    click(panel.cancel_button)
    gate.set()
    idle(qtbot, panel)
    assert session.result is edited
    assert (session.undo.next_undo, session.undo.next_redo) == ("delete 2 tracks", "")
    press()
    idle(qtbot, panel)
    assert session.result.tracks is table
    assert (session.undo.next_undo, session.undo.next_redo) == (last, "delete 2 tracks")
    press(Qt.KeyboardModifier.ShiftModifier)
    idle(qtbot, panel)
    assert session.result.tracks.n_tracks == 18
    # It is one run all along; the edits of one are never applied to another.
    assert len(session.history.entries) == n_runs
    assert session.history.entry_of(session.result) is not None
    other = replace(first, name="other", tracks=tracks_table([12] * 20, [7.0] * 20, 260.0))
    session.set_result(other)
    press()
    idle(qtbot, panel)
    assert session.result is other
    assert "reopen that run" in notification_manager.records[-1].message
    assert session.undo.next_undo == "delete 2 tracks"


def test_the_included_sample_is_never_edited(tmp_path: Path) -> None:
    for name in ("run.toml", "tracks.parquet"):
        shutil.copy(sample_map_path() / name, tmp_path)
    run = Result(
        Grid((2, 2, 2), (1.0, 1.0, 1.0)), 260.0, 1.0, PipelineConfig(), Localizations.empty(),
        tracks_table([12], [5.0], 260.0), scope=WHOLE_SERIES,
    )  # fmt: skip
    assert not run.keeps_edits
    assert replace(run, folder=tmp_path).keeps_edits
    assert not replace(run, folder=tmp_path, complete=False).keeps_edits
    assert not replace(run, folder=sample_map_path()).keeps_edits


def test_ctrl_z_right_after_a_click_undoes_the_edit(loaded: Any, qtbot: Any) -> None:
    """The clicked button is disabled while it works, and the focus must not leave the widget."""
    session, panel, _ = with_tracks(loaded, qtbot)
    window = loaded.window._qt_window
    window.activateWindow()
    qtbot.waitUntil(window.isActiveWindow)
    panel.table.choose((3, 4))
    panel.delete_button.setFocus()  # as a click does
    click(panel.delete_button)
    idle(qtbot, panel)
    assert session.result.tracks.n_tracks == 18
    focus = QApplication.focusWidget()
    assert focus is not None
    QTest.keyClick(focus, Qt.Key.Key_Z, Qt.KeyboardModifier.ControlModifier)
    idle(qtbot, panel)
    assert session.result.tracks.n_tracks == 20
