"""Facts that files state about their values: scale, offset, position; and the range of values."""

from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest

from napari_ulm3d import open_acquisition
from napari_ulm3d.config import LoadConfig
from napari_ulm3d.errors import UlmError

SHAPE = (6, 8, 6, 7)
FACTS = LoadConfig(voxel_um=(100.0, 150.0, 150.0), rate_hz=250.0)


def test_packed_numbers_of_netcdf_are_unpacked(tmp_path: Path) -> None:
    packed = np.random.default_rng(0).integers(-3000, 3000, SHAPE).astype(np.int16)
    with h5py.File(tmp_path / "a.nc", "w") as file:
        file["v"] = packed
        file["v"].attrs["scale_factor"], file["v"].attrs["add_offset"] = 0.01, 5.0
        for axis, name in enumerate(("time", "z", "y", "x")):
            file["v"].dims[axis].label = name
    acquisition = open_acquisition(tmp_path / "a.nc", FACTS)
    np.testing.assert_allclose(acquisition.read(0, 6), packed * 0.01 + 5.0, rtol=1e-6)


def test_the_nifti_sform_is_used_without_pixdim(tmp_path: Path) -> None:
    nibabel = pytest.importorskip("nibabel")
    voxels = np.random.default_rng(0).random(SHAPE).astype(np.float32).T
    header = nibabel.Nifti1Header()
    header.set_data_shape(voxels.shape)
    header.set_data_dtype(np.float32)
    header.set_xyzt_units("mm", "sec")
    header["pixdim"][4] = 0.004
    header["sform_code"], header["qform_code"], header["vox_offset"] = 1, 0, 352
    header["srow_x"], header["srow_y"], header["srow_z"] = (
        [0.15, 0, 0, 0], [0, 0.15, 0, 0], [0, 0, 0.1, 0]
    )  # fmt: skip
    header["magic"] = b"n+1"
    content = header.binaryblock + bytes(4) + voxels.tobytes(order="F")
    (tmp_path / "a.nii").write_bytes(content)
    acquisition = open_acquisition(tmp_path / "a.nii")
    np.testing.assert_allclose(acquisition.grid.spacing_um, (100.0, 150.0, 150.0), rtol=1e-6)
    assert acquisition.rate_hz == pytest.approx(250.0)


@pytest.mark.parametrize("factor", [1e-60, 1e60])
def test_doubles_beyond_single_precision_are_refused(tmp_path: Path, factor: float) -> None:
    values = np.random.default_rng(0).normal(size=(*SHAPE, 2)) @ [1, 1j]
    np.save(tmp_path / "a.npy", values * factor)
    with pytest.raises(UlmError, match="single precision"):
        open_acquisition(tmp_path / "a.npy", FACTS).read(0, 6)


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("rate", 400.0, 400.0),
        ("frame_rate_kHz", 0.4, 400.0),
        ("frame_interval_ms", 2.5, 400.0),
        ("dt_s", 0.0025, 400.0),
        ("FramePeriod_us", 2500, 400.0),
    ],
)
def test_the_frame_rate_in_other_peoples_words(
    tmp_path: Path, name: str, value: float, expected: float
) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["iq"] = np.ones(SHAPE, np.complex64)
        file["iq"].attrs[name] = value
    acquisition = open_acquisition(tmp_path / "a.h5", LoadConfig(voxel_um=(100.0, 150.0, 150.0)))
    assert acquisition.rate_hz == pytest.approx(expected)


def test_the_rate_of_the_echoes_samples_is_no_frame_rate(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", iq=np.ones(SHAPE, np.complex64), rate=62.5e6)
    with pytest.raises(UlmError, match="rate"):
        open_acquisition(tmp_path / "a.npz", LoadConfig(voxel_um=(100.0, 150.0, 150.0)))


@pytest.mark.parametrize(
    ("name", "value"),
    [("spacing_mm", [0.1, 0.1, 0.1]), ("voxel_size_um", 100.0), ("pixel_size_m", [1e-4, 1e-4])],
)
def test_cubic_voxels_in_other_peoples_words(tmp_path: Path, name: str, value: object) -> None:
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["iq"] = np.ones(SHAPE, np.complex64)
        file["iq"].attrs[name] = value
    acquisition = open_acquisition(tmp_path / "a.h5", LoadConfig(rate_hz=400.0))
    assert acquisition.grid.spacing_um == pytest.approx((100.0, 100.0, 100.0))


def test_three_edges_without_their_order_are_asked_for(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", iq=np.ones(SHAPE, np.complex64), spacing_mm=[0.15, 0.15, 0.1])
    with pytest.raises(UlmError, match="voxel_um"):
        open_acquisition(tmp_path / "a.npz", LoadConfig(rate_hz=400.0))
    acquisition = open_acquisition(tmp_path / "a.npz", FACTS)
    assert any("does not say which number belongs to z" in note for note in acquisition.notes)
