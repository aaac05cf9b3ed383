"""Values, times and order stated in a file are interpreted as by the software that wrote it."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pydicom
import pytest
import tifffile
import zarr
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels import apply_modality_lut
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from napari_ulm3d import open_acquisition
from napari_ulm3d.config import LoadConfig
from napari_ulm3d.errors import InputError

SAID = LoadConfig(voxel_um=(50, 60, 70), rate_hz=100)
MOVIE = np.random.default_rng(1).integers(0, 3000, (9, 6, 7)).astype(np.uint16)


def read(path: Path, config: LoadConfig = SAID) -> np.ndarray:
    acquisition = open_acquisition(path, config)
    return acquisition.read(0, acquisition.n_frames)[:, :, 0]


def imagej(path: Path, **metadata: object) -> Path:
    said = {"axes": "TYX", "unit": "um", "spacing": 50.0, **metadata}
    tifffile.imwrite(path, MOVIE, imagej=True, resolution=(1 / 50, 1 / 50), metadata=said)
    return path


@pytest.mark.parametrize(
    ("unit", "interval"),
    [("ms", 4), ("msec", 4), ("milliseconds", 4), ("usec", 4000), ("\\u00B5s", 4000), ("sec", 0.004),
     ("s", 0.004), ("min", 0.004 / 60), ("hr", 0.004 / 3600), ("hours", 0.004 / 3600)],
)  # fmt: skip
def test_imagej_interval_in_its_unit(tmp_path: Path, unit: str, interval: float) -> None:
    path = imagej(tmp_path / "a.tif", finterval=interval, tunit=unit)
    assert open_acquisition(path).rate_hz == pytest.approx(250)


def test_an_interval_with_an_unknown_unit_is_requested(tmp_path: Path) -> None:
    path = imagej(tmp_path / "a.tif", finterval=4, tunit="heartbeats")
    with pytest.raises(InputError, match="rate_hz"):
        open_acquisition(path)
    notes = open_acquisition(path, LoadConfig(rate_hz=100.0)).notes
    assert any("heartbeats" in note for note in notes)


@pytest.mark.parametrize(
    ("function", "coefficients"),
    [(0, (-32768.0, 1.0)), (0, (3.0, 0.25)), (1, (1.0, 2.0, 0.001)), (20, ())],
)
def test_imagej_calibration_of_grey_values(
    tmp_path: Path, function: int, coefficients: tuple[float, ...]
) -> None:
    terms = {f"c{i}": c for i, c in enumerate(coefficients)}
    path = imagej(tmp_path / "a.tif", cf=function, **terms)
    want = MOVIE.astype(float)
    if coefficients:
        want = sum(c * MOVIE.astype(float) ** i for i, c in enumerate(coefficients))
    np.testing.assert_allclose(read(path), want, rtol=1e-6)


def test_another_calibration_is_refused_not_ignored(tmp_path: Path) -> None:
    path = imagej(tmp_path / "a.tif", cf=4, c0=1.0, c1=2.0)
    with pytest.raises(InputError, match="calibrated in ImageJ by function 4"):
        open_acquisition(path, SAID)


@pytest.mark.parametrize(("slope", "inter"), [(0.5, -10.0), (1.0, -500.0), (2.5, 0.0)])
def test_nifti_scaling_as_nibabel_applies_it(tmp_path: Path, slope: float, inter: float) -> None:
    image = nibabel.Nifti1Image(MOVIE.astype(np.int16).transpose(2, 1, 0)[:, :, None], np.eye(4))
    image.header.set_slope_inter(slope, inter)
    image.to_filename(tmp_path / "a.nii")
    want = nibabel.load(tmp_path / "a.nii").get_fdata()[:, :, 0].transpose(2, 1, 0)
    np.testing.assert_allclose(read(tmp_path / "a.nii"), want, rtol=1e-6)


def dicom(path: Path, frame: np.ndarray, **tags: object) -> None:
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.6.1"
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = generate_uid()
    data.Rows, data.Columns = frame.shape
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 16, 15
    data.PixelRepresentation, data.SamplesPerPixel = int(frame.dtype.kind == "i"), 1
    data.PhotometricInterpretation, data.SeriesInstanceUID = "MONOCHROME2", "1.2.3"
    data.PixelData = frame.tobytes()
    for name, value in tags.items():
        setattr(data, name, value)
    data.save_as(path, enforce_file_format=True)


def series(folder: Path, numbers: list[int], **tags: object) -> Path:
    folder.mkdir()
    for i, number in enumerate(numbers):
        frame = np.full((4, 5), number, np.uint16)
        dicom(folder / f"IM{i}.dcm", frame, InstanceNumber=number, **tags)
    return folder


def test_single_dicom_frames_follow_their_instance_number(tmp_path: Path) -> None:
    folder = series(tmp_path / "a", [5, 2, 4, 1, 3])
    assert read(folder)[:, 0, 0].tolist() == [1, 2, 3, 4, 5]
    assert any("InstanceNumber" in note for note in open_acquisition(folder, SAID).notes)


def test_missing_and_repeated_instance_numbers(tmp_path: Path) -> None:
    gap = series(tmp_path / "gap", [7, 1, 2, 4, 5])
    assert read(gap)[:, 0, 0].tolist() == [1, 2, 4, 5, 7]
    assert any("gaps at 3, 6" in note for note in open_acquisition(gap, SAID).notes)
    double = series(tmp_path / "double", [1, 2, 2, 3])
    with pytest.raises(InputError, match=r"InstanceNumber 2, as does IM\d.dcm"):
        open_acquisition(double, SAID)
    (double / "IM2.dcm").unlink()
    assert open_acquisition(double, SAID).n_frames == 3
    dicom(double / "IM9.dcm", np.zeros((4, 5), np.uint16), InstanceNumber=9, SeriesInstanceUID="1")
    with pytest.raises(InputError, match="2 series"):
        open_acquisition(double, SAID)


@pytest.mark.parametrize("kind", [np.int16, np.uint16])
@pytest.mark.parametrize("tags", [{}, {"RescaleSlope": 0.5, "RescaleIntercept": -30}])
def test_dicom_rescaling_as_pydicom_applies_it(
    tmp_path: Path, kind: type, tags: dict[str, float]
) -> None:
    frame = (MOVIE[0].astype(np.int32) - (1000 if kind is np.int16 else 0)).astype(kind)
    dicom(tmp_path / "a.dcm", frame, **tags)
    want = apply_modality_lut(frame, pydicom.dcmread(tmp_path / "a.dcm"))
    np.testing.assert_allclose(read(tmp_path / "a.dcm")[0], want)


def test_black_is_the_largest_value_of_monochrome1(tmp_path: Path) -> None:
    dicom(tmp_path / "a.dcm", MOVIE[0], PhotometricInterpretation="MONOCHROME1")
    np.testing.assert_allclose(read(tmp_path / "a.dcm")[0], 65535 - MOVIE[0].astype(float))


@pytest.mark.parametrize("version", [2, 3])
def test_images_in_the_groups_of_bioformats2raw(tmp_path: Path, version: int) -> None:
    root = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=version)

    def add(name: str, movie: np.ndarray) -> None:
        group = root.create_group(name)
        group.create_array("0", data=movie[:, None, None])
        axes = [("t", "time", "millisecond"), ("c", "channel", None)]
        axes += [(a, "space", "micrometer") for a in "zyx"]
        images = [{
            "axes": [{"name": n, "type": t} | ({"unit": u} if u else {}) for n, t, u in axes],
            "datasets": [{"path": "0", "coordinateTransformations": [
                {"type": "scale", "scale": [4.0, 1, 1, 50.0, 60.0]}]}],
        }]  # fmt: skip
        group.attrs.update(
            {"multiscales": images} if version == 2 else {"ome": {"multiscales": images}}
        )

    add("0", MOVIE)
    root.create_group("OME").attrs["series"] = ["0"]
    acquisition = open_acquisition(tmp_path / "a.zarr")
    assert acquisition.rate_hz == pytest.approx(250)
    assert acquisition.grid.spacing_um == (50, 60, 60)
    np.testing.assert_array_equal(read(tmp_path / "a.zarr"), MOVIE)
    add("1", MOVIE + 1)
    with pytest.raises(InputError, match="2 images: 0, 1") as error:
        open_acquisition(tmp_path / "a.zarr")
    assert "--variable 0" in error.value.remedy
    for name, want in (("0", MOVIE), ("1", MOVIE + 1), ("1/0", MOVIE + 1)):
        got = read(tmp_path / "a.zarr", LoadConfig(variable=name))
        np.testing.assert_array_equal(got, want)
