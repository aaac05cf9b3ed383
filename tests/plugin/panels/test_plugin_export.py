"""*Export…*: the name of what is exported, the suffix that is typed, nothing replaced unasked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari")
pytest.importorskip("pytestqt")
pytest.importorskip("qtpy.QtCore", exc_type=ImportError)

from plugin_hands import add, answer, choose, click, dock, idle, save_as
from qtpy.QtWidgets import QFileDialog, QLineEdit, QMessageBox, QPushButton
from test_plugin_core import tracks_table
from tube_tracks import tube_results

from napari_ulm3d.io.writers import read_map, read_table
from napari_ulm3d.plugin.session import session_of
from napari_ulm3d.plugin.state.results import Result
from napari_ulm3d.tables import Localizations, Tracks
from napari_ulm3d.volumes import VesselMap


@pytest.fixture
def export(viewer: Any, flow: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The Export widget over a result with tracks, density and speed."""
    monkeypatch.chdir(tmp_path)
    add(viewer, flow.acquisition)
    session, grid = session_of(viewer), flow.acquisition.grid
    maps = {
        name: VesselMap.from_dense(name, np.full(grid.shape, value, np.float32), grid)
        for name, value in (("density", 2.0), ("speed", 5.0))
    }
    tracks = tracks_table([12, 9], [3.0, 5.0])
    result = Result(grid, 260.0, 100.0, session.config, Localizations.empty(), tracks, maps=maps)
    session.set_result(result)
    return dock(viewer, "Export")


def press(box: Any, name: str) -> None:
    (found,) = [b for b in box.findChildren(QPushButton) if b.text().replace("&", "") == name]
    click(found)


def test_the_name_is_that_of_what_is_exported(export: Any, qtbot: Any, tmp_path: Path) -> None:
    offered = []

    def note(dialog: Any) -> None:
        offered.append(dialog.findChild(QLineEdit).text())

    # The entries are those of Vessel maps, the files are named as in a results folder.
    shown = {
        "tracks": "Tracks", "density": "Density (tracks per voxel)", "speed": "Speed (mm/s)"
    }  # fmt: skip
    for what, label in shown.items():
        choose(export.what, label)
        save_as(str(tmp_path / f"my {what}"), before=note)
        click(export.export_button)
        idle(qtbot, export)
        assert export.problem.text() == ""
    assert [name.partition(".")[0] for name in offered] == ["tracks", "density", "speed"]
    assert read_table(tmp_path / "my tracks.parquet", Tracks).n_tracks == 2
    for name, value in (("density", 2.0), ("speed", 5.0)):
        assert (read_map(tmp_path / f"my {name}.ome.tif").dense() == value).all()
    which = dock(export.viewer, "Vessel maps").which
    assert {which.itemText(k) for k in range(which.count())} > {shown["density"], shown["speed"]}


def test_the_suffix_that_is_typed_is_obeyed(export: Any, qtbot: Any, tmp_path: Path) -> None:
    for name in ("tracks.csv", "tracks.vtp", "mouse 1.5"):
        choose(export.what, "tracks")
        save_as(str(tmp_path / name))
        click(export.export_button)
        idle(qtbot, export)
        assert export.problem.text() == ""
    written = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert written == {"tracks.csv", "tracks.vtp", "mouse 1.5.parquet"}
    save_as(str(tmp_path / "tracks.docx"))
    click(export.export_button)
    idle(qtbot, export)
    assert ".parquet .csv" in export.problem.text()  # what can be written instead
    choose(export.what, "density")
    save_as(str(tmp_path / "density.csv"))  # a map is no table
    click(export.export_button)
    idle(qtbot, export)
    assert "density.csv" in export.problem.text()
    assert not (tmp_path / "density.csv").exists()
    assert not (tmp_path / "density.csv.ome.tif").exists()


@pytest.mark.slow
def test_a_report_of_the_results_folder(export: Any, qtbot: Any, tmp_path: Path) -> None:
    click(export.report_button)
    assert "in memory only" in export.problem.text()
    folder = tube_results(tmp_path / "run", n_tracks=60)
    session = export.session
    session.set_result(replace(session.result, folder=folder))
    save_as(str(tmp_path / "mine"))
    click(export.report_button)
    idle(qtbot, export)
    assert export.problem.text() == ""
    assert "Largest vessels by flow" in (tmp_path / "mine.html").read_text(encoding="utf-8")
    assert export.report_button.isEnabled()


def test_nothing_is_replaced_unasked(export: Any, qtbot: Any, tmp_path: Path) -> None:
    """Qt asks about the name that is typed; the one with the suffix added is asked about as well."""
    target = tmp_path / "density.ome.tif"
    target.write_bytes(b"of someone")
    choose(export.what, "density")

    def refuse(box: Any) -> None:
        assert "density.ome.tif" in box.text()
        press(box, "No")
        for dialog in export.findChildren(QFileDialog):
            dialog.reject()

    answer(QMessageBox, refuse)
    save_as(str(tmp_path / "density"))
    click(export.export_button)
    idle(qtbot, export)
    assert target.read_bytes() == b"of someone"

    answer(QMessageBox, lambda box: press(box, "Yes"))
    save_as(str(tmp_path / "density"))
    click(export.export_button)
    idle(qtbot, export)
    assert (read_map(target).dense() == 2).all()
