"""Files dropped on the viewer, layers saved from it, samples opened in it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("napari")
pytest.importorskip("pytestqt")
qtcore = pytest.importorskip("qtpy.QtCore", exc_type=ImportError)
qtest = pytest.importorskip("qtpy.QtTest", exc_type=ImportError)

from plugin_hands import PLUGIN, drop  # noqa: E402
from test_plugin_core import tracks_table  # noqa: E402

from napari_ulm3d.acquisition import Acquisition, Grid  # noqa: E402
from napari_ulm3d.config import PipelineConfig  # noqa: E402
from napari_ulm3d.io.writers import read_map, read_table, write  # noqa: E402
from napari_ulm3d.plugin.layers.convert import map_layer, tracks_layer  # noqa: E402
from napari_ulm3d.plugin.readers import get_reader  # noqa: E402
from napari_ulm3d.plugin.session import session_of  # noqa: E402
from napari_ulm3d.tables import Tracks  # noqa: E402
from napari_ulm3d.volumes import VesselMap  # noqa: E402


def test_a_dropped_folder_is_one_lazy_acquisition(
    viewer: Any, flow: Any, folder_of: Any, ours_reads: None
) -> None:
    folder = folder_of(flow.acquisition, n_files=3)
    viewer.open(str(folder), plugin=PLUGIN)
    (layer,) = viewer.layers
    session = session_of(viewer)
    assert layer.data.shape == flow.frames.shape
    assert session.acquisition is not None
    assert session.paths == [str(folder)]
    np.testing.assert_allclose(layer.scale, (1 / 260, 100, 150, 150))
    assert [str(unit) for unit in layer.units] == ["second", *["micrometer"] * 3]
    assert layer.axis_labels == ("t", "z", "y", "x")
    np.testing.assert_array_equal(session.acquisition.read(0, 60), flow.frames)
    expected = 20 * np.log10(np.abs(flow.frames[5]) / np.abs(flow.frames[0]).max())
    np.testing.assert_allclose(layer.data[5], np.maximum(expected, -80), atol=1e-3)


def test_several_dropped_files_follow_each_other(
    viewer: Any, flow: Any, folder_of: Any, ours_reads: None
) -> None:
    folder = folder_of(flow.acquisition, n_files=2)
    drop(viewer, sorted(folder.glob("*.npy"), reverse=True))
    session = session_of(viewer)
    (layer,) = viewer.layers
    assert layer.data.shape[0] == 60
    assert [Path(path).name for path in session.paths] == ["IQ001.npy", "IQ002.npy"]
    np.testing.assert_array_equal(session.acquisition.read(0, 60), flow.frames)


def test_a_slow_machine_loses_no_dropped_file(
    viewer: Any, flow: Any, folder_of: Any, ours_reads: None
) -> None:
    """The viewer takes a second over a layer and handles events meanwhile."""
    folder = folder_of(flow.acquisition, n_files=4)
    viewer.layers.events.inserted.connect(lambda event: qtest.QTest.qWait(1000))
    drop(viewer, sorted(folder.glob("*.npy")))
    (layer,) = viewer.layers
    assert layer.data.shape[0] == session_of(viewer).acquisition.n_frames == 60


def test_files_of_two_folders_stay_apart(
    viewer: Any, flow: Any, folder_of: Any, ours_reads: None, tmp_path: Path
) -> None:
    folder = folder_of(flow.acquisition, n_files=2)
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    drop(viewer, [folder / "IQ001.npy", other / "IQ002.npy", folder / "IQ002.npy"])
    assert sorted(layer.data.shape[0] for layer in viewer.layers) == [30, 60]


def test_a_file_opened_after_another_is_another(
    viewer: Any, flow: Any, folder_of: Any, ours_reads: None
) -> None:
    folder = folder_of(flow.acquisition, n_files=2)
    for name in ("IQ001.npy", "IQ002.npy"):
        drop(viewer, [folder / name])
    assert [layer.data.shape[0] for layer in viewer.layers] == [30, 30]


def test_a_map_dropped_with_a_movie_is_no_part_of_it(
    viewer: Any, flow: Any, tmp_path: Path, ours_reads: None
) -> None:
    import tifffile

    write(VesselMap.from_dense("density", np.ones((4, 4, 4), np.float32), Grid((4, 4, 4), (1,) * 3)),
          tmp_path / "density.ome.tif")  # fmt: skip
    movie = ["IQ001.tif", "IQ002.tif"]
    for name, frames in zip(movie, np.split(np.abs(flow.frames), 2), strict=True):
        tifffile.imwrite(tmp_path / name, frames.astype(np.float32), metadata={"axes": "TZYX"})
    (tmp_path / "acquisition.toml").write_text("voxel_um = [100, 150, 150]\nrate_hz = 260\n")
    drop(viewer, [tmp_path / name for name in ("density.ome.tif", *movie)])
    assert sorted(layer.data.shape for layer in viewer.layers) == [(4, 4, 4), (60, 20, 18, 16)]


def test_what_dropped_files_lack_is_asked_for_all_of_them(
    viewer: Any, flow: Any, folder_of: Any, ours_reads: None
) -> None:
    folder = folder_of(flow.acquisition, n_files=3, sidecar=False)
    drop(viewer, sorted(folder.glob("*.npy")))
    assert len(viewer.layers) == 0
    (found,) = [d for name, d in viewer.window.dock_widgets.items() if "Load" in name]
    assert "IQ001.npy and 2 more" in found.panel.path.text()


def test_what_a_dropped_file_lacks_is_asked_for(
    viewer: Any, flow: Any, folder_of: Any, ours_reads: None, qtbot: Any
) -> None:
    folder = folder_of(flow.acquisition, sidecar=False)
    drop(viewer, [folder / "IQ001.npy"])
    assert len(viewer.layers) == 0
    (dock,) = [d for name, d in viewer.window.dock_widgets.items() if "Load" in name]
    panel = dock.panel
    qtbot.waitUntil(lambda: panel.problem.text() != "")
    assert "IQ001.npy" in panel.path.text()


def test_a_damaged_file_is_told_and_not_raised(
    viewer: Any, tmp_path: Path, ours_reads: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari.utils import notifications

    told: list[str] = []
    monkeypatch.setattr(notifications, "show_error", told.append)
    broken = tmp_path / "IQ001.mat"
    broken.write_bytes(b"MATLAB 5.0 MAT-file" + b"\0" * 40)
    viewer.open(str(broken), plugin=PLUGIN)
    assert len(viewer.layers) == 0
    assert len(told) == 1
    assert "IQ001.mat" in told[0]


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
def test_tracks_are_saved_and_opened_again(viewer: Any, tmp_path: Path, suffix: str) -> None:
    tracks = tracks_table([12, 9], [3.0, 5.0], 250.0)
    data, settings, _ = tracks_layer(tracks, max_points=10)
    layer = viewer.add_tracks(data, **settings)
    target = tmp_path / f"tracks{suffix}"
    layer.save(str(target), plugin=PLUGIN)
    saved = read_table(target, Tracks).table
    assert saved.equals(tracks.table)  # the whole table, not what was drawn
    (again,) = viewer.open(str(target), plugin=PLUGIN)
    np.testing.assert_allclose(again.scale, (1 / 250, 1, 1, 1))
    assert len(again.data) == 21


def test_tracks_are_saved_as_polylines(viewer: Any, tmp_path: Path) -> None:
    vtk = pytest.importorskip("vtk")
    data, settings, _ = tracks_layer(tracks_table([12, 9], [3.0, 5.0]))
    target = tmp_path / "tracks.vtp"
    viewer.add_tracks(data, **settings).save(str(target), plugin=PLUGIN)
    reader = vtk.vtkXMLPolyDataReader()
    reader.SetFileName(str(target))
    reader.Update()
    assert reader.GetOutput().GetNumberOfLines() == 2
    assert reader.GetOutput().GetNumberOfPoints() == 21


def test_a_map_is_saved_in_full_resolution_and_opened_again(viewer: Any, tmp_path: Path) -> None:
    dense = np.zeros((20, 18, 16), np.float32)
    dense[4, 4, 2:9] = 3
    made = VesselMap.from_dense("density", dense, Grid((20, 18, 16), (10, 11, 12), (5, 6, 7)))
    data, settings, _ = map_layer(made, max_voxels=1000)
    layer = viewer.add_image(data, **settings)
    target = tmp_path / "density.ome.tif"
    layer.save(str(target), plugin=PLUGIN)
    saved = read_map(target)
    assert saved.grid == made.grid
    np.testing.assert_array_equal(saved.dense(), dense)
    (again,) = viewer.open(str(target), plugin=PLUGIN)
    np.testing.assert_allclose(again.scale, (10, 11, 12))
    np.testing.assert_allclose(again.translate, (5, 6, 7))


def test_a_volume_of_anyone_is_saved_as_nifti(viewer: Any, tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    volume = np.random.default_rng(0).random((5, 6, 7)).astype(np.float32)
    layer = viewer.add_image(volume, scale=(10, 20, 30))
    target = tmp_path / "volume.nii.gz"
    layer.save(str(target), plugin=PLUGIN)
    image = nibabel.load(target)
    assert sorted(image.shape) == [5, 6, 7]
    np.testing.assert_allclose(np.sort(np.asarray(image.dataobj).ravel()), np.sort(volume.ravel()))


def test_a_results_folder_is_opened(viewer: Any, flow: Any, tmp_path: Path) -> None:
    from napari_ulm3d.pipeline import run

    out = tmp_path / "results"
    config = PipelineConfig().with_settings(["clutter.svd_range=4,60"])
    run(flow.acquisition, config, out=out)
    layers = viewer.open(str(out), plugin=PLUGIN)
    assert {layer._type_string for layer in layers} == {"image", "tracks"}


def test_the_shipped_sample_opens(viewer: Any) -> None:
    (layer,) = viewer.open_sample(PLUGIN, "mouse_brain_small")
    assert layer.data.shape == (400, 18, 16, 16)
    assert session_of(viewer).acquisition.rate_hz == 260.0


def test_a_simulated_sample_comes_from_a_worker(
    viewer: Any, qtbot: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from napari_ulm3d.plugin import samples

    small = samples.concentration(3).replace(n_frames=30)
    monkeypatch.setattr(samples, "concentration", lambda n: small)
    (blank,) = viewer.open_sample(PLUGIN, "mouse_brain_low")
    assert "simulating" in blank.name
    session = session_of(viewer)
    qtbot.waitUntil(lambda: session.acquisition is not None)
    (layer,) = viewer.layers
    assert layer is not blank
    np.testing.assert_allclose(layer.scale, blank.scale)
    assert layer.data.shape == blank.data.shape
    assert isinstance(session.acquisition, Acquisition)
    assert session.acquisition.n_frames == 30
    assert len(session.paths) == 1
    assert (Path(session.paths[0]) / "truth.parquet").is_file()


def test_maps_tracks_and_frames_lie_on_each_other(viewer: Any) -> None:
    """A voxel lit in the frames, a track through it and the map of that track are one place."""
    from plugin_hands import add

    from napari_ulm3d.config import MapConfig
    from napari_ulm3d.maps import accumulate

    for spacing, origin in (
        ((98.56, 150.0, 150.0), (0.0, 0.0, 0.0)),
        ((50.0, 200.0, 70.0), (1000.0, -300.0, 40.0)),
        ((100.0, 400.0, 100.0), (0.0, 0.0, 500.0)),
    ):
        viewer.layers.clear()
        shape = (12, 1, 14) if spacing[1] == 400.0 else (12, 10, 14)
        voxel = (7, shape[1] // 2, 9)
        frames = np.full((6, *shape), 1e-3, np.complex64)
        frames[(slice(None), *voxel)] = 1.0
        acquisition = Acquisition.from_array(frames, spacing, 200.0, origin_um=origin)
        layer = add(viewer, acquisition)
        place = acquisition.grid.to_um(voxel)
        table = tracks_table([6], [1.0], 200.0).table.copy()
        table[["z_um", "y_um", "x_um"]] = place
        tracks = Tracks(table)
        (density,) = [
            m for m in accumulate(tracks, acquisition.grid, MapConfig(resolution_factor=3)).values()
            if m.name == "density"
        ]  # fmt: skip
        data, settings, _ = map_layer(density)
        fine = viewer.add_image(data, **settings)
        data, settings, _ = tracks_layer(tracks, rate_hz=200.0)
        line = viewer.add_tracks(data, **settings)

        world = (3 / 200.0, *place)
        assert tuple(np.round(layer.world_to_data(world)).astype(int)) == (3, *voxel)
        assert layer.data[3][voxel] == 0.0  # dB: the voxel that is lit
        lit = np.argwhere(fine.data > 0)
        inside = np.round(fine.world_to_data(world)).astype(int)
        assert (np.abs(lit - inside[-3:]).max(axis=1) <= 1).any()
        np.testing.assert_allclose(line.data_to_world(line.data[3][1:]), world)
        # The borders of the frames and of the map are the same borders.
        low, high = layer.extent.world[:, 1:] + np.outer([-0.5, 0.5], spacing)
        edge = np.asarray(density.grid.spacing_um)
        fine_low, fine_high = fine.extent.world + np.outer([-0.5, 0.5], edge)
        np.testing.assert_allclose(fine_low, low, atol=1e-6)
        assert (np.abs(high - fine_high) < edge + 1e-6).all()


def test_the_map_written_by_the_pipeline_opens(viewer: Any, tmp_path: Path) -> None:
    grid = Grid((6, 5, 4), (10, 10, 10))
    volume = np.zeros(grid.shape, np.float32)
    volume[2, 2, 1:3] = -4
    write(
        VesselMap.from_dense("velocity_z", volume, grid, "mm/s", True),
        tmp_path / "velocity.ome.tif",
    )
    (layer,) = viewer.open(str(tmp_path / "velocity.ome.tif"), plugin=PLUGIN)
    low, high = layer.contrast_limits
    assert low == -high


@pytest.mark.parametrize("kind", ["plane", "colour", "table", "movie"])
def test_only_what_has_frames_is_taken(tmp_path: Path, kind: str) -> None:
    import tifffile

    rng = np.random.default_rng(0)
    path = tmp_path / "IQ001.tif"
    shape = {"plane": (64, 64), "colour": (64, 64, 3), "movie": (9, 16, 12), "table": ()}[kind]
    if kind == "table":
        path = tmp_path / "my_tracks.csv"
        path.write_text("a,b\n1,2\n")
    else:
        tifffile.imwrite(path, rng.integers(0, 255, shape, dtype=np.uint8))
    assert (get_reader(str(path)) is not None) == (kind == "movie")
