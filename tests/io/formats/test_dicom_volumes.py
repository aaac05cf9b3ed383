"""DICOM as archives and scanners hand it out: without suffix or preamble, slices of volumes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from napari_ulm3d.config import LoadConfig
from napari_ulm3d.errors import InputError
from napari_ulm3d.io.open.acquisition import open_acquisition

pydicom = pytest.importorskip("pydicom")

# t, y, z, x
VOLUMES = np.random.default_rng(3).integers(1, 200, (3, 4, 5, 6), dtype=np.uint8)
GIVEN = LoadConfig(rate_hz=100.0)


def write(path: Path, frames: np.ndarray, *, part_10: bool = True, **tags: Any) -> None:
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.3.1"
    data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid()
    data.SeriesInstanceUID, data.Modality, data.PixelSpacing = "1.2.3", "US", [0.2, 0.05]
    if frames.ndim == 3:
        data.NumberOfFrames = len(frames)
    data.Rows, data.Columns = frames.shape[-2:]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation = 8, 8, 7, 0
    for name, value in tags.items():
        setattr(data, name, value)
    data.PixelData = frames.tobytes()
    if part_10:
        data.save_as(path, enforce_file_format=True)
    else:
        del data.file_meta
        syntax = ImplicitVRLittleEndian if path.stem == "implicit" else ExplicitVRLittleEndian
        data.save_as(path, implicit_vr=syntax.is_implicit_VR, little_endian=True)


def item(**values: Any) -> Any:
    from pydicom.dataset import Dataset

    found = Dataset()
    for name, value in values.items():
        setattr(found, name, value)
    return found


@pytest.mark.parametrize("name", ["explicit", "implicit"])
def test_a_data_set_without_preamble(tmp_path: Path, name: str) -> None:
    movie = VOLUMES[:, 0]
    write(tmp_path / f"{name}.dcm", movie, part_10=False, FrameTime="2")
    found = open_acquisition(tmp_path / f"{name}.dcm")
    assert found.rate_hz == 500
    np.testing.assert_array_equal(found.read(0, 3)[:, :, 0], movie)


@pytest.mark.parametrize("name", ["IM_{:04d}", "1.2.840.113.{}", "S{}.IMA"])
def test_a_folder_of_files_without_known_suffix(tmp_path: Path, name: str) -> None:
    for k, frame in enumerate(VOLUMES[:, 0]):
        write(tmp_path / name.format(9 - k), frame, InstanceNumber=k + 1)
    (tmp_path / "readme").write_text("exported on Monday")
    (tmp_path / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    found = open_acquisition(tmp_path, GIVEN)
    np.testing.assert_array_equal(found.read(0, 3)[:, :, 0], VOLUMES[:, 0])


def test_slices_at_several_positions_are_volumes_and_not_a_movie(tmp_path: Path) -> None:
    number = 0
    for volume in VOLUMES:
        for k, plane in enumerate(volume):
            number += 1
            place = [1.0, 2.0 + 0.1 * k, 3.0]
            write(
                tmp_path / f"{number}.dcm", plane, InstanceNumber=number, ImagePositionPatient=place
            )
    found = open_acquisition(tmp_path, GIVEN)
    assert found.grid.spacing_um == pytest.approx((200, 100, 50))
    np.testing.assert_array_equal(found.read(0, 3), VOLUMES.transpose(0, 2, 1, 3))
    (tmp_path / "5.dcm").unlink()
    with pytest.raises(InputError, match="11 slices at 4 positions"):
        open_acquisition(tmp_path, GIVEN)


def test_planes_and_times_of_an_enhanced_volume(tmp_path: Path) -> None:
    groups = [
        item(
            PlanePositionVolumeSequence=[item(ImagePositionVolume=[0, 0, 0.1 * y])],
            TemporalPositionSequence=[item(TemporalPositionTimeOffset=0.002 * t)],
        )
        for t in range(3)
        for y in range(4)
    ]
    measures = item(PixelMeasuresSequence=[item(PixelSpacing=[0.3, 0.06])])
    path = tmp_path / "volume.dcm"
    write(
        path,
        VOLUMES.reshape(12, 5, 6),
        PixelSpacing=None,
        SharedFunctionalGroupsSequence=[measures],
        PerFrameFunctionalGroupsSequence=groups,
    )
    found = open_acquisition(path)
    assert found.rate_hz == pytest.approx(500)
    assert found.grid.spacing_um == pytest.approx((300, 100, 60))
    np.testing.assert_array_equal(found.read(1, 3), VOLUMES.transpose(0, 2, 1, 3)[1:])
    turned = open_acquisition(path, LoadConfig(axes="ytzx", rate_hz=1.0, voxel_um=(9.0, 9.0, 9.0)))
    np.testing.assert_array_equal(turned.read(1, 3)[:, :, 0], VOLUMES[0, 1:3])


def test_missing_frames_are_noticed_on_opening(tmp_path: Path) -> None:
    write(tmp_path / "cut.dcm", VOLUMES[:, 0], NumberOfFrames=400, FrameTime="2")
    with pytest.raises(InputError, match="ends too early"):
        open_acquisition(tmp_path / "cut.dcm")
