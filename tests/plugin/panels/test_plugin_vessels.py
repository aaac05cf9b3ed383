"""The Vessels widget: a table of vessels linked with the view, both ways, by mouse and keyboard."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("napari")
pytest.importorskip("pytestqt")
pytest.importorskip("qtpy.QtCore", exc_type=ImportError)

from plugin_hands import NO_KEY, Pointer, choose, click, dock, enter, idle, save_as
from qtpy.QtCore import Qt
from qtpy.QtTest import QTest
from tube_tracks import as_tracks, density, line, tube

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import PipelineConfig
from napari_ulm3d.plugin.layers.convert import map_layer, tracks_layer, value_of
from napari_ulm3d.plugin.layers.place import find_layer, make_layer, place
from napari_ulm3d.plugin.layers.track_colors import COLOUR_BAR
from napari_ulm3d.plugin.layers.vessel_lines import CHOSEN_ROLE, VesselLines, vessel_at
from napari_ulm3d.plugin.layers.vessel_view import fit_view
from napari_ulm3d.plugin.napari_private import overlay_of
from napari_ulm3d.plugin.panels.parts.vessel_table import SHOWN, VesselTable
from napari_ulm3d.plugin.session import session_of
from napari_ulm3d.plugin.state.results import Result
from napari_ulm3d.tables import Localizations, Tracks
from napari_ulm3d.vasculature import JUNCTION_COLUMNS, VESSEL_COLUMNS, VesselGraph
from napari_ulm3d.volumes import VesselMap

COLUMN = {name: k for k, (name, _, _) in enumerate(SHOWN)}


def many(n: int) -> VesselGraph:
    """Straight vessels along x, one above the other, with numbers drawn by lot."""
    rng = np.random.default_rng(0)
    table = pd.DataFrame({name: rng.random(n) * 100 for name in VESSEL_COLUMNS})
    table["vessel_id"] = np.arange(1, n + 1)
    table["kind"] = rng.choice(["artery", "vein", "unknown"], n)
    table.loc[::3, "diameter_um"] = np.nan
    paths = tuple(np.array([[10.0 * k, 0, 0], [10.0 * k, 0, 500]]) for k in range(n))
    nodes = np.concatenate(paths)
    return VesselGraph(nodes, paths, table, pd.DataFrame(columns=list(JUNCTION_COLUMNS)))


@pytest.mark.slow
def test_a_large_table_is_sorted_and_filtered_as_pandas_does_it(qtbot: Any) -> None:
    from qtpy.QtTest import QAbstractItemModelTester

    graph = many(5000)
    model = VesselTable()
    tester = QAbstractItemModelTester(model, QAbstractItemModelTester.FailureReportingMode.Fatal)
    model.show_graph(graph)
    assert model.rowCount() == 5000
    for name, order, ascending in (
        ("flow_nl_min", Qt.SortOrder.DescendingOrder, False),
        ("diameter_um", Qt.SortOrder.AscendingOrder, True),
        ("diameter_um", Qt.SortOrder.DescendingOrder, False),
    ):
        model.sort(COLUMN[name], order)
        theirs = graph.table.sort_values(
            name, ascending=ascending, na_position="last", kind="stable"
        )
        assert model.order.tolist() == theirs.index.tolist()
    model.filter("length_um", 20.0, 60.0, "artery")
    wanted = graph.table.query("20 <= length_um <= 60 and kind == 'artery'")
    assert sorted(model.order) == wanted.index.tolist()
    row = model.row_of(int(wanted.index[0]))
    assert row is not None
    assert model.data(model.index(row, 0)) == f"{wanted['vessel_id'].iloc[0]:,}"
    assert model.row_of(int(graph.table.query("kind == 'vein'").index[0])) is None
    del tester


def test_the_vessel_that_a_ray_meets() -> None:
    lines = VesselLines.of(many(20))
    at = np.array([51.0, -900.0, 250.0])
    along_y = np.array([0.0, 1.0, 0.0])
    assert vessel_at(lines, at, along_y, 0.5) == 5
    assert vessel_at(lines, at + np.array([0, 0, 900]), along_y, 0.5) is None
    shown = np.ones(20, bool)
    shown[5] = False
    assert vessel_at(lines, at, along_y, 2.0, shown) in (4, 6)


@pytest.fixture
def vessels(viewer: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The widget over a result with two tubes along z, seen from the side."""
    monkeypatch.chdir(tmp_path)
    grid = Grid((60, 40, 40), (10.0, 10.0, 10.0))
    rng = np.random.default_rng(0)
    tables = tube(line((40.0, 200.0, 100.0), (560.0, 200.0, 100.0)), 30.0, 5.0, 150, rng, 4.0)
    tables += tube(line((40.0, 200.0, 300.0), (560.0, 200.0, 300.0)), 60.0, 5.0, 150, rng, 4.0)
    tracks = as_tracks(tables)
    maps = {"density": density(tracks, grid)}
    for layer, role in ((map_layer(maps["density"]), "map"), (tracks_layer(tracks), "tracks")):
        place(viewer, make_layer(layer, role))
    session = session_of(viewer)
    session.set_result(
        Result(grid, 1000.0, 100.0, PipelineConfig(), Localizations.empty(), tracks, maps=maps)
    )
    return dock(viewer, "Vessels")


def click_row(panel: Any, row: int) -> None:
    place = panel.table.visualRect(panel.model.index(row, 1)).center()
    QTest.mouseClick(panel.table.viewport(), Qt.MouseButton.LeftButton, NO_KEY, place)


def click_view(viewer: Any, at: Any) -> None:
    canvas = viewer.window._qt_viewer.canvas.native
    QTest.mouseClick(canvas, Qt.MouseButton.LeftButton, NO_KEY, at)


def without_end(*_: Any, progress: Any, **__: Any) -> None:
    """Measuring that ends only when it is cancelled."""
    while True:
        progress("thinning")
        time.sleep(0.01)


@pytest.mark.slow
def test_table_and_view_are_one(
    viewer: Any, vessels: Any, qtbot: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    panel = vessels
    assert panel.source.currentText() == "current result"
    click(panel.measure_button)
    idle(qtbot, panel)
    assert panel.problem.text() == ""
    viewer.dims.ndisplay = 2  # here: the sliders that appear take room from the canvas
    viewer.dims.order = (0, 2, 1, 3)
    table = panel.lines.graph.table
    wide, thin = (int(k) for k in table["diameter_um"].to_numpy().argsort()[::-1][:2])
    assert table.loc[wide, "diameter_um"] == pytest.approx(60, abs=6)
    assert table.loc[thin, "diameter_um"] == pytest.approx(30, abs=6)
    # Tracks know their vessel.
    tracks = find_layer(viewer, "tracks")
    named = value_of(tracks, Tracks).table
    assert set(named["vessel_id"]) >= {int(table.loc[k, "vessel_id"]) for k in (wide, thin)}
    assert (tracks.features["vessel_id"].to_numpy() == named["vessel_id"].to_numpy()).all()

    # A click on a heading sorts, on a row lights up its vessel.
    header = panel.table.horizontalHeader()
    x = header.sectionViewportPosition(COLUMN["diameter_um"]) + 20
    place_of = header.viewport().rect().center()
    place_of.setX(x)
    QTest.mouseClick(header.viewport(), Qt.MouseButton.LeftButton, NO_KEY, place_of)
    first = panel.model.order.tolist().index(thin)
    assert first < panel.model.order.tolist().index(wide)
    click_row(panel, panel.model.row_of(thin))
    idle(qtbot, panel)
    assert panel.chosen == [thin]
    lit = find_layer(viewer, CHOSEN_ROLE)
    assert np.abs(lit.data[:, 0, 2] - 100.0).max() < 15

    # A click on a vessel in the view chooses its row; beside the vessels, none.
    fit_view(viewer, find_layer(viewer, "vessels"))
    idle(qtbot, panel)
    pointer = Pointer(viewer, qtbot)
    assert tuple(viewer.dims.displayed) == (1, 3)
    click_view(viewer, pointer.place(300.0, 300.0))
    qtbot.waitUntil(lambda: panel.chosen == [wide])
    assert np.abs(find_layer(viewer, CHOSEN_ROLE).data[:, 0, 2] - 300.0).max() < 15
    click_view(viewer, pointer.place(300.0, 200.0))
    qtbot.waitUntil(lambda: panel.chosen == [])
    assert find_layer(viewer, CHOSEN_ROLE) is None

    # A filter thins out both.
    drawn = len(find_layer(viewer, "vessels").data)
    choose(panel.filter_by, "Diameter µm")
    enter(panel.low, "45")
    idle(qtbot, panel)
    assert panel.model.order.tolist() == [wide]
    assert 0 < len(find_layer(viewer, "vessels").data) < drawn
    click_view(viewer, pointer.place(300.0, 100.0))
    idle(qtbot, panel)
    assert panel.chosen == []
    enter(panel.low, "")
    choose(panel.colour_by, "Colour: Speed mm/s")
    idle(qtbot, panel)
    shown = find_layer(viewer, "vessels")
    assert shown.name == "vessels by mean speed [mm/s]"
    assert overlay_of(shown, COLOUR_BAR).visible
    assert len(find_layer(viewer, "vessels").data) == drawn

    save_as(str(tmp_path / "mine.csv"))
    click(panel.export_button)
    assert panel.problem.text() == ""
    assert len(pd.read_csv(tmp_path / "mine.csv")) == len(table)

    # Anyone's labels, in the layer's own unit.
    labels = np.zeros((60, 20, 20), np.uint8)
    labels[5:55, 7:12, 7:12] = 3
    viewer.add_labels(labels, name="mine", scale=(0.02, 0.02, 0.02), units=("mm",) * 3)
    choose(panel.source, "mine")
    click(panel.measure_button)
    idle(qtbot, panel)
    assert panel.problem.text() == ""
    longest = panel.lines.graph.table["length_um"].max()
    assert longest == pytest.approx(1000, rel=0.15)
    assert panel.lines.graph.table["mean_speed_mm_s"].isna().all()
    monkeypatch.setattr("napari_ulm3d.vasculature.vessels", without_end)
    click(panel.measure_button)
    qtbot.waitUntil(lambda: panel.status.text() == "Thinning…")
    click(panel.cancel_button)
    idle(qtbot, panel)
    assert panel.status.text() == "Cancelled."
    assert panel.measure_button.isEnabled()


@pytest.mark.slow
def test_a_map_that_shows_no_vessels_is_refused(viewer: Any, vessels: Any, qtbot: Any) -> None:
    panel = vessels
    grid = Grid((6, 5, 4), (10.0, 10.0, 10.0))
    speed = VesselMap.from_dense("speed", np.full(grid.shape, 3.0, np.float32), grid, "mm/s")
    data, settings, _ = map_layer(speed)  # as from a file
    viewer.add_image(data, **settings)
    kept = viewer.add_image(np.ones((4, 4, 4)), name="kept", metadata={"ulm3d_role": "kept voxels"})
    assert kept.name not in [panel.source.itemText(k) for k in range(panel.source.count())]
    choose(panel.source, "speed [mm/s]")
    click(panel.measure_button)
    idle(qtbot, panel)
    assert panel.problem.text() == (
        "The layer 'speed [mm/s]' is a map of speed, which does not show where the vessels are. Choose "
        "a density map, a power Doppler image or a segmentation."
    )
    assert panel.lines is None
