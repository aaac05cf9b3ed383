"""Vessels of known diameter, length, speed and flow are measured as what they are."""

from __future__ import annotations

from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from tube_tracks import as_tracks, density, line, tube

from napari_ulm3d import vessels, write
from napari_ulm3d.acquisition import Grid
from napari_ulm3d.config import VesselConfig
from napari_ulm3d.errors import ConfigError, ResultsError
from napari_ulm3d.simulate.vasculature import read_swc
from napari_ulm3d.vasculature import VesselGraph, read_graph
from napari_ulm3d.vasculature.measures.error import track_error_um
from napari_ulm3d.volumes import VesselMap

GRID = Grid((60, 40, 40), (10.0, 10.0, 10.0))
NO_BUBBLE = VesselConfig(bubble_radius_um=0.0)


def measured(tables: list[pd.DataFrame], grid: Grid = GRID, **settings: float) -> VesselGraph:
    tracks = as_tracks(tables)
    return vessels(density(tracks, grid), tracks, NO_BUBBLE.replace(**settings))


def longest(graph: VesselGraph) -> pd.Series:
    return graph.table.loc[graph.table["length_um"].idxmax()]


@pytest.mark.parametrize(
    ("diameter", "speed", "error"), [(16.0, 3.0, 8.0), (40.0, 5.0, 8.0), (100.0, 3.0, 8.0)]
)
def test_a_straight_tube(diameter: float, speed: float, error: float) -> None:
    rng = np.random.default_rng(1)
    path = line((60.0, 200.0, 200.0), (540.0, 200.0, 200.0))
    graph = measured(tube(path, diameter, speed, 400, rng, error_um=error))
    vessel = longest(graph)
    assert vessel["diameter_um"] == pytest.approx(
        diameter, abs=2.0 + 2 * vessel["diameter_error_um"]
    )
    assert vessel["mean_speed_mm_s"] == pytest.approx(speed, rel=0.08)
    assert vessel["flow_nl_min"] == pytest.approx(
        speed * np.pi * (diameter / 2) ** 2 * 0.06, rel=0.25
    )
    assert vessel["length_um"] == pytest.approx(480.0, rel=0.12)
    assert vessel["tortuosity"] == pytest.approx(1.0, abs=0.03)
    assert vessel["direction_z"] > 0.98
    assert vessel["n_tracks"] > 300


def test_the_localization_error_is_told_from_the_tracks() -> None:
    rng = np.random.default_rng(2)
    tracks = as_tracks(tube(line((0, 0, 0), (2000, 0, 0)), 30.0, 4.0, 300, rng, error_um=9.0))
    measured_error = track_error_um(tracks, 5)
    assert measured_error is not None
    assert measured_error == pytest.approx(9.0 / np.sqrt(5), rel=0.1)


def test_flow_divides_at_a_junction() -> None:
    rng = np.random.default_rng(3)
    parent = tube(line((30.0, 200.0, 200.0), (280.0, 200.0, 200.0)), 50.0, 6.0, 600, rng, 4.0)
    left = tube(line((290.0, 200.0, 205.0), (560.0, 200.0, 340.0)), 40.0, 5.0, 500, rng, 4.0)
    right = tube(line((290.0, 200.0, 195.0), (560.0, 200.0, 60.0)), 36.0, 5.4, 500, rng, 4.0)
    graph = measured([*parent, *left, *right])
    table = graph.table[graph.table["length_um"] > 120]
    assert len(table) == 3
    assert len(graph.junctions) == 1
    node = int(graph.junctions["node"].iloc[0])
    arrives = table[table["node_b"] == node]
    leaves = table[table["node_a"] == node]
    assert len(arrives) == 1
    assert len(leaves) == 2
    assert arrives["kind"].tolist() == ["artery"]
    junction = graph.junctions.iloc[0]
    assert junction["inflow_nl_min"] == pytest.approx(junction["outflow_nl_min"], rel=0.25)
    assert junction["balance_nl_min"] == pytest.approx(
        junction["inflow_nl_min"] - junction["outflow_nl_min"]
    )
    wider = leaves.sort_values("diameter_um")["diameter_um"].to_numpy()
    assert wider == pytest.approx([36.0, 40.0], abs=4.0)


def test_the_same_vessel_the_other_way_round() -> None:
    path = line((60.0, 200.0, 200.0), (540.0, 200.0, 200.0))
    down = longest(measured(tube(path, 40.0, 5.0, 200, np.random.default_rng(4), 5.0)))
    up = longest(measured(tube(path[::-1], 40.0, 5.0, 200, np.random.default_rng(4), 5.0)))
    assert down["direction_z"] > 0.98
    assert up["direction_z"] < -0.98
    assert up["mean_speed_mm_s"] > 0


def test_a_helix_is_as_long_as_it_is_and_bent() -> None:
    t = np.linspace(0, 3 * np.pi, 300)
    path = np.stack([60 + 480 * t / t[-1], 200 + 90 * np.cos(t), 200 + 90 * np.sin(t)], axis=1)
    true = np.linalg.norm(np.diff(path, axis=0), axis=1).sum()
    graph = measured(tube(path, 30.0, 5.0, 500, np.random.default_rng(5), 4.0))
    vessel = longest(graph)
    assert vessel["length_um"] == pytest.approx(true, rel=0.1)
    assert vessel["tortuosity"] > 1.5
    assert vessel["diameter_um"] == pytest.approx(30.0, abs=4.0)


def test_gaps_are_bridged_along_the_flow_only() -> None:
    rng = np.random.default_rng(6)
    first = tube(line((40.0, 200.0, 200.0), (260.0, 200.0, 200.0)), 30.0, 4.0, 200, rng, 4.0)
    on = tube(line((330.0, 200.0, 200.0), (560.0, 200.0, 200.0)), 30.0, 4.0, 200, rng, 4.0)
    against = tube(line((560.0, 200.0, 200.0), (330.0, 200.0, 200.0)), 30.0, 4.0, 200, rng, 4.0)
    joined = measured([*first, *on], bridge_um=100.0)
    assert joined.facts["gaps_closed"] == 1
    assert longest(joined)["length_um"] > 450
    assert measured([*first, *on], bridge_um=0.0).facts["gaps_closed"] == 0
    assert measured([*first, *against], bridge_um=100.0).facts["gaps_closed"] == 0


def test_tracks_know_their_vessel_whatever_their_order() -> None:
    rng = np.random.default_rng(7)
    tables = tube(line((60.0, 100.0, 200.0), (540.0, 100.0, 200.0)), 30.0, 5.0, 100, rng)
    tables += tube(line((60.0, 300.0, 200.0), (540.0, 300.0, 200.0)), 30.0, 5.0, 100, rng)
    tracks = as_tracks(tables)
    map_ = density(tracks, GRID)
    graph = vessels(map_, tracks, NO_BUBBLE)
    of_row = graph.with_vessel(tracks).table
    held = of_row[of_row["vessel_id"] > 0]
    assert len(held) > 0.9 * len(of_row)
    for _, rows in held.groupby("vessel_id"):
        assert np.ptp(rows["y_um"]) < 100
    shuffled = type(tracks)(tracks.table.sample(frac=1, random_state=0).reset_index(drop=True))
    again = vessels(map_, shuffled, NO_BUBBLE).with_vessel(shuffled).table
    both = again.merge(of_row, on=["track_id", "frame"])
    assert (both["vessel_id_x"] == both["vessel_id_y"]).all()


def test_a_plane_is_measured_too() -> None:
    rng = np.random.default_rng(8)
    tables = tube(line((60.0, 0.0, 200.0), (540.0, 0.0, 200.0)), 60.0, 5.0, 500, rng, 5.0)
    for table in tables:  # seen from the side
        table["y_um"] = 0.0
    graph = measured(tables, Grid((60, 1, 40), (10.0, 400.0, 10.0)))
    assert longest(graph)["diameter_um"] == pytest.approx(60.0, abs=8.0)


def test_a_mask_has_lengths_and_diameters_but_no_speeds() -> None:
    z, y, x = np.indices((60, 30, 30))
    mask = (np.hypot(y - 15, x - 15) <= 5) & (z > 2) & (z < 57)
    graph = vessels(mask, voxel_um=(10.0, 10.0, 10.0))
    vessel = longest(graph)
    disk = np.hypot(*(np.indices((30, 30)) - 15)) <= 5
    assert vessel["diameter_um"] == pytest.approx(20 * np.sqrt(disk.sum() / np.pi), rel=0.04)
    assert np.isnan(vessel["mean_speed_mm_s"])
    assert graph.track_vessel is None
    from skan import Skeleton, summarize
    from skimage.morphology import skeletonize

    theirs = summarize(Skeleton(skeletonize(mask), spacing=10.0), separator="_")
    # skan measures the skeleton, which stops a radius short of either end.
    skeleton_um = float(theirs["branch_distance"].max())
    assert vessel["length_um"] == pytest.approx(54 * 10.0, rel=0.03)
    assert vessel["length_um"] == pytest.approx(skeleton_um + vessel["diameter_um"], rel=0.08)


@pytest.mark.parametrize("width", [2, 3, 6])
def test_a_rod_does_not_vanish_however_wide(width: int) -> None:
    """scikit-image's thinning eats rods of an even width whole."""
    mask = np.zeros((60, 24, 24), bool)
    mask[4:54, 4 : 4 + width, 5 : 5 + width] = True
    mask[4:54, 16:19, 16:19] = True
    graph = vessels(mask, voxel_um=(10.0, 10.0, 10.0))
    assert len(graph) == 2
    assert graph.table["length_um"].to_numpy() == pytest.approx(500, rel=0.12)


def test_files(tmp_path: Path) -> None:
    rng = np.random.default_rng(9)
    t = np.linspace(0, 2 * np.pi, 100)
    ring = np.stack([300 + 150 * np.cos(t), 200 + 0 * t, 200 + 120 * np.sin(t)], axis=1)
    stem = line((20.0, 200.0, 200.0), (150.0, 200.0, 200.0))
    graph = measured([*tube(ring, 30.0, 5.0, 300, rng), *tube(stem, 30.0, 5.0, 150, rng)])
    for suffix in (".csv", ".swc", ".graphml", ".vtp"):
        write(graph, tmp_path / f"vessels{suffix}")
    table = pd.read_csv(tmp_path / "vessels.csv")
    assert table["diameter_um"].to_numpy() == pytest.approx(
        graph.table["diameter_um"].to_numpy(), nan_ok=True
    )
    assert len(pd.read_csv(tmp_path / "vessels_junctions.csv")) == len(graph.junctions)
    tree = read_swc(tmp_path / "vessels.swc")
    assert tree.length_um.sum() == pytest.approx(graph.table["length_um"].sum(), rel=1e-3)
    back = nx.read_graphml(tmp_path / "vessels.graphml")
    assert back.number_of_edges() == len(graph)
    from vtk import vtkXMLPolyDataReader

    reader = vtkXMLPolyDataReader()
    reader.SetFileName(str(tmp_path / "vessels.vtp"))
    reader.Update()
    lines = reader.GetOutput()
    assert lines.GetNumberOfLines() == len(graph)
    assert lines.GetCellData().GetArray("length_um").GetValue(0) == pytest.approx(
        graph.table["length_um"].iloc[0]
    )
    with pytest.raises(ConfigError, match=r"\.graphml"):
        write(graph, tmp_path / "vessels.obj")
    # What has centrelines is read back, with as much as the format holds.
    for suffix, digits in ((".graphml", 0.01), (".vtp", 1e-9)):
        found = read_graph(tmp_path / f"vessels{suffix}")
        pd.testing.assert_frame_equal(
            found.table, graph.table, check_dtype=False, check_column_type=False
        )
        np.testing.assert_allclose(found.nodes_um, graph.nodes_um, atol=1e-9)
        for line_, known in zip(found.paths, graph.paths, strict=True):
            np.testing.assert_allclose(line_, known, atol=digits)
        assert found.junctions["degree"].tolist() == graph.junctions["degree"].tolist()
        assert found.junctions["node"].tolist() == graph.junctions["node"].tolist()
    found = read_graph(tmp_path / "vessels.graphml")
    pd.testing.assert_frame_equal(found.junctions, graph.junctions, check_dtype=False)
    found = read_graph(tmp_path / "vessels.swc")
    assert found.table["length_um"].sum() == pytest.approx(graph.table["length_um"].sum(), rel=1e-3)
    for name in ("length_um", "diameter_um"):
        np.testing.assert_allclose(
            np.sort(found.table[name]), np.sort(graph.table[name]), rtol=1e-3, atol=2e-3
        )


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.swc", "1 0 0 0 0 1 2\n2 0 0 0 1 1 1\n"),
        ("a.swc", "no points"),
        ("a.graphml", "<graphml/>"),
        ("a.graphml", "<!DOCTYPE a [<!ENTITY b 'c'>]><graphml></graphml>"),
        ("a.vtp", "<VTKFile/>"),
        ("a.csv", "vessel_id\n1\n"),
    ],
)
def test_a_file_without_vessels_is_told_by_name(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(ResultsError, match=name):
        read_graph(tmp_path / name)


def test_what_cannot_be_measured_is_said() -> None:
    empty = VesselMap("density", GRID, np.empty(0, np.int64), np.empty(0, np.float32), "tracks")
    with pytest.raises(ResultsError, match="no voxel above 0"):
        vessels(empty)
    with pytest.raises(ConfigError, match="voxel_um"):
        vessels(np.ones((4, 4, 4)))
    one = VesselMap("density", GRID, np.array([7]), np.ones(1, np.float32), "tracks")
    with pytest.raises(ResultsError, match="threshold"):
        vessels(one)
