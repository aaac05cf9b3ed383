"""From a fresh napari to a first map, as for a new user. `python -m benchmarks.interaction.journeys`

A real window is operated through its menu, buttons and dialogs by mouse events. Every mouse press
is counted, and the time runs from the first one until the map is drawn. The steps follow each
other immediately, so the time is waiting time, without reading.
"""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.machine import machine_line, markdown_table

_WAIT_S = 600.0


def main() -> None:
    """Print a table of the journeys."""
    if sys.platform.startswith("linux") and not os.environ.get("DISPLAY"):
        raise SystemExit("There is no display. Run: scripts/with-display.sh python -m ...")
    with tempfile.TemporaryDirectory() as folder:
        for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME"):
            os.environ[name] = folder  # as for a new user
        print(machine_line("napari", "PySide6-Essentials"), end="\n\n", flush=True)
        rows = [_sample(), _own_folder(Path(folder) / "my mouse")]
        rows += [_bare_folder(Path(folder) / "bare mouse"), _layer(), _tracks_layer()]
        print(markdown_table(["journey", "clicks", "seconds to the map"], rows))


def _sample() -> list[str]:
    with _Person() as person:
        panel = person.open_workflow()
        person.click(panel.sample_button)
        person.wait(person.sees_map)
        return ["the finished sample", *person.counted()]


def _own_folder(folder: Path) -> list[str]:
    from napari_ulm3d.simulate import sample_data_path

    shutil.copytree(sample_data_path(), folder)
    with _Person() as person:
        panel = person.open_workflow()
        person.choosing(folder)
        person.click(panel.next_button)  # Choose a folder…
        load = panel.panels["Load"]
        person.wait(lambda: load.open_button.isEnabled())
        person.click(load.open_button)
        person.wait(lambda: panel.next_button.text() == "Make the map")
        person.click(panel.next_button)
        person.wait(person.sees_map)
        return ["a folder of one's own (400 frames)", *person.counted()]


def _bare_folder(folder: Path) -> list[str]:
    from napari_ulm3d.simulate import sample_data_path

    shutil.copytree(sample_data_path(), folder, ignore=shutil.ignore_patterns("*.toml"))
    with _Person() as person:
        panel = person.open_workflow()
        person.choosing(folder)
        person.click(panel.next_button)  # Choose a folder…
        controls = panel.panels["Load"].form.controls
        person.wait(lambda: "voxel size and frame rate" in panel.panels["Load"].problem.text())
        voxel, (rate, *_) = controls["voxel_um"].boxes, controls["rate_hz"].boxes
        person.click(voxel[0])  # from there with the Tab key
        for box, text in zip([*voxel, rate], ("98.56", "150", "150", "260"), strict=True):
            person.type(box, text)
        person.wait(lambda: panel.next_button.text() == "Open these files")
        person.click(panel.next_button)
        person.wait(lambda: panel.next_button.text() == "Make the map")
        person.click(panel.next_button)
        person.wait(person.sees_map)
        return ["the same without metadata: four numbers typed", *person.counted()]


def _layer() -> list[str]:
    import numpy as np

    from napari_ulm3d import open_acquisition
    from napari_ulm3d.simulate import sample_data_path

    acquisition = open_acquisition([str(sample_data_path())])
    scale = (1 / acquisition.rate_hz, *acquisition.grid.spacing_um)
    with _Person() as person:
        frames = np.abs(acquisition.read(0, acquisition.n_frames))
        person.viewer.add_image(frames, scale=scale, units=("s", "um", "um", "um"))
        panel = person.open_workflow()
        person.click(panel.panels["Load"].from_layer.use_button)
        person.wait(lambda: panel.next_button.text() == "Make the map")
        person.click(panel.next_button)
        person.wait(person.sees_map)
        return ["an image layer with scale and units (400 frames)", *person.counted()]


def _tracks_layer() -> list[str]:
    import pandas as pd

    from napari_ulm3d.simulate.sample_map import sample_map_path

    table = pd.read_parquet(sample_map_path() / "tracks.parquet")
    rows = table[["track_id", "frame", "z_um", "y_um", "x_um"]].to_numpy()
    scale = (float(table["time_s"].max() / table["frame"].max()), 1, 1, 1)
    with _Person() as person:
        person.viewer.add_tracks(rows, scale=scale, units=("s", "um", "um", "um"))
        panel = person.open_workflow()
        person.click(panel.panels["Load"].from_layer.use_button)
        person.wait(person.sees_map)
        return [f"a tracks layer ({len(rows):,} points)", *person.counted()]


class _Person:
    """A new window, with clicks that are counted."""

    def __enter__(self) -> _Person:
        import napari
        from qtpy.QtWidgets import QApplication

        self.viewer: Any = napari.Viewer()
        self.viewer.window.resize(1366, 740)
        self._app: Any = QApplication.instance()
        self.clicks, self._began = 0, 0.0
        self.wait(lambda: True)
        return self

    def __exit__(self, *error: object) -> None:
        self.viewer.close()

    def wait(self, seen: Callable[[], bool]) -> None:
        """Process events until something is seen."""
        end = time.perf_counter() + _WAIT_S
        self._app.processEvents()
        while not seen():
            self._app.processEvents()
            time.sleep(0.005)
            if time.perf_counter() > end:
                raise SystemExit("A journey did not end.")

    def click(self, widget: Any, place: Any = None) -> None:
        """Press and release the mouse on a widget."""
        from qtpy.QtCore import QPoint, Qt
        from qtpy.QtTest import QTest

        self.clicks += 1
        self._began = self._began or time.perf_counter()
        at = QPoint() if place is None else place
        QTest.mouseClick(widget, Qt.MouseButton.LeftButton, Qt.KeyboardModifier.NoModifier, at)
        self._app.processEvents()

    def type(self, box: Any, text: str) -> None:
        """Type into a field that has been entered by a click or the Tab key."""
        from qtpy.QtCore import Qt
        from qtpy.QtTest import QTest

        QTest.keyClicks(box.lineEdit(), text)
        QTest.keyClick(box, Qt.Key.Key_Return)

    def open_workflow(self) -> Any:
        """Plugins > ULM 3D > ULM workflow; the submenu opens under the mouse without a click."""
        bar = self.viewer.window._qt_window.menuBar()
        menu = bar
        for text in ("Plugins", "ULM 3D", "ULM workflow"):
            step = next(a for a in menu.actions() if text in a.text().replace("&", ""))
            if menu is bar or step.menu() is None:
                self.click(menu, menu.actionGeometry(step).center())
            else:
                menu.setActiveAction(step)
                step.menu().popup(menu.mapToGlobal(menu.actionGeometry(step).topRight()))
                self._app.processEvents()
            menu = step.menu()
        docks = self.viewer.window.dock_widgets
        self.wait(lambda: any(name.startswith("ULM workflow") for name in docks))
        name = next(name for name in docks if name.startswith("ULM workflow"))
        panel = docks[name].panel
        self.wait(lambda: panel.tour is not None and panel.tour.at == 1)
        panel.tour.balloon.hide()  # a user may read it and continue
        return panel

    def choosing(self, folder: Path) -> None:
        """Answer the next dialog with a folder: a click on it."""
        from qtpy.QtCore import QTimer
        from qtpy.QtWidgets import QFileDialog, QLineEdit

        def answer() -> None:
            shown = [w for w in self._app.topLevelWidgets() if isinstance(w, QFileDialog)]
            if not shown:
                QTimer.singleShot(20, answer)
                return
            self.clicks += 1
            shown[0].findChild(QLineEdit).setText(str(folder))
            shown[0].accept()

        QTimer.singleShot(20, answer)

    def sees_map(self) -> bool:
        """Whether the vessel map is shown alone, in 3-D."""
        from napari_ulm3d.plugin.layers.place import find_layer

        shown = find_layer(self.viewer, "map")
        visible = [layer for layer in self.viewer.layers if layer.visible]
        return shown is not None and visible == [shown] and self.viewer.dims.ndisplay == 3

    def counted(self) -> tuple[str, str]:
        """Clicks and seconds."""
        return str(self.clicks), f"{time.perf_counter() - self._began:.1f}"


if __name__ == "__main__":
    main()
