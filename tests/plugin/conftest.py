"""A real napari viewer for the plugin's tests; they skip where none can be shown."""

from __future__ import annotations

import gc
import os
import shutil
import sys
from collections.abc import Callable
from functools import partial
from importlib import util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_ulm3d._caches import cache_folder
from napari_ulm3d.acquisition import Acquisition

_HERE = Path(__file__).parent
# Where there is Xvfb, every process that tests has a screen of its own (pytest-xvfb).
if sys.platform.startswith("linux") and shutil.which("Xvfb"):
    os.environ["QT_QPA_PLATFORM"] = "xcb"
# Mesa keeps compiled shaders under XDG_CACHE_HOME, which each test moves: one place for all.
if _shaders := cache_folder("shaders"):
    os.environ.setdefault("MESA_SHADER_CACHE_DIR", str(_shaders))
_NEED_VIEWER = {"viewer", "qtbot", "qapp", "make_napari_viewer"}


def _no_viewer_because() -> str:
    for package in ("napari", "PySide6", "pytestqt"):
        if util.find_spec(package) is None:
            return f"{package} is not installed"
    screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if sys.platform.startswith("linux") and not screen:
        return "there is no display (install Xvfb)"
    return ""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    reason = _no_viewer_because()
    if reason:
        for item in items:
            if _HERE in item.path.parents and _NEED_VIEWER & set(getattr(item, "fixturenames", ())):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(autouse=True)
def _no_stray_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulated samples, the list of runs and settings go to a folder of the test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.setattr("napari_ulm3d.plugin.tour.seen.tour_file", lambda: tmp_path / "tour.json")
    monkeypatch.setattr("napari_ulm3d.plugin.tour.tour.was_seen", lambda: True)


@pytest.fixture
def qtbot(qapp: Any, request: pytest.FixtureRequest) -> Any:
    """pytest-qt's, with patience: its own five seconds are short for OpenGL in software."""
    from plugin_hands import PATIENCE_MS
    from pytestqt.qtbot import QtBot

    bot = QtBot(request)
    for name in ("waitUntil", "waitSignal", "waitSignals"):
        setattr(bot, name, partial(getattr(bot, name), timeout=PATIENCE_MS))
    return bot


@pytest.fixture
def _light_garbage() -> None:
    """Leave what is there already out of later collections.

    napari collects garbage whenever a layer goes. Among all that is imported, and thousands of
    collected tests, that took a quarter of the time of these tests.
    """
    gc.collect()
    gc.freeze()


@pytest.fixture
def viewer(_light_garbage: None, make_napari_viewer: Any) -> Any:
    """A viewer with its window on the screen."""
    shown = make_napari_viewer(show=True)
    shown.window.resize(1300, 760)
    return shown


@pytest.fixture
def folder_of(tmp_path: Path) -> Callable[..., Path]:
    """Writes an acquisition as .npy files, with or without what they do not say themselves."""

    def write(acquisition: Acquisition, n_files: int = 1, sidecar: bool = True) -> Path:
        folder = tmp_path / acquisition.name.replace(" ", "_")
        folder.mkdir()
        frames = acquisition.read(0, acquisition.n_frames)
        for number, part in enumerate(np.array_split(frames, n_files), start=1):
            np.save(folder / f"IQ{number:03d}.npy", part)
        if sidecar:
            (folder / "acquisition.toml").write_text(
                f"axes = 'tzyx'\nvoxel_um = {list(acquisition.grid.spacing_um)}\n"
                f"rate_hz = {acquisition.rate_hz}\nwavelength_um = {acquisition.wavelength_um}\n"
            )
        return folder

    return write


@pytest.fixture
def loaded(viewer: Any, flow: Any, folder_of: Any) -> Any:
    """The small flow, opened from a folder, in three blocks."""
    from qtpy.QtWidgets import QApplication

    from napari_ulm3d.plugin.session import session_of

    viewer.open(str(folder_of(flow.acquisition)), plugin="napari-ulm3d")
    QApplication.processEvents()
    session = session_of(viewer)
    session.change("load", frames_per_block=20)
    session.change("clutter", svd_range=(2, 200))
    session.change("maps", resolution_factor=4.0)
    return viewer


@pytest.fixture
def ours_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a person who has told napari to open these with ULM 3D."""
    from napari.settings import get_settings

    patterns = ["*.npy", "*.mat", "*.tif", "*.ome.tif", "*.csv", "*/"]
    get_settings().plugins.extension2reader = dict.fromkeys(patterns, "napari-ulm3d")
