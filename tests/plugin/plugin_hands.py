"""What a person does with a mouse and a keyboard."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from qtpy.QtCore import QEvent, QMimeData, QPoint, QPointF, Qt, QTimer, QUrl
from qtpy.QtGui import QDropEvent, QMouseEvent
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QFileDialog, QLineEdit

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.plugin.layers.convert import acquisition_layer
from napari_ulm3d.plugin.layers.place import make_layer
from napari_ulm3d.plugin.session import session_of
from napari_ulm3d.plugin.tabs import open_panel

PLUGIN = "napari-ulm3d"
LEFT = Qt.MouseButton.LeftButton
#: How long a test waits for what must happen: a limit for what hangs, not for a slow machine.
PATIENCE_MS = 120_000
NO_KEY = Qt.KeyboardModifier.NoModifier


def dock(viewer: Any, name: str) -> Any:
    """Open one of the plugin's widgets, or go to its tab; its panel."""
    panel = open_panel(viewer, name)
    QApplication.processEvents()
    return panel


def add(viewer: Any, acquisition: Acquisition, paths: list[str] | None = None) -> Any:
    """Put an acquisition into the viewer; its layer."""
    session_of(viewer).expect(acquisition, paths or [])
    layer = viewer.add_layer(make_layer(acquisition_layer(acquisition), "acquisition"))
    QApplication.processEvents()
    return layer


def click(widget: Any) -> None:
    """Click a widget; a check box on its box."""
    dot = QPoint(10, widget.height() // 2) if hasattr(widget, "checkState") else QPoint()
    QTest.mouseClick(widget, LEFT, Qt.KeyboardModifier.NoModifier, dot)


def enter(control: Any, text: str, part: int = 0) -> None:
    """Type into a control's field and press Enter."""
    box = control.boxes[part] if hasattr(control, "boxes") else getattr(control, "box", control)
    edit = box if isinstance(box, QLineEdit) else box.lineEdit()
    edit.setFocus()
    edit.selectAll()
    QTest.keyClicks(edit, text) if text else QTest.keyClick(edit, Qt.Key.Key_Delete)
    QTest.keyClick(box, Qt.Key.Key_Return)
    if edit is box and not edit.hasFocus():
        edit.editingFinished.emit()


def choose(box: Any, text: str) -> None:
    """Pick an entry of a list with the keyboard, from its first entry on, by text or value."""
    box = getattr(box, "box", box)
    wanted = max(box.findText(text), box.findData(text))
    assert wanted >= 0, f"{text} is not offered"
    box.setFocus()
    QTest.keyClick(box, Qt.Key.Key_Home)
    for _ in range(wanted):
        QTest.keyClick(box, Qt.Key.Key_Down)


def drag(plot: Any, line: int, to: float, steps: int = 4) -> None:
    """Drag a plot's line to a value."""
    start, surface = plot.line_pixel(line), plot.viewport()
    QTest.mouseMove(surface, start.toPoint())
    QTest.mousePress(surface, LEFT, Qt.KeyboardModifier.NoModifier, start.toPoint())
    for share in np.linspace(0, 1, steps + 1)[1:]:
        # Where the value stands now: the plot may be laid out anew while one drags.
        way = plot.pixel_of(to) - start
        QTest.mouseMove(surface, (start + way * float(share)).toPoint())
        QApplication.processEvents()
    end = plot.pixel_of(to).toPoint()
    QTest.mouseMove(surface, end)
    QTest.mouseRelease(surface, LEFT, Qt.KeyboardModifier.NoModifier, end)


def answer(dialog: type, act: Any, still: int = 2000) -> None:
    """Do something with the next modal dialog of a kind, as soon as it is there."""

    def look() -> None:
        shown = [w for w in QApplication.topLevelWidgets() if isinstance(w, dialog)]
        shown = [w for w in shown if w.isVisible()]
        if shown:
            act(shown[-1])
        elif still:
            QTimer.singleShot(20, lambda: answer(dialog, act, still - 1))

    QTimer.singleShot(0, look)


def save_as(name: str, before: Any = None) -> None:
    """Type a name into the next save dialog and accept it."""

    def act(dialog: Any) -> None:
        if before is not None:
            before(dialog)
        edit = dialog.findChild(QLineEdit)
        edit.selectAll()
        QTest.keyClicks(edit, name)
        if edit.completer() is not None:
            edit.completer().popup().hide()
        dialog.accept()
        if dialog.isVisible():  # it went into the folder that was typed first
            dialog.accept()

    answer(QFileDialog, act)


def drop(viewer: Any, paths: Sequence[Path]) -> None:
    """Drop files on the canvas with the mouse."""
    mime = QMimeData()
    mime.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    event = QDropEvent(QPointF(20, 20), Qt.DropAction.CopyAction, mime, LEFT, NO_KEY)
    viewer.window._qt_viewer.dropEvent(event)


def idle(qtbot: Any, *panels: Any) -> None:
    """Wait until none of the panels computes any more."""

    quiet = 0

    def done() -> bool:
        # What one thing leaves for another to do may take a turn of the event loop to begin.
        nonlocal quiet
        QApplication.processEvents()
        quiet = 0 if any(busy for panel in panels for busy in _at_work(panel)) else quiet + 1
        return quiet > 3

    qtbot.waitUntil(done)


def _at_work(panel: Any) -> list[bool]:
    from napari_ulm3d.plugin.jobs.job import Job
    from napari_ulm3d.plugin.layers.place import Placer

    jobs = [job.running for owner in (panel, panel.session) for job in owner.findChildren(Job)]
    # Work that waits for more of the same to come counts too.
    waiting = [
        timer.isActive()
        for owner in (panel, panel.session)
        for timer in owner.findChildren(QTimer)
        if timer.isSingleShot()
    ]
    return jobs + waiting + [placer.busy for placer in panel.findChildren(Placer)]


class Pointer:
    """The mouse over a viewer's canvas."""

    def __init__(self, viewer: Any, qtbot: Any) -> None:
        canvas = viewer.window._qt_viewer.canvas
        self._viewer, self._canvas, self._qtbot = viewer, canvas.native, qtbot
        # A dock that was just opened takes its room from the canvas.
        qtbot.waitUntil(
            lambda: tuple(canvas.view.size) == (self._canvas.width(), self._canvas.height())
        )

    def share(self, x: float, y: float) -> QPoint:
        """The pixel at shares of the canvas's width and height."""
        return QPoint(round(x * self._canvas.width()), round(y * self._canvas.height()))

    def place(self, row_um: float, column_um: float) -> QPoint:
        """The pixel where the view shows a place."""
        camera = self._viewer.scene.camera
        row, column = (np.array([row_um, column_um]) - camera.center[-2:]) * camera.zoom
        return self.share(0.5, 0.5) + QPoint(round(column), round(row))

    def move(self, to: QPoint, pressed: Any = Qt.MouseButton.NoButton) -> None:
        """Move there, and wait until napari has heard of it: it skips moves that come fast."""
        # QTest would move the one pointer of the screen, and the windowing system tell of it.
        glob = self._canvas.mapToGlobal(to)
        event = QMouseEvent(
            QEvent.Type.MouseMove, QPointF(to), QPointF(glob), Qt.MouseButton.NoButton,
            pressed, NO_KEY,
        )  # fmt: skip

        def heard() -> bool:
            # Again until it is heard: it may have been skipped, or the canvas resized since.
            QApplication.sendEvent(self._canvas, event)
            QApplication.processEvents()
            camera, shown = self._viewer.scene.camera, list(self._viewer.dims.displayed)
            away = to - self.share(0.5, 0.5)
            expected = np.array(camera.center[-2:]) + np.array([away.y(), away.x()]) / camera.zoom
            found = np.array(self._viewer.cursor.position)[shown]
            return bool(np.allclose(found, expected, atol=1.5 / camera.zoom))

        self._qtbot.waitUntil(heard)

    def click(self, at: QPoint, twice: bool = False) -> None:
        """Click, or double-click."""
        # napari takes no corner of a polygon where the mouse was last.
        for near in (QPoint(6, 6), QPoint(3, 3)):
            self.move(at + near)
        (QTest.mouseDClick if twice else QTest.mouseClick)(self._canvas, LEFT, NO_KEY, at)
        QApplication.processEvents()

    def drag(self, start: QPoint, end: QPoint) -> None:
        """Drag from one point to another."""
        self.move(start)
        QTest.mousePress(self._canvas, LEFT, NO_KEY, start)
        for share in (0.3, 0.7, 1.0):
            self.move(start + (end - start) * share, pressed=LEFT)
        QTest.mouseRelease(self._canvas, LEFT, NO_KEY, end)
        QApplication.processEvents()
