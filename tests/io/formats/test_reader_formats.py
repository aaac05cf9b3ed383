"""Clinical and imaging formats: DICOM, MetaImage and NIfTI, written by their own libraries."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from napari_ulm3d.config import LoadConfig
from napari_ulm3d.errors import BackendError, InputError, MissingMetadataError
from napari_ulm3d.io.open.acquisition import describe, open_acquisition
from napari_ulm3d.provenance import source_fingerprint

GIVEN = LoadConfig(voxel_um=(100.0, 150.0, 150.0), rate_hz=500.0)
GREY = np.random.default_rng(3).integers(0, 200, (6, 5, 4, 3), dtype=np.uint8)
MOVIE = GREY[:, :, 0]


def write_dicom(path: Path, frames: np.ndarray, **tags: object) -> None:
    """A multi-frame ultrasound file (t, row, column[, colour])."""
    pydicom = pytest.importorskip("pydicom")
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, UltrasoundMultiFrameImageStorage

    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = UltrasoundMultiFrameImageStorage
    data.SOPInstanceUID = pydicom.uid.generate_uid()
    data.Modality = "US"
    data.NumberOfFrames, data.Rows, data.Columns = frames.shape[:3]
    data.SamplesPerPixel = 3 if frames.ndim == 4 else 1
    data.PhotometricInterpretation = "RGB" if frames.ndim == 4 else "MONOCHROME2"
    if frames.ndim == 4:
        data.PlanarConfiguration = 0
    data.BitsAllocated = data.BitsStored = frames.dtype.itemsize * 8
    data.HighBit, data.PixelRepresentation = data.BitsStored - 1, 0
    region = Dataset()
    region.RegionDataType, region.RegionSpatialFormat = 1, 1
    region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
    region.PhysicalDeltaX, region.PhysicalDeltaY = 0.02, 0.01
    data.SequenceOfUltrasoundRegions = [region]
    data.FrameTime = "4"
    for name, value in tags.items():
        if value is None:
            delattr(data, name)
        else:
            setattr(data, name, value)
    data.PixelData = frames.tobytes() + b"\0" * (frames.nbytes % 2)
    data.save_as(path, enforce_file_format=True)


def test_dicom_grey_movie_with_region_and_frame_time(tmp_path: Path) -> None:
    path = tmp_path / "cine.dcm"
    write_dicom(path, MOVIE)
    found = open_acquisition(path)
    assert found.shape == (6, 5, 1, 3)
    assert found.grid.spacing_um == pytest.approx((100, 200, 200))
    assert found.rate_hz == 250
    np.testing.assert_array_equal(found.read(0, 6)[:, :, 0], MOVIE)
    np.testing.assert_array_equal(found.read(2, 4)[:, :, 0], MOVIE[2:4])
    turned = open_acquisition(path, GIVEN.replace(axes="xtz"))  # whatever order is said
    np.testing.assert_array_equal(turned.read(1, 4)[:, :, 0], MOVIE.transpose(1, 2, 0)[1:4])


def test_dicom_colour_becomes_luminance(tmp_path: Path) -> None:
    path = tmp_path / "colour.dcm"
    colour = np.stack([MOVIE, MOVIE // 2, 255 - MOVIE], -1)
    write_dicom(path, colour, FrameTime=None, FrameTimeVector=["0", *["5"] * 5])
    found = open_acquisition(path)
    assert found.rate_hz == pytest.approx(200)
    expected = colour @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(found.read(0, 6)[:, :, 0], expected, rtol=1e-5)


def test_dicom_without_rate_or_region_asks_for_them(tmp_path: Path) -> None:
    path = tmp_path / "bare.dcm"
    write_dicom(path, MOVIE, FrameTime=None, SequenceOfUltrasoundRegions=None)
    with pytest.raises(MissingMetadataError) as error:
        open_acquisition(path)
    assert error.value.missing == ("voxel_um", "rate_hz")


def test_truncated_dicom(tmp_path: Path) -> None:
    path = tmp_path / "cut.dcm"
    write_dicom(path, MOVIE)
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"cut\.dcm"):
        open_acquisition(path).read(0, 6)


@pytest.mark.parametrize("compressed", [False, True])
@pytest.mark.parametrize("suffix", [".mha", ".mhd"])
def test_metaimage(tmp_path: Path, suffix: str, compressed: bool) -> None:
    sitk = pytest.importorskip("SimpleITK")
    path = tmp_path / f"frames{suffix}"
    image = sitk.GetImageFromArray(GREY.astype(np.int16), isVector=False)
    image.SetSpacing((0.15, 0.16, 0.1, 1.0))
    image.SetOrigin((-1.0, -2.0, 5.0, 0.0))
    sitk.WriteImage(image, str(path), useCompression=compressed)
    with pytest.raises(MissingMetadataError, match="rate_hz"):
        open_acquisition(path)
    found = open_acquisition(path, LoadConfig(rate_hz=100))
    assert found.grid.spacing_um == pytest.approx((100, 160, 150))
    assert found.grid.origin_um == pytest.approx((5000, -2000, -1000))
    np.testing.assert_array_equal(found.read(0, 6), GREY)
    np.testing.assert_array_equal(found.read(2, 5), GREY[2:5])


def test_metaimage_spacing_follows_the_axes_given(tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK")
    path = tmp_path / "movie.mha"
    image = sitk.GetImageFromArray(MOVIE.astype(np.float32), isVector=False)
    image.SetSpacing((0.01, 0.1, 7.0))
    sitk.WriteImage(image, str(path))
    rows_are_depth = open_acquisition(path, LoadConfig(rate_hz=100))
    assert rows_are_depth.grid.spacing_um == pytest.approx((100, 10, 10))
    lines_first = open_acquisition(path, LoadConfig(rate_hz=100, axes="txz"))
    assert lines_first.grid.spacing_um == pytest.approx((10, 100, 100))
    np.testing.assert_array_equal(lines_first.read(0, 6)[:, :, 0], MOVIE.swapaxes(1, 2))


def test_missing_metaimage_spacing_is_not_assumed_to_be_one_millimetre(tmp_path: Path) -> None:
    pytest.importorskip("SimpleITK")
    path = tmp_path / "bare.mhd"
    (tmp_path / "bare.raw").write_bytes(MOVIE.tobytes())
    path.write_text(
        "ObjectType = Image\nNDims = 3\nDimSize = 3 5 6\nElementType = MET_UCHAR\n"
        "ElementDataFile = bare.raw\n"
    )
    with pytest.raises(MissingMetadataError, match="voxel_um"):
        open_acquisition(path, LoadConfig(rate_hz=100))
    np.testing.assert_array_equal(open_acquisition(path, GIVEN).read(0, 6)[:, :, 0], MOVIE)
    (tmp_path / "bare.raw").write_bytes(MOVIE.tobytes()[:30])
    with pytest.raises(InputError, match="bare"):
        open_acquisition(path, GIVEN).read(0, 6)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_nifti(tmp_path: Path, suffix: str) -> None:
    nib = pytest.importorskip("nibabel")
    path = tmp_path / f"frames{suffix}"
    affine = np.diag([0.15, 0.16, 0.1, 1.0])
    affine[:3, 3] = (-1, -2, 5)
    image = nib.Nifti1Image(GREY.transpose(3, 2, 1, 0), affine)
    image.header.set_xyzt_units("mm", "msec")
    image.header.set_zooms((0.15, 0.16, 0.1, 4.0))
    nib.save(image, path)
    found = open_acquisition(path)
    assert found.name == "frames"
    assert found.grid.spacing_um == pytest.approx((100, 160, 150))
    assert found.grid.origin_um == pytest.approx((5000, -2000, -1000))
    assert found.rate_hz == pytest.approx(250)
    np.testing.assert_array_equal(found.read(0, 6), GREY)
    np.testing.assert_array_equal(found.read(2, 5), GREY[2:5])


def test_nifti_scaled_and_complex_and_without_units(tmp_path: Path) -> None:
    nib = pytest.importorskip("nibabel")
    path = tmp_path / "scaled.nii"
    image = nib.Nifti1Image(GREY.transpose(3, 2, 1, 0).astype(np.int16), np.eye(4))
    image.header.set_slope_inter(0.5, 3)
    nib.save(image, path)
    with pytest.raises(MissingMetadataError):
        open_acquisition(path)
    # nibabel's own reading, scaled to floats, is the reference.
    expected = np.asanyarray(nib.load(path).dataobj).transpose(3, 2, 1, 0)
    np.testing.assert_allclose(open_acquisition(path, GIVEN).read(0, 6), expected)
    nib.save(nib.Nifti1Image((GREY * 1j).transpose(3, 2, 1, 0).astype(np.complex64), None), path)
    np.testing.assert_array_equal(open_acquisition(path, GIVEN).read(0, 6), GREY * 1j)
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(InputError, match="scaled"):
        open_acquisition(path, GIVEN).read(0, 6)


@pytest.mark.parametrize("package", ["pydicom", "nibabel"])
def test_a_missing_library_is_named_with_the_line_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str
) -> None:
    if package == "pydicom":
        path = tmp_path / "a.dcm"
        write_dicom(path, MOVIE)
    else:
        path = tmp_path / "a.nii"
        path.write_bytes(bytes(344) + b"n+1\0" + bytes(100))
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(BackendError, match=r"pip install 'napari-ulm3d\[formats\]'"):
        open_acquisition(path, GIVEN)


def test_real_files(shared_data: Path) -> None:
    formats = shared_data / "formats"
    colour = open_acquisition(formats / "dicom" / "examples_ybr_color.dcm")
    assert colour.shape == (30, 240, 1, 320)
    assert colour.rate_hz == pytest.approx(30, rel=1e-4)
    assert colour.grid.spacing_um[0] == pytest.approx(510.497, rel=1e-5)
    assert 100 < colour.read(3, 4).max() <= 255
    palette = formats / "dicom" / "OBXXXX1A_rle_2frame.dcm"
    assert describe(palette).missing == ("rate_hz",)
    found = open_acquisition(palette, LoadConfig(rate_hz=30))
    assert found.shape == (2, 600, 1, 800)
    assert found.grid.spacing_um[0] == pytest.approx(262.288, rel=1e-5)
    liver = formats / "itk_mouse_liver"
    b_mode = open_acquisition(liver / "MouseLiverB.mha", LoadConfig(rate_hz=30))
    assert b_mode.shape == (4, 512, 1, 128)
    assert b_mode.grid.spacing_um == pytest.approx((38.5753, 100, 100))
    rf = open_acquisition(liver / "MouseLiverRF.mha", LoadConfig(rate_hz=30, axes="txz"))
    assert rf.shape == (4, 1536, 1, 128)
    assert rf.grid.spacing_um == pytest.approx((12.8417, 100, 100))
    assert any("demodulate" in note for note in rf.notes)
    with pytest.raises(InputError, match="one acquisition"):
        open_acquisition(liver, LoadConfig(rate_hz=30))
    mouse = shared_data / "ulm_maps" / "awake_mouse" / "mouse04week2.mat"
    vessel_map = open_acquisition(mouse, GIVEN.replace(variable="mapVelocity", axes="zx"))
    assert vessel_map.shape == (1, 1596, 1, 1601)


def test_new_values_with_an_old_header_change_the_fingerprint(tmp_path: Path) -> None:
    """As needed by `--resume`: an .mhd does not change when the frames in its .raw are replaced."""
    sitk = pytest.importorskip("SimpleITK")
    image = sitk.GetImageFromArray(np.zeros((4, 5, 6, 7), np.float32), isVector=False)
    path = tmp_path / "movie.mhd"
    sitk.WriteImage(image, str(path))
    given = LoadConfig(voxel_um=(100, 100, 100), rate_hz=100, wavelength_um=100)

    def fingerprint() -> str:
        return source_fingerprint(open_acquisition(path, given).sources[0])

    before = fingerprint()
    assert fingerprint() == before
    raw = path.with_suffix(".raw")
    values = np.fromfile(raw, np.float32)
    values[values.size // 2] = 1
    values.tofile(raw)
    assert fingerprint() != before
