"""A CSV file without units: a person says which column is what, and the tracks appear."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("napari")
pytest.importorskip("pytestqt")
pytest.importorskip("qtpy.QtCore", exc_type=ImportError)

from plugin_hands import choose, click, drop, enter
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from qtpy.QtWidgets import QApplication

from napari_ulm3d.plugin.layers.convert import value_of
from napari_ulm3d.plugin.panels.columns import ColumnsDialog
from napari_ulm3d.tables import Tracks


def test_columns_are_explained_by_mouse_and_keyboard(
    viewer: Any, qtbot: Any, tmp_path: Path, ours_reads: None
) -> None:
    path = tmp_path / "my_tracks.csv"
    pd.DataFrame(
        {"particle": [1] * 6, "frame": range(6), "X": np.arange(6.0), "Z": 3.0, "brightness": 1.0}
    ).to_csv(path, index=False)
    drop(viewer, [path])
    qtbot.waitUntil(lambda: bool(_dialogs()))
    (dialog,) = _dialogs()
    # What the names say is chosen already; what nothing says is asked for.
    assert dialog.columns["track_id"].currentText() == "particle"
    assert dialog.columns["x_um"].currentText() == "X"
    assert dialog.columns["y_um"].currentText() == "(none)"
    assert not dialog.open_button.isEnabled()
    assert "frame rate" in dialog.hint.text()
    enter(dialog.rate, "500")
    assert "unit of z, y and x" in dialog.hint.text()  # nothing is guessed
    choose(dialog.length, "pixels")
    assert "size of a pixel" in dialog.hint.text()
    enter(dialog.pixel[0], "50")
    enter(dialog.pixel[2], "80")
    assert dialog.hint.text() == ""
    click(dialog.open_button)
    qtbot.waitUntil(lambda: len(viewer.layers) == 1)
    tracks = value_of(viewer.layers[0], Tracks)
    np.testing.assert_allclose(tracks.table["x_um"], 80 * np.arange(6))
    np.testing.assert_allclose(tracks.table["z_um"], 150.0)
    np.testing.assert_allclose(tracks.table["vx_mm_s"], 40.0)
    assert not dialog.isVisible()
    # Escape: nothing is opened.
    drop(viewer, [path])
    qtbot.waitUntil(lambda: bool(_dialogs()))
    QTest.keyClick(_dialogs()[0], Qt.Key.Key_Escape)
    assert not _dialogs()
    assert len(viewer.layers) == 1


def _dialogs() -> list[ColumnsDialog]:
    QApplication.processEvents()
    shown = [w for w in QApplication.topLevelWidgets() if isinstance(w, ColumnsDialog)]
    return [one for one in shown if one.isVisible()]
