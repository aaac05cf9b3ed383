"""The tour: once by itself, again when it is wanted, by mouse and by keyboard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("napari")
pytest.importorskip("pytestqt")
pytest.importorskip("qtpy.QtCore", exc_type=ImportError)

from plugin_hands import click, dock
from qtpy.QtCore import QPoint, QRect, Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_ulm3d.plugin.tour.seen import was_seen
from napari_ulm3d.plugin.tour.tour import STOPS, take_tour

KEY = Qt.Key


@pytest.fixture
def never_seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As a person who opens the workflow for the first time."""
    monkeypatch.setattr("napari_ulm3d.plugin.tour.tour.was_seen", was_seen)
    return tmp_path / "tour.json"


def turns(qtbot: Any, n: int = 3) -> None:
    """Let the event loop turn a few times: what would begin by itself is asked for one turn later."""
    passed: list[int] = []

    def turn() -> None:
        passed.append(1)
        if len(passed) < n:
            QTimer.singleShot(0, turn)

    QTimer.singleShot(0, turn)
    qtbot.waitUntil(lambda: len(passed) == n)


def begun(panel: Any, qtbot: Any) -> Any:
    qtbot.waitUntil(lambda: panel.tour is not None and panel.tour.at == 1)
    QApplication.processEvents()
    return panel.tour


def test_six_balloons_by_keyboard(viewer: Any, qtbot: Any, never_seen: Path) -> None:
    viewer.window.resize(1366, 740)
    panel = dock(viewer, "ULM workflow")
    tour = begun(panel, qtbot)
    window = viewer.window._qt_window
    texts = set()
    for number in range(1, 7):
        assert tour.at == number
        balloon = tour.balloon
        assert balloon.count.text() == f"{number} of 6"
        assert window.rect().contains(balloon.geometry())
        name = STOPS[number - 1][0]
        step = panel.sections.get(name)
        target = getattr(panel, name) if step is None else step.title
        place = QRect(target.mapTo(window, QPoint(0, 0)), target.size())
        assert not balloon.geometry().adjusted(0, 0, -1, 0).intersects(place)
        assert abs(balloon.geometry().center().y() - place.center().y()) < balloon.height()
        texts.add(balloon.words.text())
        assert window.focusWidget() is balloon.next_button
        QTest.keyClick(window.focusWidget(), KEY.Key_Return if number % 2 else KEY.Key_Right)
        QApplication.processEvents()
    assert tour.at == 0
    assert len(texts) == 6
    assert never_seen.is_file()
    # It does not begin again by itself, but when it is asked for.
    panel.hide()
    panel.show()
    turns(qtbot)
    assert tour.at == 0
    click(panel.tour_button)
    assert tour.at == 1
    QTest.keyClick(window.focusWidget(), KEY.Key_Right)
    QTest.keyClick(window.focusWidget(), KEY.Key_Left)
    QTest.keyClick(window.focusWidget(), KEY.Key_Left)
    assert tour.at == 1
    QTest.keyClick(window.focusWidget(), KEY.Key_Escape)
    assert tour.at == 0


def test_it_is_dismissed_with_the_mouse_and_had_again_from_the_menu(
    viewer: Any, qtbot: Any, never_seen: Path
) -> None:
    panel = dock(viewer, "ULM workflow")
    tour = begun(panel, qtbot)
    before = tour.balloon.geometry()
    viewer.window.resize(1000, 640)  # it stays beside what it points at
    qtbot.waitUntil(lambda: tour.balloon.geometry() != before)
    assert viewer.window._qt_window.rect().contains(tour.balloon.geometry())
    click(tour.balloon.next_button)
    assert tour.at == 2
    click(tour.balloon.close_button)
    assert tour.at == 0
    assert never_seen.is_file()
    take_tour(viewer)
    qtbot.waitUntil(lambda: tour.at == 1)


def test_it_does_not_begin_where_it_was_seen(viewer: Any, qtbot: Any) -> None:
    panel = dock(viewer, "ULM workflow")
    turns(qtbot)
    assert panel.tour is None
