"""What is exported, and what is saved by napari's own dialog, opens again as what it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

pytest.importorskip("napari")
pytest.importorskip("pytestqt")
pytest.importorskip("qtpy.QtCore", exc_type=ImportError)
pytest.importorskip("npe2")

import npe2
from plugin_hands import answer, dock, drop, idle
from qtpy.QtWidgets import QApplication, QFileDialog, QLineEdit
from test_plugin_core import tracks_table
from test_plugin_manifest import MANIFEST

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import ResultsError
from napari_ulm3d.io.writers import suffixes_for, write
from napari_ulm3d.plugin.layers.convert import (
    VALUE,
    localizations_layer,
    map_layer,
    tracks_layer,
    value_of,
)
from napari_ulm3d.plugin.layers.place import ROLE, find_layer, make_layer
from napari_ulm3d.plugin.layers.track_colors import COLOUR_BAR
from napari_ulm3d.plugin.layers.vessel_lines import VesselLines, show_vessels, vessels_layer
from napari_ulm3d.plugin.napari_private import overlay_of
from napari_ulm3d.plugin.readers import get_reader, read
from napari_ulm3d.plugin.session import session_of
from napari_ulm3d.tables import Localizations
from napari_ulm3d.vasculature import JUNCTION_COLUMNS, VESSEL_COLUMNS, VesselGraph
from napari_ulm3d.volumes import VesselMap

GRID = Grid((6, 5, 4), (10.0, 12.0, 15.0), (100.0, -30.0, 7.0))
RATE_HZ = 250.0


def a_map(name: str = "density", unit: str = "tracks") -> VesselMap:
    volume = np.zeros(GRID.shape, np.float32)
    volume[1:5, 2, 1:3] = 7.5
    if name == "velocity_z":
        volume[2:3] *= -1
    return VesselMap.from_dense(name, volume, GRID, unit, signed=name == "velocity_z")


def some_localizations() -> Localizations:
    table = tracks_table([12, 9], [3.0, 5.0], RATE_HZ).table
    kept = table[["frame", "time_s", "z_um", "y_um", "x_um", "score"]]
    return Localizations(kept.assign(snr_db=9.5).sort_values("frame", ignore_index=True))


def a_tree() -> VesselGraph:
    """A stem and its two branches."""
    nodes = np.array([[0.0, 0, 0], [100, 0, 0], [200, 50, 0], [200, -60, 10]])
    paths = tuple(
        np.linspace(nodes[a], nodes[b], 5) for a, b in ((0, 1), (1, 2), (1, 3))
    )  # fmt: skip
    table = pd.DataFrame({name: [3.0, 2.0, 1.0] for name in VESSEL_COLUMNS})
    table = table.assign(vessel_id=[1, 2, 3], node_a=[0, 1, 1], node_b=[1, 2, 3])
    table["length_um"] = [float(np.linalg.norm(path[-1] - path[0])) for path in paths]
    table["kind"] = ["artery", "vein", "unknown"]
    table["diameter_um"] = [30.0, 20.0, np.nan]
    junctions = pd.DataFrame({name: [1.0] for name in JUNCTION_COLUMNS}).assign(degree=3)
    return VesselGraph(nodes, paths, table, junctions)


def offered(path: Path) -> bool:
    """Whether napari offers this plugin for a file."""
    manager = npe2.PluginManager()
    manager.register(npe2.PluginManifest.from_file(MANIFEST))
    return bool(list(manager.iter_compatible_readers([str(path)])))


@pytest.mark.parametrize("name", ["density", "velocity_z", "resolution_local", "power_doppler"])
@pytest.mark.parametrize("suffix", [s for s in suffixes_for(VesselMap) if s != ".png"])
def test_a_map(tmp_path: Path, name: str, suffix: str) -> None:
    units = {"density": "tracks", "velocity_z": "mm/s", "resolution_local": "um"}
    made = a_map(name, units.get(name, "a.u."))
    path = tmp_path / f"{name}{suffix}"
    write(made, path)
    assert offered(path)
    assert get_reader(str(path)) is not None
    ((data, settings, kind),) = read(str(path))
    np.testing.assert_array_equal(data, made.dense())
    expected = map_layer(made)[1]
    assert kind == "image"
    assert settings["name"] == expected["name"]
    np.testing.assert_allclose(settings["scale"], GRID.spacing_um, rtol=1e-6)
    np.testing.assert_allclose(settings["translate"], GRID.origin_um, atol=1e-4)
    assert settings["units"] == ("um", "um", "um")
    assert settings["contrast_limits"] == expected["contrast_limits"]


@pytest.mark.parametrize("name", ["tracks", "localizations"])
def test_a_table(tmp_path: Path, name: str) -> None:
    tracks = tracks_table([12, 9], [3.0, 5.0], RATE_HZ)
    made: Any = tracks if name == "tracks" else some_localizations()
    for suffix in suffixes_for(type(made)):
        path = tmp_path / f"{name}{suffix}"
        write(made, path)
        assert offered(path)
        assert get_reader(str(path)) is not None
        ((data, settings, kind),) = read(str(path))
        assert kind == ("tracks" if name == "tracks" else "points"), suffix
        np.testing.assert_allclose(settings["scale"], (1 / RATE_HZ, 1, 1, 1), rtol=1e-6)
        assert settings["units"] == ("s", "um", "um", "um")
        found = settings["metadata"][VALUE].table
        for column in made.required:
            np.testing.assert_allclose(found[column], made.table[column], rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(data[:, -3:], made.positions_um, rtol=1e-6)


def test_vessels(tmp_path: Path) -> None:
    graph = a_tree()
    for suffix in (".graphml", ".vtp", ".swc", ".csv"):
        path = tmp_path / f"vessels{suffix}"
        graph.write(path)
        assert offered(path)
        assert get_reader(str(path)) is not None
        if suffix == ".csv":
            with pytest.raises(ResultsError, match=r"without their courses.*\.graphml"):
                read(str(path))
            continue
        ((data, settings, kind),) = read(str(path))
        assert kind == "vectors"
        assert settings["name"] == "vessels by diameter [µm]"
        assert settings["units"] == ("um", "um", "um")
        found = settings["metadata"][VALUE]
        assert found.table["length_um"].tolist() == pytest.approx(graph.table["length_um"].tolist())
        assert found.table["diameter_um"].tolist() == pytest.approx([30, 20, np.nan], nan_ok=True)
        expected = VesselLines.of(graph).vectors()
        np.testing.assert_allclose(data, expected, atol=0.02)


def test_a_polyline_file_of_someone_else_is_told(tmp_path: Path) -> None:
    path = tmp_path / "mesh.vtp"
    path.write_text("<VTKFile/>")
    with pytest.raises(ResultsError, match=r"mesh\.vtp"):
        read(str(path))


def save_selected(viewer: Any, layer: Any, folder: Path) -> set[Path]:
    """File > Save selected layers, with the name that napari suggests; the new files."""
    viewer.layers.selection = {layer}
    viewer.layers.selection.active = layer
    before = set(folder.iterdir())

    def accept(dialog: Any) -> None:
        edit = dialog.findChild(QLineEdit)
        edit.setText(str(folder / edit.text()))
        (ours,) = [text for text in dialog.nameFilters() if text.startswith("ULM 3D")]
        dialog.selectNameFilter(ours)
        dialog.accept()

    answer(QFileDialog, accept)
    viewer.window._qt_viewer._save_layers_dialog(selected=True)
    return set(folder.iterdir()) - before


@pytest.mark.slow
def test_saved_layers_of_the_viewer(
    viewer: Any, tmp_path: Path, ours_reads: None, qtbot: Any
) -> None:
    folder = tmp_path / "saved"
    folder.mkdir()
    graph = a_tree()
    for data, role in (
        (map_layer(a_map()), "map"),
        (map_layer(a_map("velocity_z", "mm/s")), "velocity"),
        (tracks_layer(tracks_table([12, 9], [3.0, 5.0], RATE_HZ)), "tracks"),
        (localizations_layer(some_localizations(), RATE_HZ, 100.0), "localizations"),
    ):
        viewer.add_layer(make_layer(data, role))
    show_vessels(viewer, VesselLines.of(graph), "length_um")
    before = {layer.metadata[ROLE]: layer for layer in viewer.layers}
    files = {role: save_selected(viewer, layer, folder) for role, layer in before.items()}
    assert all(len(paths) == 1 for paths in files.values()), files
    viewer.layers.clear()
    for role, (path,) in files.items():
        drop(viewer, [path])
        layer, old = viewer.layers[-1], before[role]
        assert type(layer) is type(old), path
        np.testing.assert_allclose(layer.scale, old.scale, rtol=1e-6)
        np.testing.assert_allclose(layer.translate, old.translate, atol=1e-4)
        assert layer.units == old.units
        np.testing.assert_allclose(layer.data, old.data, atol=0.02)
    # The vessels of the file are in the widget, to be sorted, coloured and exported again.
    found = find_layer(viewer, "vessels")
    assert value_of(found, VesselGraph).table["kind"].tolist() == ["artery", "vein", "unknown"]
    assert overlay_of(found, COLOUR_BAR).visible
    panel = dock(viewer, "Vessels")
    idle(qtbot, panel)
    assert panel.model.rowCount() == 3
    assert panel.export_button.isEnabled()
    assert [layer.metadata.get(ROLE) for layer in viewer.layers].count("vessels") == 1


def test_a_second_file_of_vessels_takes_the_place_of_the_first(viewer: Any, qtbot: Any) -> None:
    panel = dock(viewer, "Vessels")
    graph = a_tree()
    for diameters in ([30.0, 20.0, 10.0], [35.0, 25.0, 15.0]):
        table = graph.table.assign(diameter_um=diameters)
        opened = VesselGraph(graph.nodes_um, graph.paths, table, graph.junctions)
        viewer.add_layer(make_layer(vessels_layer(opened), "vessels"))
        QApplication.processEvents()
        idle(qtbot, panel)
        assert session_of(viewer) is panel.session
        assert panel.lines.graph.table["diameter_um"].tolist() == diameters
