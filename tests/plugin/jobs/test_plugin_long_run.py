"""A long series: cancelled, closed, and never computed on the GUI thread."""

from __future__ import annotations

import importlib
import pkgutil
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari")
pytest.importorskip("pytestqt")
pytest.importorskip("qtpy.QtCore", exc_type=ImportError)

from numba.core.dispatcher import Dispatcher
from plugin_hands import PATIENCE_MS, add, click, dock, idle
from qtpy.QtCore import QThreadPool
from qtpy.QtWidgets import QApplication
from scipy.ndimage import gaussian_filter

import napari_ulm3d
from napari_ulm3d.acquisition import Acquisition
from napari_ulm3d.plugin.layers.place import find_layer
from napari_ulm3d.plugin.session import session_of


def long_series(n_frames: int = 4000) -> Acquisition:
    """A series that takes much longer than a test may: bubbles in noise, frames repeated."""
    rng = np.random.default_rng(1)
    frames = (rng.normal(size=(n_frames // 20, 24, 20, 20, 2)) @ [1, 1j]).astype(np.complex64)
    bubbles = np.zeros((24, 20, 20))
    bubbles[5:20:5, 4:18:6, 4:18:6] = 500
    frames += gaussian_filter(bubbles, 1.3).astype(np.float32)
    return Acquisition.from_array(np.tile(frames, (20, 1, 1, 1)), (100, 150, 150), 500.0)


@pytest.mark.slow
def test_cancel_ends_early_and_keeps_what_is_finished(
    viewer: Any, qtbot: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="napari_ulm3d")
    add(viewer, long_series())
    session = session_of(viewer)
    session.change("load", frames_per_block=50)
    session.change("clutter", method="none")
    panel = dock(viewer, "Localize & track")
    click(panel.series_button)
    qtbot.waitUntil(lambda: "volumes/s" in panel.status.text())
    assert "left" in panel.status.text()
    # The bar moves within a block; what is kept are the finished ones.
    finished = ["block 1 of 80", "block 2 of 80"]
    qtbot.waitUntil(lambda: all(name in caplog.text for name in finished))
    click(panel.cancel_button)
    finished_when_asked = caplog.text.count(" of 80")
    idle(qtbot, panel)
    assert caplog.text.count(" of 80") <= finished_when_asked + 2
    result = session.result
    assert not result.complete
    assert 0 < result.localizations.frames.max() < 3999
    assert "stopped early" in panel.status.text()
    assert "stopped early" in find_layer(viewer, "localizations").name
    assert panel.series_button.isEnabled()


@pytest.mark.slow
def test_closing_the_window_ends_the_run(make_napari_viewer: Any, qtbot: Any) -> None:
    from napari_ulm3d.plugin.jobs import job

    viewer = make_napari_viewer(show=True)
    add(viewer, long_series())
    session_of(viewer).change("load", frames_per_block=50)
    session_of(viewer).change("clutter", method="none")
    panel = dock(viewer, "Localize & track")
    click(panel.series_button)
    qtbot.waitUntil(lambda: "volumes/s" in panel.status.text())
    (running,) = job._running
    viewer.close()
    assert running._stop is None or running._stop.is_set()
    assert QThreadPool.globalInstance().waitForDone(PATIENCE_MS)
    QApplication.processEvents()  # what the run had still to tell reaches nobody


@pytest.mark.slow
def test_nothing_is_computed_on_the_gui_thread(viewer: Any, qtbot: Any) -> None:
    """The GUI thread is looked at every few milliseconds while a whole series is localized."""
    add(viewer, long_series(1000))
    session = session_of(viewer)
    session.change("load", frames_per_block=50)
    session.change("clutter", method="none")
    panel = dock(viewer, "Localize & track")
    click(panel.frame_button)  # compiles what is not compiled yet
    idle(qtbot, panel)
    looks: list[set[str]] = []
    done = threading.Event()
    watcher = threading.Thread(target=watch, args=(threading.get_ident(), done, looks))
    watcher.start()
    click(panel.series_button)
    idle(qtbot, panel)
    done.set()
    watcher.join()
    assert session.result.complete
    computing = [stages for stages in looks if stages]
    assert len(looks) > 100
    assert len(computing) < 0.02 * len(looks), computing


def watch(thread: int, done: threading.Event, looks: list[set[str]]) -> None:
    """Note again and again which stages' functions a thread is in."""
    stages = {"filtering", "sparsify", "localize", "link", "maps"}
    package = Path(napari_ulm3d.__file__).parent
    while not done.wait(0.003):
        frame, found = sys._current_frames().get(thread), set()
        while frame is not None:
            path = Path(frame.f_code.co_filename)
            if package in path.parents:
                found.add(path.relative_to(package).parts[0])
            frame = frame.f_back
        looks.append(found & stages)


def test_compiled_functions_let_the_gui_thread_run() -> None:
    """They release Python's lock: one that keeps it stops the window from a thread of its own."""
    found = {}
    for module in pkgutil.walk_packages(napari_ulm3d.__path__, "napari_ulm3d."):
        if module.name.endswith("__main__"):
            continue
        for thing in vars(importlib.import_module(module.name)).values():
            if isinstance(thing, Dispatcher):
                found[thing.py_func.__qualname__] = thing.targetoptions.get("nogil", False)
    assert len(found) > 30
    assert [name for name, released in found.items() if not released] == []
