"""Vessel maps for ParaView, read back by VTK, overlay the tracks."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from test_writer_tables import make_tracks, read_vtp

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.io.writers import write
from napari_ulm3d.tables import Tracks
from napari_ulm3d.volumes import VesselMap


def read_vti(path: Path):  # type: ignore[no-untyped-def]
    from vtk import vtkXMLImageDataReader
    from vtk.util.numpy_support import vtk_to_numpy

    reader = vtkXMLImageDataReader()
    reader.SetFileName(str(path))
    reader.Update()
    assert reader.GetErrorCode() == 0
    image = reader.GetOutput()
    nx, ny, nz = image.GetDimensions()
    scalars = image.GetPointData().GetScalars()
    return image, scalars.GetName(), vtk_to_numpy(scalars).reshape(nz, ny, nx)


@pytest.mark.parametrize("slab_bytes", [1, 1 << 20])
def test_vtk_reads_the_volume(
    tmp_path: Path, slab_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("napari_ulm3d.io.stored.dense_blocks._SLAB_BYTES", slab_bytes)
    rng = np.random.default_rng(0)
    volume = np.where(rng.random((4, 5, 6)) < 0.3, rng.normal(size=(4, 5, 6)), 0).astype("f4")
    grid = Grid(volume.shape, (50.0, 100.5, 200.25), (-7.0, 8.0, 1e4 / 3))
    write(VesselMap.from_dense('a<"&b', volume, grid, "mm/s"), tmp_path / "m.vti")
    image, name, values = read_vti(tmp_path / "m.vti")
    assert name == 'a<"&b (mm/s)'
    assert image.GetSpacing() == grid.spacing_um[::-1]
    assert image.GetOrigin() == grid.origin_um[::-1]
    np.testing.assert_array_equal(values, volume)


def test_tracks_lie_on_the_map(tmp_path: Path) -> None:
    table = make_tracks((20,)).table
    tracks = Tracks(table)
    low, high = tracks.positions_um.min(axis=0), tracks.positions_um.max(axis=0)
    spacing = (10.0, 20.0, 25.0)
    shape = tuple(np.ceil((high - low) / spacing).astype(int) + 1)
    grid = Grid(shape, spacing, tuple(low))
    index = np.rint(grid.to_index(tracks.positions_um)).astype(int)
    volume = np.zeros(shape, np.float32)
    volume[tuple(index.T)] = 1
    write(tracks, tmp_path / "t.vtp")
    write(VesselMap.from_dense("density", volume, grid), tmp_path / "m.vti")
    points = read_vtp(tmp_path / "t.vtp")[0]
    image, _, values = read_vti(tmp_path / "m.vti")
    for point in points:  # VTK itself finds the voxel of each point
        nearest = image.FindPoint(*map(float, point))
        assert values.ravel()[nearest] == 1
