"""Crops of files published by other groups (tests/data) are read correctly."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.io
import tifffile

from napari_ulm3d.cli import main
from napari_ulm3d.config import LoadConfig
from napari_ulm3d.io import describe, open_acquisition
from napari_ulm3d.io.results import ResultsFolder


def test_a_log_compressed_movie(crops: Path) -> None:
    path = crops / "rat_brain_microbubbles.tif"
    assert describe(path).missing == ("voxel_um", "rate_hz")
    given = LoadConfig(voxel_um=(50.0, 50.0, 50.0), rate_hz=30.0, log_compressed_db=30.0)
    found = open_acquisition(path, given)
    assert found.shape == (18, 72, 1, 100)
    stored = tifffile.imread(path)
    expected = np.where(stored > 0, 10 ** ((stored / 255 - 1) * 1.5), 0)
    np.testing.assert_allclose(found.read(0, 18)[:, :, 0], expected, rtol=1e-5)


def test_the_movie_has_tracks(crops: Path, tmp_path: Path) -> None:
    """With the settings given in the guide; scale and rate are unknown."""
    settings = [
        "clutter.method=none",
        "psf.fwhm_voxels=8,3,12",
        "psf.patch_voxels=15,7,25",
        "localize.patch_voxels=15,7,25",
        "localize.min_snr_db=6",
        "localize.min_correlation=0.4",
        "localize.max_shift_voxels=5",
        "link.min_length_frames=5",
        "maps.resolution_factor=2",
    ]
    given = "--voxel-um 50 50 50 --rate 30 --log-compressed 40 --localizer radial --max-speed 15"
    flags = given.split() + [word for setting in settings for word in ("--set", setting)]
    path = crops / "rat_brain_microbubbles.tif"
    assert main(["run", str(path), "--out", str(tmp_path / "r"), *flags]) == 0
    tracks = ResultsFolder.open(tmp_path / "r").tracks()
    assert tracks.n_tracks >= 3
    low, high = tracks.positions_um.min(axis=0), tracks.positions_um.max(axis=0)
    assert (low >= -25).all()
    assert (high <= np.array([72, 1, 100]) * 50 - 25).all()


def test_a_color_dicom_from_a_scanner(crops: Path) -> None:
    pydicom = pytest.importorskip("pydicom")
    pytest.importorskip("libjpeg")
    path = crops / "cardiac_color.dcm"
    found = open_acquisition(path)
    assert found.shape == (5, 240, 1, 320)
    assert found.rate_hz == pytest.approx(30, rel=1e-4)
    assert found.grid.spacing_um[0] == pytest.approx(510.497, rel=1e-5)
    pixels = pydicom.pixels.pixel_array(path, index=3).astype(float)
    frame = found.read(3, 4)[0, :, 0]
    # Gray where the picture is gray, whatever the luminance weights.
    gray = np.ptp(pixels, axis=-1) == 0
    assert gray.mean() > 0.5
    np.testing.assert_allclose(frame[gray], pixels[gray][:, 0], atol=1)


def test_b_mode_and_radio_frequency_metaimages(crops: Path) -> None:
    sitk = pytest.importorskip("SimpleITK")
    path = crops / "mouse_liver_b_mode.mha"
    b_mode = open_acquisition(path, LoadConfig(rate_hz=30))
    assert b_mode.shape == (4, 128, 1, 64)
    assert b_mode.grid.spacing_um == pytest.approx((38.5753, 100, 100))
    stored = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    np.testing.assert_array_equal(b_mode.read(0, 4)[:, :, 0], stored)
    path = crops / "mouse_liver_rf.mha"
    rf = open_acquisition(path, LoadConfig(rate_hz=30, axes="txz"))
    assert rf.shape == (2, 256, 1, 24)
    assert rf.grid.spacing_um == pytest.approx((12.8417, 100, 100))
    assert any("demodulate" in note for note in rf.notes)
    stored = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))
    np.testing.assert_array_equal(rf.read(0, 2)[:, :, 0], stored.transpose(0, 2, 1))


def test_a_map_in_a_matlab_structure(crops: Path) -> None:
    path = crops / "mouse_brain_ulm_map.mat"
    stored = scipy.io.loadmat(path, squeeze_me=True)["ULM_final"][()]
    for name in ("mapCounter", "mapVelocity"):
        given = LoadConfig(voxel_um=(6.25,) * 3, rate_hz=1.0, variable=name, axes="zx")
        found = open_acquisition(path, given)
        assert found.shape == (1, 96, 1, 96)
        np.testing.assert_allclose(found.read(0, 1)[0, :, 0], stored[name], rtol=1e-6)
