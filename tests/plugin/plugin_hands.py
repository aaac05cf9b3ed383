"""What a person does with a mouse and a keyboard."""

from __future__ import annotations

from typing import Any

import numpy as np
from qtpy.QtCore import QPoint, Qt, QTimer
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication, QLineEdit

from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.plugin.layers.convert import acquisition_layer
from napari_ulm3d.plugin.layers.place import make_layer
from napari_ulm3d.plugin.session import session_of

PLUGIN = "napari-ulm3d"
LEFT = Qt.MouseButton.LeftButton


def dock(viewer: Any, name: str) -> Any:
    """Open one of the plugin's widgets; its panel."""
    _, widget = viewer.window.add_plugin_dock_widget(PLUGIN, name)
    QApplication.processEvents()
    return widget.panel


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
    QTest.keyClicks(edit, text)
    QTest.keyClick(box, Qt.Key.Key_Return)
    if edit is box and not edit.hasFocus():
        edit.editingFinished.emit()


def choose(box: Any, text: str) -> None:
    """Pick an entry of a drop-down list with the keyboard, from its first entry on."""
    box = getattr(box, "box", box)
    wanted = box.findText(text)
    assert wanted >= 0, f"{text} is not offered"
    box.setFocus()
    QTest.keyClick(box, Qt.Key.Key_Home)
    for _ in range(wanted):
        QTest.keyClick(box, Qt.Key.Key_Down)


def drag(plot: Any, line: int, to: float, steps: int = 4) -> None:
    """Drag a plot's line to a value."""
    start = plot.line_pixel(line)
    QTest.mousePress(plot, LEFT, Qt.KeyboardModifier.NoModifier, start.toPoint())
    for share in np.linspace(0, 1, steps + 1)[1:]:
        # Where the value stands now: the plot may be laid out anew while one drags.
        way = plot.pixel_of(to) - start
        QTest.mouseMove(plot, (start + way * float(share)).toPoint())
        QApplication.processEvents()
    end = plot.pixel_of(to).toPoint()
    QTest.mouseMove(plot, end)
    QTest.mouseRelease(plot, LEFT, Qt.KeyboardModifier.NoModifier, end)


def idle(qtbot: Any, *panels: Any, timeout: int = 60_000) -> None:
    """Wait until none of the panels computes any more."""

    def done() -> bool:
        QApplication.processEvents()
        return not any(at_work for panel in panels for at_work in _at_work(panel))

    QTest.qWait(20)
    qtbot.waitUntil(done, timeout=timeout)
    QTest.qWait(20)


def _at_work(panel: Any) -> list[bool]:
    from napari_ulm3d.plugin.jobs.job import Job
    from napari_ulm3d.plugin.layers.place import Placer

    jobs = [job.running for job in panel.findChildren(Job)]
    # Work that waits for more of the same to come counts too.
    waiting = [timer.isActive() for timer in panel.findChildren(QTimer) if timer.isSingleShot()]
    return jobs + waiting + [placer.busy for placer in panel.findChildren(Placer)]
