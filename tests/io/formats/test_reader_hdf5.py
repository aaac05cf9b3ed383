"""HDF5 layouts of laboratories, plain HDF5, and USTB's UFF, all written with h5py."""

from __future__ import annotations

import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from napari_ulm3d.config import LoadConfig
from napari_ulm3d.errors import InputError, MissingMetadataError
from napari_ulm3d.io.formats.hdf5.chunks import can_inflate
from napari_ulm3d.io.open.acquisition import describe, open_acquisition

GIVEN = LoadConfig(voxel_um=(100.0, 150.0, 150.0), rate_hz=500.0)
RNG = np.random.default_rng(1)
FRAMES = (RNG.standard_normal((6, 5, 4, 3)) + 1j * RNG.standard_normal((6, 5, 4, 3))).astype(
    np.complex64
)


def test_ultratrace_with_units_on_its_axes(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    with h5py.File(path, "w") as file:
        for number in (2, 10, 1):
            meta = file.create_group(f"acquisitions/{number}/meta")
            meta["compound_image"] = FRAMES.transpose(0, 2, 1, 3) * number
            for letter, n in zip("zyx", (5, 4, 3), strict=True):
                meta[letter] = np.arange(n) * 0.1 + 3
                meta[letter].attrs["units"] = "mm"
    found = open_acquisition(path, LoadConfig(rate_hz=300))
    assert found.grid.spacing_um == pytest.approx((100, 100, 100))
    assert found.grid.origin_um == pytest.approx((3000, 3000, 3000))
    assert len(found.sources) == 3  # consecutive, counted: 1, 2, 10
    np.testing.assert_array_equal(found.read(0, 6), FRAMES)
    np.testing.assert_array_equal(found.read(12, 18), FRAMES * 10)
    one = open_acquisition(
        path, LoadConfig(rate_hz=300, variable="acquisitions/2/meta/compound_image")
    )
    np.testing.assert_array_equal(one.read(0, 6), FRAMES * 2)


def test_coordinates_without_a_unit_are_not_used(tmp_path: Path) -> None:
    path = tmp_path / "run.h5"
    with h5py.File(path, "w") as file:
        meta = file.create_group("acquisitions/a/meta")
        meta["compound_image"] = FRAMES.transpose(0, 2, 1, 3)
        meta["z"] = np.arange(5) * 0.1
    with pytest.raises(MissingMetadataError) as error:
        open_acquisition(path)
    assert error.value.missing == ("voxel_um", "rate_hz")
    assert any("have no unit" in note for note in describe(path).notes)


def test_sparse_tensor_ulm_groups_are_blocks(tmp_path: Path) -> None:
    path = tmp_path / "train.h5"
    with h5py.File(path, "w") as file:
        for number in (1, 2, 11):
            file[f"{number}/CorrMap"] = np.stack([FRAMES.real, FRAMES.imag], -1) * number
            file[f"{number}/ground_truth/coords"] = np.zeros((9, 4, 6))
    found = open_acquisition(path, GIVEN)
    assert found.shape == (18, 5, 4, 3)
    assert [block.name.split("(")[1].split("/")[0] for block in found.blocks()] == ["1", "2", "11"]
    np.testing.assert_array_equal(found.read(6, 12), FRAMES * 2)


def test_plain_hdf5_with_our_own_names_needs_no_settings(tmp_path: Path) -> None:
    path = tmp_path / "ours.h5"
    with h5py.File(path, "w") as file:
        file["stack"] = FRAMES
        file.attrs["voxel_um"] = [98.0, 150.0, 151.0]
        file.attrs["origin_um"] = [5000.0, -1.0, -2.0]
        file.attrs["rate_hz"] = 260.0
        file.attrs["wavelength_um"] = 98.6
    found = open_acquisition(path)
    assert found.grid.spacing_um == (98, 150, 151)
    assert found.grid.origin_um == (5000, -1, -2)
    assert (found.rate_hz, found.wavelength_um) == (260, 98.6)
    np.testing.assert_array_equal(found.read(2, 4), FRAMES[2:4])


def test_axes_named_by_dimension_labels_or_attribute(tmp_path: Path) -> None:
    path = tmp_path / "named.h5"
    with h5py.File(path, "w") as file:
        file["stack"] = FRAMES.transpose(3, 0, 1, 2)
        for dim, label in zip(file["stack"].dims, "xtzy", strict=True):
            dim.label = label
    np.testing.assert_array_equal(open_acquisition(path, GIVEN).read(0, 6), FRAMES)
    with h5py.File(path, "w") as file:
        file["stack"] = FRAMES.transpose(3, 0, 1, 2)
        file["stack"].attrs["axes"] = "xtzy"
    np.testing.assert_array_equal(open_acquisition(path, GIVEN).read(1, 6), FRAMES[1:])


def test_group_of_real_and_imag_and_an_axis_of_parts(tmp_path: Path) -> None:
    path = tmp_path / "parts.hdf5"
    with h5py.File(path, "w") as file:
        file["data/real"], file["data/imag"] = FRAMES.real, FRAMES.imag
    found = open_acquisition(path, GIVEN)
    assert found.kind == "iq"
    np.testing.assert_array_equal(found.read(3, 6), FRAMES[3:])
    only = open_acquisition(path, GIVEN.replace(variable="real"))
    np.testing.assert_array_equal(only.read(0, 6), FRAMES.real)
    with h5py.File(path, "w") as file:
        file["stack"] = np.stack([FRAMES.real, FRAMES.imag], 1)
    found = open_acquisition(path, GIVEN.replace(axes="tczyx"))
    np.testing.assert_array_equal(found.read(0, 6), FRAMES)
    with pytest.raises(InputError, match="--axes"):
        open_acquisition(path, GIVEN)


def test_integer_and_double_compounds(tmp_path: Path) -> None:
    path = tmp_path / "c.h5"
    for kind in ("<i2", "<f8", "<f4"):
        stored = np.zeros((6, 5, 4, 3), np.dtype([("r", kind), ("i", kind)]))
        stored["r"], stored["i"] = np.arange(360).reshape(6, 5, 4, 3), -3
        with h5py.File(path, "w") as file:
            # h5py itself reads float fields named r and i as complex.
            file["stack"] = stored
        frames = open_acquisition(path, GIVEN).read(0, 6)
        np.testing.assert_array_equal(frames, np.arange(360).reshape(6, 5, 4, 3) - 3j)


def test_a_wrong_suffix_does_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "really_hdf5.tif"
    with h5py.File(path, "w") as file:
        file["IQ"] = FRAMES
    np.testing.assert_array_equal(open_acquisition(path, GIVEN).read(0, 6), FRAMES)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("axes", ["tzyx", "zytx"])
def test_threaded_inflation_agrees_with_h5py(tmp_path: Path, shuffle: bool, axes: str) -> None:
    path = tmp_path / "gz.h5"
    stored = FRAMES.transpose(*("tzyx".index(a) for a in axes))
    compound = np.ascontiguousarray(stored).view([("real", "<f4"), ("imag", "<f4")])
    with h5py.File(path, "w") as file:
        data = file.create_dataset(
            "IQ",
            compound.shape,
            compound.dtype,
            chunks=(4, 2, 3, 2),
            compression=3,
            shuffle=shuffle,
        )
        data[...] = compound
        assert can_inflate(data) or (os.cpu_count() or 1) < 2
    source = open_acquisition(path, GIVEN.replace(axes=axes)).sources[0]
    for start, stop in ((0, 6), (1, 2), (3, 6), (0, 5)):
        np.testing.assert_array_equal(source.read(start, stop), FRAMES[start:stop])


def test_a_damaged_chunk_is_an_input_error_and_a_missing_one_is_zero(tmp_path: Path) -> None:
    path = tmp_path / "gz.h5"
    with h5py.File(path, "w") as file:
        data = file.create_dataset("IQ", data=FRAMES, chunks=(2, 5, 4, 3), compression="gzip")
        where = data.id.get_chunk_info(1).byte_offset
    with path.open("r+b") as raw:
        raw.seek(where + 20)
        raw.write(bytes(50))
    source = open_acquisition(path, GIVEN).sources[0]
    np.testing.assert_array_equal(source.read(4, 6), FRAMES[4:])
    with pytest.raises(InputError, match="damaged"):
        source.read(0, 6)
    with h5py.File(path, "w") as file:
        data = file.create_dataset(
            "IQ", FRAMES.shape, np.complex64, chunks=(2, 5, 4, 3), compression="gzip"
        )
        data[:2] = FRAMES[:2]
    found = open_acquisition(path, GIVEN).read(0, 6)
    np.testing.assert_array_equal(found[:2], FRAMES[:2])
    assert not found[2:].any()


def write_uff(path: Path, order: str, reverse: bool) -> None:
    """Write FRAMES as USTB does, with pixels in the `order` of axes (slowest first)."""
    axes = {"z": 5, "y": 4, "x": 3}
    pixels = FRAMES.transpose(0, *("tzyx".index(a) for a in order)).reshape(6, -1)
    positions = {a: (np.arange(n) - 1) * 2e-5 * n for a, n in axes.items()}
    mesh = np.meshgrid(*(positions[a] for a in order), indexing="ij")
    stored = pixels[:, None, None, :] if reverse else pixels.T[:, None, None, :]
    with h5py.File(path, "w") as file:
        group = file.create_group("b_data")
        group.attrs["class"] = "uff.beamformed_data"
        group["data/real"], group["data/imag"] = stored.real, stored.imag
        group["frame_rate"] = 25.0
        group["pulse/center_frequency"] = 15e6
        for letter, coordinates in zip(order, mesh, strict=True):
            group[f"scan/{letter}"] = coordinates.reshape(-1)


@pytest.mark.parametrize("order", ["xyz", "yxz", "zyx", "zxy"])
@pytest.mark.parametrize("reverse", [False, True])
def test_uff_pixels_in_any_order(tmp_path: Path, order: str, reverse: bool) -> None:
    path = tmp_path / "b.uff"
    write_uff(path, order, reverse)
    with pytest.raises(MissingMetadataError) as error:
        open_acquisition(path)  # 25 Hz is the rate of a video, not of the acquisition
    assert error.value.missing == ("rate_hz",)
    found = open_acquisition(path, LoadConfig(rate_hz=400, sound_speed_m_s=1500))
    assert found.grid.spacing_um == pytest.approx((100, 80, 60))
    assert found.grid.origin_um == pytest.approx((-100, -80, -60))
    assert found.wavelength_um == pytest.approx(100)
    np.testing.assert_array_equal(found.read(0, 6), FRAMES)
    np.testing.assert_array_equal(found.read(2, 5), FRAMES[2:5])


def test_uff_with_other_axes_given(tmp_path: Path) -> None:
    write_uff(tmp_path / "b.uff", "xyz", False)
    found = open_acquisition(tmp_path / "b.uff", LoadConfig(rate_hz=1, axes="xtzy"))
    expected = FRAMES.transpose(0, 3, 2, 1).transpose(1, 2, 3, 0)  # stored t, x, y, z
    np.testing.assert_array_equal(found.read(1, 3), expected[1:3])


def test_uff_linear_scan_and_pixels_off_the_grid(tmp_path: Path) -> None:
    path = tmp_path / "b.uff"
    flat = FRAMES[:, :, :1]
    with h5py.File(path, "w") as file:
        group = file.create_group("b_data")
        group.attrs["class"] = np.bytes_("uff.beamformed_data")
        group["data"] = flat.transpose(0, 3, 2, 1).reshape(6, 1, 1, -1)
        group["scan/x_axis"], group["scan/z_axis"] = np.arange(3) * 2e-4, np.arange(5) * 1e-4
    found = open_acquisition(path, LoadConfig(rate_hz=400))
    assert found.grid.spacing_um == pytest.approx((100, 200, 200))
    np.testing.assert_array_equal(found.read(0, 6), flat)
    write_uff(path, "xyz", False)
    with h5py.File(path, "r+") as file:
        file["b_data/scan/x"][7] += 1e-5
    with pytest.raises(InputError, match="not form a regular grid"):
        open_acquisition(path, LoadConfig(rate_hz=400))


def test_real_files(shared_data: Path) -> None:
    found = open_acquisition(shared_data / "formats" / "must_24frames_v73.mat")
    assert found.shape == (24, 32, 32, 32)
    assert found.rate_hz == 400
    assert found.grid.spacing_um == pytest.approx((25, 25, 25))
    assert found.grid.origin_um == pytest.approx((4950, -387.5, -387.5))
    uff = open_acquisition(
        shared_data / "formats" / "must_12frames_3d.uff", LoadConfig(rate_hz=400)
    )
    assert uff.shape == (12, 32, 32, 32)
    assert uff.grid == found.grid
    frames = uff.read(1, 2)[0]
    # Each pixel in the file has a position: its value must be there on the grid.
    with h5py.File(shared_data / "formats" / "must_12frames_3d.uff") as file:
        stored = file["b_data/data/real"][:, 0, 0, 1]
        where = np.stack([file[f"b_data/scan/{letter}"][:] * 1e6 for letter in "zyx"], axis=-1)
    index = uff.grid.to_index(where).round().astype(int)
    np.testing.assert_array_equal(frames.real[tuple(index.T)], stored)


@pytest.mark.parametrize(("link", "told"), [("external", "Open other.h5"), ("soft", "/nowhere")])
def test_a_file_of_links_only_names_them(tmp_path: Path, link: str, told: str) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        target = h5py.ExternalLink("other.h5", "/iq") if link == "external" else None
        file["iq"] = target or h5py.SoftLink("/nowhere")
    with pytest.raises(InputError, match=told):
        open_acquisition(tmp_path / "a.h5")
