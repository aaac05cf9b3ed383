"""Maps as seen by the readers of other programs."""

from __future__ import annotations

import json
import os
from xml.etree import ElementTree

import h5py
import numpy as np
import pytest
import scipy.io
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from napari_ulm3d.acquisition import Grid
from napari_ulm3d.errors import ConfigError, ResultsError
from napari_ulm3d.io.formats.matlab.writer import write_mat
from napari_ulm3d.io.stored.dense_blocks import occupied_blocks
from napari_ulm3d.io.writers import read_map, suffixes_for, write
from napari_ulm3d.volumes import VesselMap

GRID = Grid((40, 33, 70), (10.0, 12.5, 11.0), (100.0, -205.0, 3.25))
FLAT = Grid((50, 1, 60), (5.0, 400.0, 5.0), (7.0, 0.0, -9.0))


def make_map(grid=GRID, occupancy=0.02, signed=False, name="density", unit="tracks", seed=0):
    rng = np.random.default_rng(seed)
    index = np.flatnonzero(rng.random(grid.size) < occupancy)
    # An empty plane and an empty corner, as in real maps.
    index = index[(index // (grid.shape[1] * grid.shape[2])) != 5]
    values = rng.integers(1, 9, index.size).astype(np.float32)
    if signed:
        values = (rng.normal(0, 5, index.size)).astype(np.float32)
    return VesselMap(name, grid, index, values, unit, signed)


MAPS = {
    "volume": make_map(),
    "signed": make_map(signed=True, name="velocity_z", unit="mm/s"),
    "flat": make_map(FLAT),
    "full": make_map(
        Grid((4, 6, 5), (98.56, 150.0, 150.0)), 2.0, name="power_doppler", unit="a.u."
    ),
    "empty": make_map(occupancy=-1),
    "one voxel": make_map(Grid((1, 1, 1), (10.0,) * 3), 2.0),
}
every_map = pytest.mark.parametrize("vessels", MAPS.values(), ids=MAPS.keys())


def assert_same(found, expected):
    assert found.grid == expected.grid
    assert (found.name, found.unit, found.signed) == (expected.name, expected.unit, expected.signed)
    assert np.array_equal(found.index, expected.index)
    assert found.values.tobytes() == expected.values.tobytes()


# --- OME-TIFF ---------------------------------------------------------------------------


@every_map
@pytest.mark.parametrize("suffix", [".ome.tif", ".tif"])
def test_ome_tiff_round_trip(tmp_path, vessels, suffix):
    write(vessels, tmp_path / f"m{suffix}")
    assert_same(read_map(tmp_path / f"m{suffix}"), vessels)
    assert os.listdir(tmp_path) == [f"m{suffix}"]


@every_map
@pytest.mark.parametrize("suffix", [".zarr", ".nii", ".nii.gz", ".vti", ".mat", ".npy"])
def test_every_format_of_a_map_is_read_back(tmp_path, vessels, suffix):
    path = tmp_path / f"m{suffix}"
    write(vessels, path)
    found = read_map(path)
    np.testing.assert_allclose(found.grid.spacing_um, vessels.grid.spacing_um, rtol=1e-6)
    np.testing.assert_allclose(found.grid.origin_um, vessels.grid.origin_um, rtol=1e-6, atol=1e-9)
    assert (found.name, found.unit) == (vessels.name, vessels.unit)
    np.testing.assert_array_equal(found.dense(), vessels.dense())
    # NIfTI, VTK and MATLAB do not say whether values are signed; maps that have negative ones are.
    assert found.signed == (vessels.signed and vessels.values.size > 0)


def test_a_large_map_for_matlab_is_read_back(tmp_path):
    from napari_ulm3d.io.formats.matlab.writer import write_mat

    for vessels in (MAPS["volume"], MAPS["flat"]):
        write_mat(vessels, tmp_path / "m.mat", v5_bytes=0)
        np.testing.assert_array_equal(read_map(tmp_path / "m.mat").dense(), vessels.dense())


def test_many_strips_per_page(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_ulm3d.io.formats.tiff.ome_writer._STRIP_BYTES", 4 * 70 * 5)
    for vessels in (MAPS["volume"], MAPS["flat"]):
        write(vessels, tmp_path / "m.ome.tif")
        assert_same(read_map(tmp_path / "m.ome.tif"), vessels)


def test_big_tiff_if_possibly_needed(tmp_path, monkeypatch):
    monkeypatch.setattr("napari_ulm3d.io.formats.tiff.ome_writer._CLASSIC_LIMIT", 0)
    write(MAPS["volume"], tmp_path / "m.ome.tif")
    assert (tmp_path / "m.ome.tif").read_bytes()[:4] == b"II+\0"
    assert_same(read_map(tmp_path / "m.ome.tif"), MAPS["volume"])


@pytest.mark.parametrize("kind", ["volume", "flat"])
def test_ome_tiff_as_tifffile_and_ome_see_it(tmp_path, kind):
    import tifffile

    vessels = MAPS[kind]
    write(vessels, tmp_path / "m.ome.tif")
    with tifffile.TiffFile(tmp_path / "m.ome.tif") as tiff:
        series = tiff.series[0]
        assert tiff.is_ome
        assert series.axes == ("ZYX" if kind == "volume" else "YX")
        assert np.array_equal(
            series.asarray(), vessels.dense()[:, 0] if kind == "flat" else vessels.dense()
        )
        xml = tiff.ome_metadata
    ns = {"o": "http://www.openmicroscopy.org/Schemas/OME/2016-06"}
    image = ElementTree.fromstring(xml).find("o:Image", ns)
    pixels = image.find("o:Pixels", ns)
    (dz, dy, dx), (oz, oy, ox) = vessels.grid.spacing_um, vessels.grid.origin_um
    down, deep = (dz, dy) if kind == "flat" else (dy, dz)
    sizes = [float(pixels.get(f"PhysicalSize{a}")) for a in "XYZ"]
    assert sizes == pytest.approx([dx, down, deep])
    assert {pixels.get(f"PhysicalSize{a}Unit") for a in "XYZ"} == {"µm"}
    planes = pixels.findall("o:Plane", ns)
    first = [float(planes[0].get(f"Position{a}")) for a in "XYZ"]
    assert first == pytest.approx([ox, oz, oy] if kind == "flat" else [ox, oy, oz])
    if kind == "volume":
        assert len(planes) == vessels.shape[0]
        assert float(planes[-1].get("PositionZ")) == pytest.approx(oz + 39 * dz)
    assert image.get("Name") == "density"
    assert json.loads(image.find("o:Description", ns).text)["napari_ulm3d"]["unit"] == "tracks"


def test_ome_tiff_as_other_readers_see_it(tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    vessels = MAPS["volume"]
    write(vessels, tmp_path / "m.ome.tif")
    assert np.array_equal(
        sitk.GetArrayFromImage(sitk.ReadImage(str(tmp_path / "m.ome.tif"))), vessels.dense()
    )
    with Image.open(tmp_path / "m.ome.tif") as image:
        assert image.n_frames == vessels.shape[0]
        image.seek(11)
        assert np.array_equal(np.asarray(image), vessels.dense()[11])


@settings(max_examples=25, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 9)] * 3),
    spacing=st.tuples(*[st.floats(0.01, 1e4)] * 3),
    origin=st.tuples(*[st.floats(-1e6, 1e6)] * 3),
    name=st.text(min_size=1, max_size=20),
    unit=st.text(max_size=8),
    seed=st.integers(0, 99),
)
def test_ome_tiff_keeps_any_grid_and_text(
    tmp_path_factory, shape, spacing, origin, name, unit, seed
):
    # XML cannot represent these characters.
    if any(not c.isprintable() for c in name + unit):
        return
    vessels = make_map(Grid(shape, spacing, origin), 0.4, seed=seed, name=name, unit=unit)
    path = tmp_path_factory.mktemp("tiff") / "m.ome.tif"
    write(vessels, path)
    assert_same(read_map(path), vessels)


def test_maps_that_cannot_be_read(tmp_path):
    import tifffile

    with pytest.raises(ResultsError, match="no such map"):
        read_map(tmp_path / "none.ome.tif")
    (tmp_path / "text.ome.tif").write_text("no image")
    with pytest.raises(ResultsError, match="cannot be read"):
        read_map(tmp_path / "text.ome.tif")
    tifffile.imwrite(tmp_path / "other.tif", np.zeros((3, 4), np.float32))
    with pytest.raises(ResultsError, match="not a vessel map"):
        read_map(tmp_path / "other.tif")
    write(MAPS["volume"], tmp_path / "cut.ome.tif")
    whole = (tmp_path / "cut.ome.tif").read_bytes()
    (tmp_path / "cut.ome.tif").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ResultsError, match=r"cut\.ome\.tif"):
        read_map(tmp_path / "cut.ome.tif")


# --- NIfTI ----------------------------------------------------------------------------------


@every_map
@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nifti_as_nibabel_sees_it(tmp_path, vessels, suffix):
    nibabel = pytest.importorskip("nibabel")
    write(vessels, tmp_path / f"m{suffix}")
    image = nibabel.load(tmp_path / f"m{suffix}")
    assert np.array_equal(np.asarray(image.dataobj), vessels.dense().transpose(2, 1, 0))
    spacing, origin = (
        np.array(vessels.grid.spacing_um) / 1000,
        np.array(vessels.grid.origin_um) / 1000,
    )
    expected = np.diag([*spacing[::-1], 1.0])
    expected[:3, 3] = origin[::-1]
    assert image.affine == pytest.approx(expected, rel=1e-6)
    assert image.header.get_qform() == pytest.approx(expected, rel=1e-6)
    assert image.header.get_xyzt_units() == ("mm", "sec")
    assert image.get_data_dtype() == np.float32
    assert vessels.name in image.header["descrip"].item().decode()


def test_nifti_as_simpleitk_sees_it(tmp_path):
    sitk = pytest.importorskip("SimpleITK")
    vessels = MAPS["volume"]
    write(vessels, tmp_path / "m.nii.gz")
    image = sitk.ReadImage(str(tmp_path / "m.nii.gz"))
    assert np.array_equal(sitk.GetArrayFromImage(image), vessels.dense())
    assert image.GetSpacing() == pytest.approx([0.011, 0.0125, 0.010])


def test_nifti_refuses_too_long_an_axis(tmp_path):
    long = VesselMap(
        "d", Grid((1, 1, 40_000), (1.0,) * 3), np.array([3]), np.array([1.0], np.float32)
    )
    with pytest.raises(ConfigError, match="32767"):
        write(long, tmp_path / "m.nii")
    assert os.listdir(tmp_path) == []


# --- Zarr, MATLAB, NumPy ----------------------------------------------------------------


@every_map
def test_ome_zarr(tmp_path, vessels):
    import zarr

    write(vessels, tmp_path / "m.zarr")
    group = zarr.open_group(tmp_path / "m.zarr", mode="r")
    scales = group.attrs["multiscales"][0]
    assert scales["version"] == "0.4"
    assert [a["name"] for a in scales["axes"]] == ["z", "y", "x"]
    assert {a["unit"] for a in scales["axes"]} == {"micrometer"}
    scale, translation = scales["datasets"][0]["coordinateTransformations"]
    assert scale == {"type": "scale", "scale": list(vessels.grid.spacing_um)}
    assert translation == {"type": "translation", "translation": list(vessels.grid.origin_um)}
    array = group[scales["datasets"][0]["path"]]
    assert array.dtype == np.float32
    assert np.array_equal(array[:], vessels.dense())


def test_ome_zarr_pyramid_keeps_thin_vessels_in_place(tmp_path):
    import zarr

    grid = Grid((2, 3, 601), (10.0, 10.0, 10.0), (0.0, 100.0, 5.0))
    dense = np.zeros(grid.shape, np.float32)
    dense[0, 2, 333], dense[1, 2, 332], dense[1, 1, 600] = -7, 3, 2
    write(VesselMap.from_dense("direction", dense, grid, "tracks", True), tmp_path / "m.zarr")
    group = zarr.open_group(tmp_path / "m.zarr", mode="r")
    levels = group.attrs["multiscales"][0]["datasets"]
    assert [group[d["path"]].shape for d in levels] == [(2, 3, 601), (1, 2, 301), (1, 1, 151)]
    half = group["1"][:]
    assert half[0, 1, 166] == -7
    assert half[0, 0, 300] == 2
    scale, translation = (t[t["type"]] for t in levels[1]["coordinateTransformations"])
    assert scale == [20, 20, 20]
    assert translation == [5, 105, 10]
    # An axis that has been reduced to one voxel is not halved further.
    assert levels[2]["coordinateTransformations"][0]["scale"] == [20, 40, 40]


def test_ome_zarr_writes_only_occupied_chunks(tmp_path):
    grid = Grid((200, 200, 200), (10.0,) * 3)
    index = np.array([0, grid.size - 1])
    write(VesselMap("density", grid, index, np.ones(2, np.float32)), tmp_path / "m.zarr")
    files = [
        f
        for f in (tmp_path / "m.zarr" / "0").rglob("*")
        if f.is_file() and not f.name.startswith(".z")
    ]
    assert len(files) == 2


@every_map
def test_matlab_v5_as_scipy_sees_it(tmp_path, vessels):
    write(vessels, tmp_path / "m.mat")
    read = scipy.io.loadmat(tmp_path / "m.mat")
    volume = read[vessels.name].reshape(vessels.shape[0], vessels.shape[2], vessels.shape[1])
    assert np.array_equal(volume, vessels.dense().transpose(0, 2, 1))
    for k, axis in enumerate("zyx"):
        centres = vessels.grid.origin_um[k] + vessels.grid.spacing_um[k] * np.arange(
            vessels.shape[k]
        )
        assert read[f"{axis}_um"].ravel() == pytest.approx(centres)
    assert read["unit"].item() == vessels.unit
    assert read["axes"].item() == "zxy"


@every_map
def test_matlab_v73(tmp_path, vessels):
    path = tmp_path / "m.mat"
    write_mat(vessels, path, v5_bytes=0)
    # Attributes by which MATLAB (and scipy) recognize version 7.3: 128 bytes before the HDF5.
    head = path.read_bytes()[:512]
    assert head.startswith(b"MATLAB 7.3 MAT-file")
    assert head[124:128] == b"\x00\x02IM"
    assert scipy.io.matlab.matfile_version(path) == (2, 0)
    with h5py.File(path) as file:
        assert file.userblock_size == 512
        volume = file[vessels.name]
        assert volume.attrs["MATLAB_class"] == b"single"
        assert np.array_equal(volume[:].transpose(2, 0, 1), vessels.dense())
        unit = file["unit"]
        assert unit.attrs["MATLAB_class"] == b"char"
        assert bytes(unit[:].ravel().astype("u1")).decode() == vessels.unit
        assert file["z_um"].shape == (vessels.shape[0], 1)


@every_map
def test_npy(tmp_path, vessels):
    write(vessels, tmp_path / "m.npy")
    assert np.array_equal(np.load(tmp_path / "m.npy", mmap_mode="r"), vessels.dense())


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 12)] * 3),
    block=st.tuples(*[st.integers(1, 7)] * 3),
    occupancy=st.sampled_from([0.0, 0.02, 0.5, 1.0]),
)
def test_occupied_blocks_reconstruct_the_volume(shape, block, occupancy):
    vessels = make_map(Grid(shape, (1.0,) * 3), occupancy)
    dense = np.zeros(shape, np.float32)
    for where, values in occupied_blocks(vessels, block):
        assert values.any()
        assert not dense[where].any()
        dense[where] = values
    assert np.array_equal(dense, vessels.dense())


# --- all formats ---------------------------------------------------------------------------


def test_unknown_suffix_lists_known_ones(tmp_path):
    with pytest.raises(ConfigError, match=r"unknown suffix \.jpg.*\.ome\.tif.*\.nii\.gz.*\.png"):
        write(MAPS["volume"], tmp_path / "m.jpg")
    with pytest.raises(ConfigError, match=r"not a format for a VesselMap"):
        write(MAPS["volume"], tmp_path / "m.csv")
    assert ".zarr" in suffixes_for(VesselMap)


@pytest.mark.parametrize("suffix", suffixes_for(VesselMap))
def test_a_missing_folder_is_reported(tmp_path, suffix):
    with pytest.raises(ResultsError, match="does not exist"):
        write(MAPS["flat"], tmp_path / "none" / f"m{suffix}")


@pytest.mark.parametrize("suffix", suffixes_for(VesselMap))
def test_writing_again_replaces(tmp_path, suffix):
    path = tmp_path / f"m{suffix}"
    write(MAPS["volume"], path)
    write(MAPS["flat"], path)
    assert os.listdir(tmp_path) == [path.name]
