"""A few small sound files for each reader, written by other people's writers."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import h5py
import nibabel
import numpy as np
import SimpleITK as sitk
import tifffile
import zarr
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    ExplicitVRLittleEndian,
    RLELossless,
    UltrasoundMultiFrameImageStorage,
)
from scipy.io import savemat

_RNG = np.random.default_rng(8)
_PARTS = _RNG.standard_normal((2, 4, 5, 3, 2)).astype(np.float32)
#: Frames (t, z, y, x).
IQ = (_PARTS[0] + 1j * _PARTS[1]).astype(np.complex64)
GREY = _RNG.integers(0, 256, IQ.shape, dtype=np.uint8)
_COMPOUND = [("real", "<f4"), ("imag", "<f4")]


def write_samples(folder: Path) -> dict[str, list[Path]]:
    """Write the files of all formats: what to open, by the reader's name.

    Each is alone in a folder, with whatever files belong to it.
    """
    found: dict[str, list[Path]] = {}
    for name, writers in _WRITERS.items():
        for number, (file, write) in enumerate(writers):
            place = folder / name.replace(" ", "_") / str(number)
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            write(place / file)
            found.setdefault(name, []).append(place / file)
    return found


def _dicom(syntax: str) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        frames = GREY[:, :, 0]
        data = Dataset()
        data.file_meta = FileMetaDataset()
        data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        data.SOPClassUID = UltrasoundMultiFrameImageStorage
        data.SOPInstanceUID = "1.2.3"
        data.Modality, data.FrameTime = "US", "4"
        data.NumberOfFrames, data.Rows, data.Columns = frames.shape
        data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
        data.BitsAllocated = data.BitsStored = 8
        data.HighBit, data.PixelRepresentation = 7, 0
        region = Dataset()
        region.RegionDataType, region.RegionSpatialFormat = 1, 1
        region.PhysicalUnitsXDirection = region.PhysicalUnitsYDirection = 3
        region.PhysicalDeltaX, region.PhysicalDeltaY = 0.02, 0.01
        data.SequenceOfUltrasoundRegions = [region]
        data.PixelData = frames.tobytes()
        if syntax == RLELossless:
            data.compress(RLELossless, generate_instance_uid=False)
        data.save_as(path, enforce_file_format=True)

    return write


def _ultratrace(path: Path) -> None:
    with h5py.File(path, "w") as file:
        meta = file.create_group("acquisitions/a/meta")
        meta["compound_image"] = IQ.transpose(0, 2, 1, 3)
        for letter, n in zip("zyx", IQ.shape[1:], strict=True):
            meta[letter] = np.arange(n) * 0.1
            meta[letter].attrs["units"] = "mm"


def _deflated_hdf5(path: Path) -> None:
    with h5py.File(path, "w", libver="latest") as file:
        file.create_dataset(
            "stack", data=IQ.view(_COMPOUND), chunks=(2, 5, 3, 2), compression="gzip", shuffle=True
        )
        file.attrs["rate_hz"] = 260.0
        file["note"] = "what a person wrote"


def _sparse_tensor(path: Path) -> None:
    with h5py.File(path, "w") as file:
        for number in (1, 2):
            file[f"{number}/CorrMap"] = np.stack([IQ.real, IQ.imag], -1)


def _matlab73(path: Path) -> None:
    with h5py.File(path, "w", userblock_size=512) as file:
        data = file.create_dataset("IQ", data=IQ.transpose(0, 2, 3, 1).copy().view(_COMPOUND))
        data.attrs["MATLAB_class"] = np.bytes_("single")
    with path.open("r+b") as raw:
        raw.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\0\2IM")


def _uff(path: Path) -> None:
    axes = {"z": 5, "y": 3, "x": 2}
    mesh = np.meshgrid(*((np.arange(n) - 1) * 1e-4 for n in axes.values()), indexing="ij")
    with h5py.File(path, "w") as file:
        group = file.create_group("b_data")
        group.attrs["class"] = "uff.beamformed_data"
        stored = IQ.reshape(4, 1, 1, -1)
        group["data/real"], group["data/imag"] = stored.real, stored.imag
        group["pulse/center_frequency"] = 15e6
        for letter, coordinates in zip(axes, mesh, strict=True):
            group[f"scan/{letter}"] = coordinates.reshape(-1)


def _matlab5(compressed: bool) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        stored = IQ.transpose(1, 3, 2, 0)
        values = {"IQ": stored, "PData": {"PDelta": [1.0, 0.0, 0.5]}, "UF": {"FrameRateUF": 1e3}}
        savemat(path, values, do_compression=compressed)

    return write


def _matlab5_struct(path: Path) -> None:
    savemat(path, {"S": {"inner": {"stack": IQ.transpose(1, 3, 2, 0)}}, "cell": np.array([1, "a"])})


def _metaimage(compressed: bool) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        image = sitk.GetImageFromArray(GREY.astype(np.int16), isVector=False)
        image.SetSpacing((0.15, 0.16, 0.1, 1.0))
        sitk.WriteImage(image, str(path), useCompression=compressed)

    return write


def _nifti(path: Path) -> None:
    image = nibabel.Nifti1Image(GREY.transpose(3, 2, 1, 0), np.diag([0.15, 0.16, 0.1, 1.0]))
    image.header.set_xyzt_units("mm", "msec")
    nibabel.save(image, path)


def _nifti2(path: Path) -> None:
    nibabel.save(nibabel.Nifti2Image(IQ.transpose(3, 2, 1, 0), np.eye(4)), path)


def _tiff(**options: object) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        axes = "TZYX" if path.name.endswith(".ome.tif") else "TZCYX"
        frames = GREY if axes == "TZYX" else GREY[:, :, None]
        tifffile.imwrite(path, frames, photometric="minisblack", metadata={"axes": axes}, **options)

    return write


def _plain_tiff(path: Path) -> None:
    tifffile.imwrite(path, GREY[:, :, 0], photometric="minisblack", bigtiff=True)


def _zarr(version: int) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        array = zarr.create_array(
            str(path), shape=IQ.shape, dtype="complex64", chunks=(2, 5, 3, 2), zarr_format=version
        )
        array[...] = IQ
        array.attrs["_ARRAY_DIMENSIONS"] = list("tzyx")

    return write


def _ome_zarr(path: Path) -> None:
    group = zarr.open_group(str(path), mode="w", zarr_format=2)
    array = group.create_array("0", shape=GREY.shape, dtype="u1", chunks=(2, 5, 3, 2))
    array[...] = GREY
    scale = [{"type": "scale", "scale": [1, 100, 150, 150]}]
    level = {"path": "0", "coordinateTransformations": scale}
    axes = [{"name": n, "unit": "micrometer"} for n in "tzyx"]
    group.attrs["multiscales"] = json.loads(json.dumps([{"axes": axes, "datasets": [level]}]))


_WRITERS: dict[str, list[tuple[str, Callable[[Path], None]]]] = {
    "DICOM": [
        ("cine.dcm", _dicom(ExplicitVRLittleEndian)),
        ("rle.dcm", _dicom(RLELossless)),
    ],
    "HDF5": [
        ("run.h5", _ultratrace),
        ("gz.h5", _deflated_hdf5),
        ("train.h5", _sparse_tensor),
        ("IQ001.mat", _matlab73),
    ],
    "MATLAB v5": [
        ("iq.mat", _matlab5(False)),
        ("gz.mat", _matlab5(True)),
        ("struct.mat", _matlab5_struct),
    ],
    "MetaImage": [
        ("a.mha", _metaimage(False)),
        ("gz.mha", _metaimage(True)),
        ("b.mhd", _metaimage(False)),
        ("gz.mhd", _metaimage(True)),
    ],
    "NIfTI": [("a.nii", _nifti), ("a.nii.gz", _nifti), ("iq.nii", _nifti2)],
    "NumPy .npy": [
        ("iq.npy", lambda path: np.save(path, IQ)),
        ("grey.npy", lambda path: np.save(path, np.asfortranarray(GREY))),
    ],
    "NumPy .npz": [
        ("iq.npz", lambda path: np.savez(path, IQ=IQ, rate_hz=260.0)),
        ("gz.npz", lambda path: np.savez_compressed(path, IQ=IQ, rate_hz=260.0)),
    ],
    "TIFF": [
        ("a.ome.tif", _tiff(compression="zlib")),
        ("imagej.tif", _tiff(imagej=True)),
        ("big.tif", _plain_tiff),
    ],
    "USTB UFF": [("b.uff", _uff)],
    "Zarr": [("v2.zarr", _zarr(2)), ("v3.zarr", _zarr(3)), ("b.ome.zarr", _ome_zarr)],
}
