"""Plots by mouse, wheel and keyboard, in both themes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari")
pytest.importorskip("pytestqt")
pytest.importorskip("qtpy.QtCore", exc_type=ImportError)

from plugin_hands import drag
from qtpy.QtCore import QPoint, QPointF, Qt
from qtpy.QtGui import QColor, QPalette
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QScrollArea, QVBoxLayout, QWidget

from napari_ulm3d.plugin.controls.plot import Curve, Plot


def shown(qtbot: Any, plot: Any) -> Any:
    """A plot in a window of its own."""
    window = QWidget()
    QVBoxLayout(window).addWidget(plot)
    window.resize(380, 190)
    qtbot.addWidget(window)
    window.show()
    qtbot.waitExposed(window)
    QApplication.processEvents()
    plot.kept_window = window  # Qt owns nothing without it
    return plot


@pytest.fixture
def plot(qtbot: Any) -> Any:
    made = shown(qtbot, Plot("component", "dB"))
    made.show_curves([Curve(np.arange(1.0, 101), -np.arange(100.0))], x_range=(1, 100))
    return made


def picture(plot: Any) -> Any:
    """Colours of the widget, (rows, columns, 3)."""
    QApplication.processEvents()
    image = plot.grab().toImage().convertToFormat(plot.grab().toImage().Format.Format_RGB888)
    raw = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), -1)
    return raw[:, : 3 * image.width()].reshape(image.height(), image.width(), 3).astype(int)


def near(colours: Any, name: str, tolerance: int = 60) -> Any:
    wanted = QColor(name)
    return np.abs(colours - [wanted.red(), wanted.green(), wanted.blue()]).sum(-1) < tolerance


@pytest.mark.parametrize("log_x", [False, True])
def test_a_line_is_where_the_mouse_puts_it(qtbot: Any, log_x: bool) -> None:
    plot = shown(qtbot, Plot("component", "dB", log_x=log_x))
    plot.show_curves([Curve(np.arange(1.0, 101), -np.arange(100.0))], x_range=(1, 100))
    plot.set_lines([10.0, 80.0], shade=(10, 80))
    told: list[tuple[int, float]] = []
    plot.dragged.connect(lambda number, place: told.append((number, place)))
    drag(plot, 0, 30.0)
    assert plot.places == [pytest.approx(30, rel=0.03), 80]
    assert told[-1] == (0, plot.places[0])
    assert len(told) > 1  # while it moves, and not only at the end
    drag(plot, 1, 50.0)
    assert plot.places[1] == pytest.approx(50, rel=0.03)
    drag(plot, 1, 5000.0)  # not past the end
    assert plot.places[1] == pytest.approx(100)


def test_a_line_on_whole_numbers_is_moved_by_the_arrow_keys(plot: Any) -> None:
    plot.set_lines([10.0, 80.0], whole=True)
    drag(plot, 1, 60.4)
    assert plot.places == [10, 60]
    QTest.keyClick(plot, Qt.Key.Key_Right)
    QTest.keyClick(plot, Qt.Key.Key_Right)
    QTest.keyClick(plot, Qt.Key.Key_Left)
    assert plot.places == [10, 61]  # the one that was touched last


def test_a_line_that_only_shows_something_stays(plot: Any) -> None:
    told: list[Any] = []
    plot.dragged.connect(lambda *where: told.append(where))
    plot.set_lines([40.0], draggable=False)
    drag(plot, 0, 70.0)
    QTest.keyClick(plot, Qt.Key.Key_Right)
    assert plot.places == [40]
    assert told == []


def test_a_line_in_the_hand_is_not_taken_away(plot: Any) -> None:
    """Whoever listens puts the lines anew, rounded or cut, while the mouse still moves one."""
    plot.set_lines([20.0])
    plot.dragged.connect(lambda number, place: plot.set_lines([20.0]))
    drag(plot, 0, 60.0)
    assert plot.places == [pytest.approx(60, rel=0.03)]
    plot.set_lines([20.0])
    assert plot.places == [20]


def test_dragging_elsewhere_moves_and_zooms_nothing(plot: Any) -> None:
    plot.set_lines([20.0])
    before = plot.viewRange()
    at = plot.pixel_of(60.0).toPoint()
    QTest.mousePress(plot.viewport(), Qt.MouseButton.LeftButton, pos=at)
    for step in range(5):
        QTest.mouseMove(plot.viewport(), at + QPoint(10 * step, 4 * step))
    QTest.mouseRelease(plot.viewport(), Qt.MouseButton.LeftButton, pos=at + QPoint(40, 16))
    QTest.mouseDClick(plot.viewport(), Qt.MouseButton.LeftButton, pos=at)
    assert plot.viewRange() == before
    assert plot.places == [20]


def test_the_wheel_over_a_plot_scrolls_the_panel(qtbot: Any) -> None:
    area, inside = QScrollArea(), QWidget()
    column = QVBoxLayout(inside)
    plots = [Plot("x", "y") for _ in range(6)]
    for plot in plots:
        plot.show_curves([Curve(np.arange(9.0), np.arange(9.0))])
        column.addWidget(plot)
    area.setWidget(inside)
    area.setWidgetResizable(True)
    area.resize(400, 300)
    qtbot.addWidget(area)
    area.show()
    qtbot.waitExposed(area)
    QApplication.processEvents()
    assert area.verticalScrollBar().maximum() > 0
    before = plots[0].viewRange()
    at = plots[0].mapTo(area, plots[0].rect().center())
    QTest.wheelEvent(area.windowHandle(), QPointF(at), QPoint(0, -240))
    QApplication.processEvents()
    assert area.verticalScrollBar().value() > 0
    assert plots[0].viewRange() == before


def test_bars_on_a_logarithmic_axis_are_as_high_as_their_counts(qtbot: Any) -> None:
    plot = shown(qtbot, Plot("|c|²", "voxels", log_y=True))
    counts = np.array([1000.0, 0.0, 10.0, 100.0])
    plot.show_curves(
        [Curve(np.arange(4.0), counts, "#58a6ff", bars=True)], (-0.5, 3.5), (1.0, 1000.0)
    )
    blue = near(picture(plot), "#58a6ff")
    heights = [
        blue[:, round(plot.pixel_of(float(at)).x())].sum() for at in range(4)
    ]  # fmt: skip
    assert heights[1] <= 2
    assert heights[2] / heights[0] == pytest.approx(1 / 3, abs=0.06)
    assert heights[3] / heights[0] == pytest.approx(2 / 3, abs=0.06)


@pytest.mark.parametrize(("ink", "ground"), [("#f0f1f2", "#262930"), ("#3b3a39", "#efebe9")])
def test_letters_have_the_colour_of_the_theme(qtbot: Any, ink: str, ground: str) -> None:
    plot = Plot("component", "dB")
    palette = QPalette()
    palette.setColor(QPalette.ColorRole.WindowText, QColor(ink))
    palette.setColor(QPalette.ColorRole.Window, QColor(ground))
    shown(qtbot, plot).show_curves([Curve(np.arange(9.0), np.arange(9.0))])
    plot.set_lines([4.0])
    plot.setPalette(palette)  # as when the theme is changed while the plot is shown
    seen = picture(plot)
    assert near(seen[-22:], ink, 90).sum() > 10  # the label below
    line = seen[:, round(plot.line_pixel(0).x())]
    wanted = "#ffd400" if QColor(ink).lightness() > 127 else "#c77700"
    assert near(line, wanted, 120).sum() > 40


def test_no_background_of_the_former_theme_is_left(qtbot: Any) -> None:
    plot = shown(qtbot, Plot("component", "dB"))
    plot.show_curves([Curve(np.arange(9.0), np.arange(9.0))])
    for ink, ground in (("#f0f1f2", "#262930"), ("#3b3a39", "#efebe9")):
        # As napari's theme comes: by a style sheet of the window.
        plot.kept_window.setStyleSheet(f"QWidget {{ color: {ink}; background-color: {ground}; }}")
        QApplication.processEvents()
        corner = picture(plot)[-8:, :8]
        assert near(corner, ground, 12).all()


def test_a_message_stands_where_there_is_nothing_to_see(plot: Any) -> None:
    plot.set_lines([20.0])
    plot.show_message("No acquisition yet.")
    assert plot.message == "No acquisition yet."
    told: list[Any] = []
    plot.dragged.connect(lambda *where: told.append(where))
    drag(plot, 0, 50.0)
    assert told == []
    plot.show_curves([Curve(np.arange(9.0), np.arange(9.0))])
    assert plot.message == ""


def test_values_below_one_are_written_as_they_are(qtbot: Any) -> None:
    plot = Plot("score", "share")
    scores = np.linspace(0.2, 0.8, 9)
    shown(qtbot, plot).show_curves([Curve(scores, scores / 2)])
    palette = QPalette()
    palette.setColor(QPalette.ColorRole.WindowText, QColor("#3b3a39"))
    plot.setPalette(palette)  # as when a plot takes the theme of the window that it is put in
    picture(plot)
    for side in ("bottom", "left"):
        axis = plot.getAxis(side)
        written = axis.tickStrings([0.2, 0.4], axis.autoSIPrefixScale * axis.scale, 0.2)
        assert [float(text) for text in written] == [0.2, 0.4]
