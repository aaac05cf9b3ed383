"""Files that claim or grow to more than memory can hold are refused before it is taken."""

from __future__ import annotations

import gzip
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import nibabel
import numpy as np
import pytest
import tifffile
import zarr
from fault_samples import GREY, IQ, write_samples
from scipy.io import savemat

from napari_ulm3d.config import LoadConfig
from napari_ulm3d.errors import InputError
from napari_ulm3d.io.formats.hdf5 import chunks as h5chunks
from napari_ulm3d.io.formats.tiff import safety as tiffsafety
from napari_ulm3d.io.open.acquisition import open_acquisition
from napari_ulm3d.io.stored import limits

GIVEN = LoadConfig(voxel_um=(100.0, 150.0, 150.0), rate_hz=500.0)
MANY = (10**6, 400, 400, 400)  # 400 TB of complex numbers


def read(path: Path, **settings: Any) -> None:
    open_acquisition(path, GIVEN.replace(**settings)).read(0, 1)


def huge_npy(path: Path) -> None:
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(
            file, {"descr": "<c8", "fortran_order": False, "shape": MANY}
        )
        file.write(bytes(1000))


def huge_npz(path: Path) -> None:
    huge_npy(path)
    content = path.read_bytes()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("IQ.npy", content)


def huge_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("IQ", MANY, np.complex64, chunks=(1, 20, 20, 20), compression="gzip")


def huge_chunk_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset(
            "IQ", (4, 5, 3, 2), "u1", chunks=(4096, 512, 512, 2), maxshape=(None,) * 4
        )


def huge_zarr(path: Path) -> None:
    zarr.create_array(str(path), shape=MANY, chunks=(1, 40, 40, 40), dtype="complex64")


def huge_chunk_zarr(path: Path) -> None:
    zarr.create_array(str(path), shape=(4, 5, 3, 2), chunks=(4, 10**4, 10**4, 10), dtype="f4")


def huge_nifti(path: Path) -> None:
    image = nibabel.Nifti1Image(GREY, np.eye(4))
    content = bytearray(image.to_bytes())
    content[40:56] = struct.pack("<8h", 4, 32000, 32000, 32000, 32000, 1, 1, 1)
    path.write_bytes(gzip.compress(bytes(content)))


def huge_metaimage(path: Path) -> None:
    path.write_bytes(
        b"NDims = 4\nDimSize = 99999 9999 9999 9999\nCompressedData = True\n"
        b"ElementType = MET_FLOAT\nElementDataFile = LOCAL\n" + zlib.compress(bytes(1 << 16))
    )


def huge_matlab(path: Path) -> None:
    savemat(path, {"IQ": IQ.transpose(1, 3, 2, 0)}, do_compression=False)
    content = bytearray(path.read_bytes())
    at = content.index(struct.pack("<4i", 5, 2, 3, 4))
    content[at : at + 16] = struct.pack("<4i", 40000, 40000, 40000, 40000)
    path.write_bytes(content)


def huge_tiff(path: Path) -> None:
    tifffile.imwrite(path, GREY[0, :, 0], compression="zlib", description="x")
    content = bytearray(path.read_bytes())
    with tifffile.TiffFile(path) as file:
        tags = file.pages.first.tags
        places = [tags[name].valueoffset for name in ("ImageWidth", "ImageLength")]
        rows = tags["RowsPerStrip"].valueoffset
    for place in places:
        content[place : place + 2] = struct.pack("<H", 65000)
    content[rows : rows + 2] = struct.pack("<H", 65000)
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("a.npy", huge_npy),
        ("a.npz", huge_npz),
        ("a.h5", huge_hdf5),
        ("chunk.h5", huge_chunk_hdf5),
        ("a.zarr", huge_zarr),
        ("chunk.zarr", huge_chunk_zarr),
        ("a.nii.gz", huge_nifti),
        ("a.mha", huge_metaimage),
        ("a.mat", huge_matlab),
        ("a.tif", huge_tiff),
    ],
)
def test_claims_are_refused_before_memory_is_taken(
    tmp_path: Path, name: str, write: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / name
    write(path)
    monkeypatch.setattr(limits, "free_memory", lambda: 1 << 60)  # this is not about free memory
    with pytest.raises(InputError, match=name.split(".")[0]) as error:
        read(path, axes="tzyx" if name != "a.tif" else "zx")
    assert not isinstance(error.value.__cause__, MemoryError)
    assert any(word in str(error.value) for word in ("claims", "cannot be read"))


def test_frames_that_compress_well_are_read(tmp_path: Path) -> None:
    """Zeros deflate about a thousandfold: the limit lies beyond."""
    frames = np.zeros((40, 200, 100, 50), np.complex64)  # 320 MB
    frames[3, 4, 5, 6] = 1
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file.create_dataset("IQ", data=frames, chunks=(1, 200, 100, 50), compression=9)
    assert (tmp_path / "a.h5").stat().st_size * 500 < frames.nbytes
    assert open_acquisition(tmp_path / "a.h5", GIVEN).read(3, 4)[0, 4, 5, 6] == 1


def test_one_block_is_held_against_free_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.npy"
    np.lib.format.open_memmap(path, "w+", np.complex64, (40, 100, 100, 50))  # 160 MB, sparse
    source = open_acquisition(path, GIVEN).sources[0]
    monkeypatch.setattr(limits, "free_memory", lambda: 80 << 20)
    said = "needs 153 MB of memory for frames 0 to 39, but only 80 MB are free"
    with pytest.raises(InputError, match=said):
        source.read(0, 40)
    assert source.read(0, 20).shape[0] == 20


def test_a_chunk_that_grows_past_its_size_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        data = file.create_dataset("IQ", data=IQ, chunks=(2, 5, 3, 2), compression="gzip")
        assert h5chunks.can_inflate(data)
        data.id.write_direct_chunk((2, 0, 0, 0), zlib.compress(bytes(300 << 20), 9))
    source = open_acquisition(path, GIVEN).sources[0]
    np.testing.assert_array_equal(source.read(0, 2), IQ[:2])
    with pytest.raises(InputError, match="size of a chunk"):
        source.read(2, 4)


def test_a_strip_that_grows_past_its_page_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.tif"
    frames = np.random.default_rng(0).integers(0, 255, (3, 90, 80), dtype=np.uint8)
    tifffile.imwrite(path, frames, compression="zlib", photometric="minisblack", metadata=None)
    with tifffile.TiffFile(path) as file:
        page = file.pages[1]
        (offset,), (count,) = page.dataoffsets, page.databytecounts
    content = bytearray(path.read_bytes())
    bomb = zlib.compress(bytes(6 << 20), 9)
    assert len(bomb) < count
    content[offset : offset + len(bomb)] = bomb
    path.write_bytes(content)
    monkeypatch.setattr(tiffsafety, "free_memory", lambda: 1 << 20)  # on a very small computer
    source = open_acquisition(path, GIVEN).sources[0]
    np.testing.assert_array_equal(source.read(0, 1)[0, :, 0], frames[0])
    with pytest.raises(InputError, match="larger than 7200 bytes"):
        source.read(1, 2)


def test_a_dicom_file_that_is_deflated_as_a_whole_is_refused(tmp_path: Path) -> None:
    pydicom = pytest.importorskip("pydicom")
    write_samples(tmp_path / "samples")
    data = pydicom.dcmread(tmp_path / "samples" / "DICOM" / "0" / "cine.dcm")
    data.file_meta.TransferSyntaxUID = pydicom.uid.DeflatedExplicitVRLittleEndian
    data.save_as(tmp_path / "a.dcm")
    with pytest.raises(InputError, match="deflated as a whole"):
        read(tmp_path / "a.dcm")
