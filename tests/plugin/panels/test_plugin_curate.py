"""Tracks selected in the view or the table, edited, undone, and kept in the results folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari")
pytest.importorskip("pytestqt")
pytest.importorskip("qtpy.QtCore", exc_type=ImportError)

from plugin_hands import Pointer, click, dock, idle

from napari_ulm3d.edits import read_edits
from napari_ulm3d.io.results import ResultsFolder
from napari_ulm3d.plugin.controls.track_table import table_of_tracks
from napari_ulm3d.plugin.layers.place import find_layer
from napari_ulm3d.plugin.layers.vessel_view import look_at_a_plane
from napari_ulm3d.plugin.session import session_of


@pytest.mark.slow
def test_tracks_are_curated(loaded: Any, qtbot: Any, tmp_path: Path) -> None:
    session = session_of(loaded)
    run = dock(loaded, "Localize & track")
    run.folder.setText(str(tmp_path / "run"))
    click(run.series_button)
    idle(qtbot, run)
    panel = dock(loaded, "Curate tracks")
    idle(qtbot, panel)
    first = session.result
    rows = table_of_tracks(first.tracks)
    assert panel.table.model().rowCount() == len(rows) == first.tracks.n_tracks
    assert rows["frames"].sum() == len(first.tracks)

    # A track that is clicked in the view is chosen in the table and marked.
    look_at_a_plane(loaded)
    row = len(first.tracks) // 2
    point = first.tracks.positions_um[row]
    for axis, value in enumerate(point, start=1):
        loaded.dims.set_point(axis, float(value))
    number = int(first.tracks.table["track_id"].iloc[row])
    idle(qtbot, panel)
    pointer = Pointer(loaded, qtbot)
    across = [axis - 1 for axis in loaded.dims.displayed]
    pointer.click(pointer.place(*point[across]))
    idle(qtbot, panel)
    assert panel.table.chosen == (number,)
    assert find_layer(loaded, "chosen tracks") is not None

    # It is deleted from the table, the maps and the folder, and comes back.
    click(panel.delete_button)
    idle(qtbot, panel)
    assert panel.problem.text() == ""
    assert session.result.tracks.n_tracks == first.tracks.n_tracks - 1
    assert number not in session.result.tracks.table["track_id"].to_numpy()
    folder = ResultsFolder.open(tmp_path / "run")
    assert folder.tracks().n_tracks == session.result.tracks.n_tracks
    np.testing.assert_array_equal(
        folder.map("density").dense(), session.result.maps["density"].dense()
    )
    session.undo.undo()
    idle(qtbot, panel)
    assert session.result.tracks.table.equals(first.tracks.table)
    assert read_edits(tmp_path / "run") == ()
    session.undo.redo()
    idle(qtbot, panel)
    assert session.result.tracks.n_tracks == first.tracks.n_tracks - 1

    # A split at the time slider, a mark, and all taken back.
    longest = int(table_of_tracks(session.result.tracks)["frames"].idxmax())
    frames = session.result.tracks.table.query("track_id == @longest")["frame"]
    middle = int(frames.iloc[len(frames) // 2])
    loaded.dims.set_point(0, middle / session.result.rate_hz)
    panel.table.choose((longest,))
    click(panel.split_button)
    idle(qtbot, panel)
    assert session.result.tracks.n_tracks == first.tracks.n_tracks
    panel.table.choose((longest,))
    click(panel.verify_button)
    idle(qtbot, panel)
    assert table_of_tracks(session.result.tracks).loc[longest, "verified"]
    panel.table.choose(tuple(table_of_tracks(session.result.tracks).index[:2].tolist()))
    assert "3 edits, kept in the results folder" in panel.status.text()
    click(panel.back_button)
    idle(qtbot, panel)
    assert session.result.tracks.table.equals(first.tracks.table)
    assert read_edits(tmp_path / "run") == ()
