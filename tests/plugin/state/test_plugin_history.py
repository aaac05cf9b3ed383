"""Run history and log: every run is remembered, reopened and compared; errors have details."""

from __future__ import annotations

import json
import logging
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("napari")
pytest.importorskip("pytestqt")
pytest.importorskip("qtpy.QtCore", exc_type=ImportError)

from plugin_hands import LEFT, choose, click, dock, enter, idle
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.io import open_acquisition
from napari_ulm3d.link import link
from napari_ulm3d.pipeline import run
from napari_ulm3d.plugin.layers.place import find_layer
from napari_ulm3d.plugin.session import Session, session_of
from napari_ulm3d.plugin.state.history import RunHistory, differing_settings, history_file
from napari_ulm3d.plugin.state.logbook import LogBook


@pytest.fixture
def loaded(viewer: Any, flow: Any, folder_of: Any) -> Any:
    folder = folder_of(flow.acquisition, n_files=3)
    viewer.open(str(folder), plugin="napari-ulm3d")
    QApplication.processEvents()
    session = session_of(viewer)
    session.change("clutter", svd_range=(2, 200))
    session.change("maps", resolution_factor=4.0)
    return viewer


def click_row(table: Any, row: int, also: bool = False) -> None:
    """Click a row of a table; with `also` the rows chosen before stay chosen."""
    place = table.visualRect(table.model().index(row, 1)).center()
    held = Qt.KeyboardModifier.ControlModifier if also else Qt.KeyboardModifier.NoModifier
    QTest.mouseClick(table.viewport(), LEFT, held, place)


def rows_of(table: Any) -> list[tuple[str, ...]]:
    return [
        tuple(table.item(row, k).text() for k in range(table.columnCount()))
        for row in range(table.rowCount())
    ]


@pytest.mark.slow
def test_runs_are_listed_with_what_differs_and_compared(
    loaded: Any, qtbot: Any, tmp_path: Path
) -> None:
    local = dock(loaded, "Localize & track")
    click(local.series_button)
    idle(qtbot, local)
    session_of(loaded).change("link", max_speed_mm_s=12.0)
    enter(local.folder, str(tmp_path / "slow"))
    click(local.series_button)
    idle(qtbot, local)
    panel = dock(loaded, "Run history")
    assert [row[1] for row in rows_of(panel.runs)] == ["whole series"] * 2
    click_row(panel.runs, 0)
    assert ("link.max_speed_mm_s", "12", "auto") in rows_of(panel.settings)
    assert any(name == "tracks" for name, _ in rows_of(panel.numbers))
    click_row(panel.runs, 1, also=True)
    assert rows_of(panel.settings) == [("link.max_speed_mm_s", "12", "auto")]
    assert panel.settings_title.text() == "1 setting differs"
    assert not panel.reopen_button.isEnabled()
    click(panel.compare_button)
    QApplication.processEvents()
    comparing = dock(loaded, "Compare & measure")
    idle(qtbot, comparing)
    assert len(comparing.compared.results) == 2
    assert find_layer(loaded, "compare B") is not None


@pytest.mark.slow
def test_a_run_in_a_folder_is_reopened_in_another_session(
    make_napari_viewer: Any, loaded: Any, qtbot: Any, tmp_path: Path
) -> None:
    out = tmp_path / "results"
    session_of(loaded).change("link", max_speed_mm_s=12.0)
    local = dock(loaded, "Localize & track")
    enter(local.folder, str(out))
    click(local.series_button)
    idle(qtbot, local)
    before = session_of(loaded).result

    other = make_napari_viewer(show=True)
    panel = dock(other, "Run history")
    click_row(panel.runs, 0)
    assert panel.reopen_button.isEnabled()
    click(panel.reopen_button)
    idle(qtbot, panel)
    assert panel.problem.text() == ""
    session = session_of(other)
    assert session.config.link.max_speed_mm_s == 12.0
    pd.testing.assert_frame_equal(session.result.tracks.table, before.tracks.table)
    pd.testing.assert_frame_equal(session.result.localizations.table, before.localizations.table)
    np.testing.assert_array_equal(
        session.result.maps["density"].values, before.maps["density"].values
    )
    assert session.result.resolution.resolution_um == pytest.approx(
        before.resolution.resolution_um, nan_ok=True
    )
    tracks = find_layer(other, "tracks")
    np.testing.assert_allclose(tracks.scale, (1 / 260, 1, 1, 1))
    assert find_layer(other, "map").data.sum() == before.maps["density"].values.sum()
    assert "load them" in panel.status.text()

    shutil.rmtree(out)  # the folder is gone, its parameters are still known
    another = make_napari_viewer(show=True)
    panel = dock(another, "Run history")
    click_row(panel.runs, 0)
    assert ("link.max_speed_mm_s", "12", "auto") in rows_of(panel.settings)
    click(panel.reopen_button)
    idle(qtbot, panel)
    assert "not a results folder" in panel.problem.text()
    click(panel.forget_button)
    assert panel.runs.rowCount() == 0
    assert json.loads(history_file().read_text()) == []


@pytest.mark.slow
def test_linking_again_updates_the_runs_entry(loaded: Any, qtbot: Any, tmp_path: Path) -> None:
    session = session_of(loaded)
    session.change("link", breaks="files")
    local = dock(loaded, "Localize & track")
    panel = dock(loaded, "Run history")
    click(local.series_button)
    idle(qtbot, local)
    computed = session.result

    def link_with(max_speed: str) -> None:
        enter(local.link_form.controls["max_speed_mm_s"], max_speed)
        asked = float(max_speed)
        qtbot.waitUntil(lambda: session.result.config.link.max_speed_mm_s == asked)
        idle(qtbot, local)

    for speed in ("9", "12"):
        link_with(speed)
        assert panel.runs.rowCount() == 1
        click_row(panel.runs, 0)
        assert ("link.max_speed_mm_s", speed, "auto") in rows_of(panel.settings)
        # Tracks end between files again, as in the run.
        expected = link(computed.localizations, 260.0, session.config.link, breaks=[20, 40])
        pd.testing.assert_frame_equal(session.result.tracks.table, expected.table)
        unbroken = link(computed.localizations, 260.0, session.config.link)
        assert not expected.table.equals(unbroken.table), "a break that changes nothing"
    assert session.history.computed_of(session.result) is computed

    # A results folder stays what it is: one entry more, however often it is linked again.
    session.change("link", max_speed_mm_s=None)
    enter(local.folder, str(tmp_path / "out"))
    idle(qtbot, local)
    click(local.series_button)
    idle(qtbot, local)
    for speed in ("10", "20"):
        link_with(speed)
        whats = [row[1] for row in rows_of(panel.runs)]
        assert whats == ["whole series, relinked", "whole series", "whole series"]
    click_row(panel.runs, 1)
    assert not any(name == "link.max_speed_mm_s" for name, *_ in rows_of(panel.settings))


@pytest.mark.slow
def test_a_reopened_run_is_linked_again_with_its_breaks(
    make_napari_viewer: Any, flow: Any, folder_of: Any, qtbot: Any, tmp_path: Path
) -> None:
    """Without its files at hand: run.toml says where sequences begin."""
    settings = ["clutter.svd_range=2,200", "load.frames_per_block=10", "maps.fsc=false"]
    acquisition = open_acquisition(folder_of(flow.acquisition, n_files=3))
    run(acquisition, PipelineConfig().with_settings(settings), tmp_path / "r")
    viewer = make_napari_viewer(show=True)
    session, local = session_of(viewer), dock(viewer, "Localize & track")
    panel = dock(viewer, "Run history")
    panel.open_folder(str(tmp_path / "r"))
    idle(qtbot, panel)
    found = session.result.localizations
    for kind, breaks in (("blocks", [10, 20, 30, 40, 50]), ("files", [20, 40])):
        choose(local.link_form.controls["breaks"], kind)
        qtbot.waitUntil(lambda k=kind: session.result.config.link.breaks == k)
        idle(qtbot, local)
        expected = link(found, 260.0, session.config.link, breaks=breaks)
        pd.testing.assert_frame_equal(session.result.tracks.table, expected.table)


def test_a_folder_of_the_command_line_joins_the_list(
    viewer: Any, flow: Any, qtbot: Any, tmp_path: Path
) -> None:
    config = Session(viewer).config.with_settings(["clutter.svd_range=2,200"])
    whole = run(flow.acquisition, config, tmp_path / "by_line")
    panel = dock(viewer, "Run history")
    panel.open_folder(str(tmp_path / "by_line"))
    idle(qtbot, panel)
    assert panel.runs.rowCount() == 1
    assert session_of(viewer).result.tracks.n_tracks == whole.tracks.n_tracks


def test_the_stored_list_survives_rubbish_and_other_windows(qtbot: Any, tmp_path: Path) -> None:
    file = tmp_path / "runs.json"
    file.write_text("{ no json")
    assert RunHistory(file=file).entries == []
    entry = {
        "key": "k", "name": "n", "created": "2026-01-01T10:00:00", "scope": "whole series",
        "folder": "/gone", "rows": [["tracks", "3"]],
        "settings": {"seed": "1", "link.max_speed_mm_s": "none", "localize.refine": "none"},
    }  # fmt: skip
    file.write_text(json.dumps([entry, {"key": "half"}, 7]))
    mine = RunHistory(file=file)
    assert [e.folder for e in mine.entries] == ["/gone"]
    assert differing_settings(mine.entries[0], mine.entries[0]) == []
    assert (
        mine.entries[0].settings["link.max_speed_mm_s"] == "auto"
    )  # left blank by an older version
    assert mine.entries[0].settings["localize.refine"] == "none"  # a choice of that name
    # Another window forgot it and added one: forgetting here must keep that one.
    file.write_text(json.dumps([entry, {**entry, "key": "x", "folder": "/other"}]))
    mine.remove(["k"])
    assert [row["folder"] for row in json.loads(file.read_text())] == ["/other"]


def test_the_log_comes_from_any_thread_and_is_bounded(qtbot: Any) -> None:
    book = LogBook("napari_ulm3d.test_of_the_log", most=50)
    heard: list[str] = []
    book.added.connect(lambda line: heard.append(threading.current_thread().name))
    logger = logging.getLogger("napari_ulm3d.test_of_the_log")
    threads = [
        threading.Thread(target=lambda: [logger.info("line %d", k) for k in range(100)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    qtbot.waitUntil(lambda: len(heard) == 400)
    assert set(heard) == {"MainThread"}
    assert len(book.lines()) == 50
    book.close()
    logger.info("no more")
    assert len(book.lines()) == 50


@pytest.mark.slow
def test_the_log_panel_shows_errors_with_their_details(
    loaded: Any, qtbot: Any, tmp_path: Path
) -> None:
    panel = dock(loaded, "Log")
    click(panel.clear_button)
    local = dock(loaded, "Localize & track")
    enter(local.folder, str(tmp_path / "out"))
    click(local.series_button)
    idle(qtbot, local)
    told = [panel.lines.item(k).text() for k in range(panel.lines.count())]
    assert any("block 1 of 3" in text for text in told)
    click(local.series_button)  # the folder holds a finished run now
    idle(qtbot, local)
    assert "Run history" in local.problem.text()
    dock(loaded, "Log")
    choose(panel.level, "Warnings and errors")
    assert panel.lines.count() == 1
    assert not panel.details.isVisible()
    place = panel.lines.visualItemRect(panel.lines.item(0)).center()
    QTest.mouseClick(panel.lines.viewport(), LEFT, Qt.KeyboardModifier.NoModifier, place)
    assert "Traceback" in panel.details.toPlainText()
    click(panel.copy_button)
    copied = QApplication.clipboard().text()
    assert "already contains a finished run" in copied
    assert "Traceback" in copied


@pytest.mark.slow
def test_a_broken_block_is_counted_named_and_left_out(
    loaded: Any, qtbot: Any, tmp_path: Path
) -> None:
    folder = Path(session_of(loaded).paths[0])
    second = sorted(folder.glob("IQ*.npy"))[1]
    second.write_bytes(second.read_bytes()[:3000])
    local = dock(loaded, "Localize & track")
    click(local.series_button)
    idle(qtbot, local)
    result = session_of(loaded).result
    assert [block.index for block in result.failed] == [1]
    assert result.title == "whole series, 1 block failed"
    assert not result.localizations.table["frame"].between(20, 39).any()
    assert {0, 59} <= set(result.localizations.table["frame"])
    assert "1 block failed" in find_layer(loaded, "tracks").name
    assert "IQ002.npy" in local.status.text()
    assert not local.retry_button.isVisible()  # there is no folder that keeps the other blocks
    panel = dock(loaded, "Run history")
    assert rows_of(panel.runs)[0][1] == "whole series, 1 block failed"
    log = dock(loaded, "Log")
    lines = [log.lines.item(k).text() for k in range(log.lines.count())]
    assert any("IQ002.npy" in line for line in lines)


@pytest.mark.slow
def test_broken_blocks_are_tried_again(loaded: Any, qtbot: Any, tmp_path: Path) -> None:
    folder = Path(session_of(loaded).paths[0])
    second = sorted(folder.glob("IQ*.npy"))[1]
    whole = second.read_bytes()
    local = dock(loaded, "Localize & track")
    assert not local.retry_button.isVisible()
    second.write_bytes(whole[:3000])
    enter(local.folder, str(tmp_path / "out"))
    click(local.series_button)
    idle(qtbot, local)
    assert len(session_of(loaded).result.failed) == 1
    assert local.retry_button.isVisible()
    second.write_bytes(whole)
    session_of(loaded).change("link", max_speed_mm_s=12.0)  # the run's own settings are used
    idle(qtbot, local)
    click(local.retry_button)
    idle(qtbot, local)
    assert local.problem.text() == ""
    result = session_of(loaded).result
    assert not result.failed
    assert result.config.link.max_speed_mm_s is None
    expected = run(session_of(loaded).acquisition, result.config)
    pd.testing.assert_frame_equal(result.tracks.table, expected.tracks.table)
    assert not local.retry_button.isVisible()
