"""Causes of unreadable files: codecs, locks, videos, links. Only damage is called damage."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import util
from pathlib import Path

import h5py
import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image

from napari_ulm3d.config import LoadConfig
from napari_ulm3d.errors import BackendError, InputError, UlmError
from napari_ulm3d.io.formats.dicom.codecs import refuse_undecodable
from napari_ulm3d.io.formats.registry import reader_for
from napari_ulm3d.io.open.acquisition import open_acquisition
from napari_ulm3d.io.stored.causes import explain

GIVEN = LoadConfig(voxel_um=(100.0, 150.0, 150.0), rate_hz=500.0)
GREY = np.random.default_rng(0).integers(0, 255, (6, 12, 10), np.uint8)


def run_without(package: str, path: Path) -> str:
    """The message when `path` is opened and read while `package` is not installed."""
    program = f"""
import importlib.abc, importlib.util, sys
class Absent(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == {package!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
        return None
sys.meta_path.insert(0, Absent())
find = importlib.util.find_spec
importlib.util.find_spec = lambda name, *a: None if name == {package!r} else find(name, *a)
from napari_ulm3d.config import LoadConfig
from napari_ulm3d.errors import UlmError
from napari_ulm3d.io.open.acquisition import open_acquisition
try:
    open_acquisition({str(path)!r}, LoadConfig(voxel_um=(100., 150., 150.), rate_hz=500.)).read(0, 2)
    print("read")
except UlmError as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-800:]
    return done.stdout


@pytest.mark.parametrize("compression", ["tiff_lzw", "zstd", "webp", "tiff_adobe_deflate"])
def test_tiff_compressed_by_pillow(tmp_path: Path, compression: str) -> None:
    path = tmp_path / "a.tif"
    pages = [Image.fromarray(page) for page in GREY]
    try:
        pages[0].save(path, save_all=True, append_images=pages[1:], compression=compression)
    except (OSError, KeyError) as error:
        pytest.skip(f"this Pillow does not write it: {error}")
    said = run_without("imagecodecs", path)
    assert "damaged" not in said
    assert said.strip() == "read" or ("imagecodecs" in said and "napari-ulm3d[formats]" in said)
    if compression != "tiff_adobe_deflate":
        assert said.startswith("BackendError")
    if util.find_spec("imagecodecs") and compression in ("tiff_lzw", "zstd"):
        read = open_acquisition(path, GIVEN).read(0, 6)
        np.testing.assert_array_equal(read[:, :, 0], GREY)


def filtered_h5(path: Path, code: int, name: bytes) -> None:
    """Write a dataset that names an HDF5 filter by its id, as another computer's plugin would.

    HDF5 does not allow a file to name a missing filter, so an available one is written
    and its number in the file's filter message is replaced.
    """
    with h5py.File(path, "w") as file:
        file.create_dataset("iq", data=GREY.astype("f4"), chunks=(2, 12, 10), compression="lzf")
    content = bytearray(path.read_bytes())
    at = content.index(b"lzf\0")
    # Filter message, version 1 (in h5py's default files): id, name length, flags, values, name.
    assert int.from_bytes(content[at - 8 : at - 6], "little") == 32000
    content[at - 8 : at - 6] = code.to_bytes(2, "little")
    content[at : at + 3] = name
    path.write_bytes(content)


@pytest.mark.parametrize(("code", "package"), [(32001, True), (32015, True), (32008, True)])
def test_hdf5_filter_of_hdf5plugin(tmp_path: Path, code: int, package: bool) -> None:
    path = tmp_path / "a.h5"
    filtered_h5(path, code, b"xyz")
    said = run_without("hdf5plugin", path)
    assert said.startswith("BackendError")
    assert str(code) in said
    assert "pip install 'napari-ulm3d[formats]'" in said
    assert "damaged" not in said


@pytest.mark.parametrize("code", [32020, 305, 40001])
def test_hdf5_filter_of_another_plugin_is_named_by_its_id(tmp_path: Path, code: int) -> None:
    path = tmp_path / "a.h5"
    filtered_h5(path, code, b"xyz")
    with pytest.raises(InputError, match=rf"id {code}.*h5repack") as error:
        open_acquisition(path, GIVEN)
    assert "damaged" not in str(error.value)
    assert "lzf" not in str(error.value)


def test_hdf5_locked_by_its_writer(tmp_path: Path) -> None:
    path = tmp_path / "live.h5"
    program = (
        "import h5py, sys\n"
        f"f = h5py.File({str(path)!r}, 'w'); f['iq'] = [[[1.0]]]; f.flush()\n"
        "print('ready', flush=True); sys.stdin.read()"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "ready\n"
        with pytest.raises(InputError, match="locked by another program") as error:
            open_acquisition(path, GIVEN)
        writer.communicate("")
    assert "HDF5_USE_FILE_LOCKING=FALSE" in str(error.value)
    assert "damaged" not in str(error.value)


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize("group", [False, True])
@pytest.mark.parametrize(("codec", "named"), [("pcodec", "pcodec"), ("imagecodecs_x", "codecs_x")])
def test_zarr_codec(tmp_path: Path, version: int, group: bool, codec: str, named: str) -> None:
    path = tmp_path / "a.zarr"
    if group:
        zarr.open_group(str(path), mode="w", zarr_format=version)
    home = path / "iq" if group else path
    array = zarr.create_array(
        str(home), shape=(4, 5, 3, 2), chunks=(4, 5, 3, 2), dtype="f4", zarr_format=version
    )
    array[...] = 1
    name = "zarr.json" if version == 3 else ".zarray"
    header = json.loads((home / name).read_text())
    if version == 3:
        header["codecs"][-1] = {"name": codec, "configuration": {}}
    else:
        header["compressor"] = {"id": codec}
    (home / name).write_text(json.dumps(header))
    if codec == "pcodec":
        assert "pip install pcodec" in (said := run_without("pcodec", path))
        assert "damaged" not in said
        return
    with pytest.raises(UlmError, match=named) as error:
        open_acquisition(path, GIVEN)
    assert "damaged" not in str(error.value)


@pytest.mark.parametrize("uid", ["1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.102", "1.2.840.10008.1.2.4.107"])  # fmt: skip
def test_video_in_dicom(uid: str) -> None:
    from pydicom.dataset import Dataset, FileMetaDataset

    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = uid
    with pytest.raises(InputError, match="video"):
        refuse_undecodable(Path("cine.dcm"), data)


@pytest.mark.parametrize("uid", ["1.2.840.10008.1.2.1", "1.2.840.10008.1.2.4.70"])
def test_dicom_frames_are_not_called_video(uid: str) -> None:
    from pydicom.dataset import Dataset, FileMetaDataset

    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = uid
    refuse_undecodable(Path("cine.dcm"), data)


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (PermissionError(13, "Permission denied"), "permission denied"),
        (IsADirectoryError(21, "Is a directory"), "is a folder"),
        (OSError(5, "Input/output error"), "disk"),
        (OSError("Unable to open file (truncated file: eof = 96)"), "incomplete"),
        (EOFError("the file ends within the array"), "incomplete"),
        (OSError("Unable to open file (file is already open for write)"), "h5clear"),
        (KeyError("nonsense"), "damaged"),
    ],
)
def test_each_cause_has_its_message(raised: Exception, said: str) -> None:
    message = str(explain("a.h5", "HDF5", raised))
    assert said in message
    assert ("damaged" in message) == (said == "damaged")


def test_the_cause_of_a_chained_error_is_found() -> None:
    error = ValueError("cannot load")
    error.__cause__ = PermissionError(13, "Permission denied")
    assert "permission denied" in str(explain("a", "TIFF", error))


def test_empty_file_and_folder(tmp_path: Path) -> None:
    (tmp_path / "a.mat").touch()
    with pytest.raises(InputError, match="empty"):
        reader_for(tmp_path / "a.mat")
    (tmp_path / "b.h5").mkdir()
    with pytest.raises(InputError, match="is a folder"):
        reader_for(tmp_path / "b.h5")


def test_truncated_hdf5_is_reported_as_truncated(tmp_path: Path) -> None:
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["iq"] = GREY
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match="incomplete"):
        open_acquisition(path, GIVEN)


def test_git_annex_without_its_content(tmp_path: Path) -> None:
    link = tmp_path / "iq.npy"
    link.symlink_to(".git/annex/objects/MD5E-s1--0.npy")
    with pytest.raises(InputError, match="datalad get"):
        open_acquisition(link, GIVEN)
    pointer = tmp_path / "iq.h5"
    pointer.write_text("/annex/objects/MD5E-s1--0.h5\n")
    with pytest.raises(InputError, match="datalad get"):
        open_acquisition(pointer, GIVEN)


@pytest.mark.skipif(util.find_spec("hdf5plugin") is None, reason="hdf5plugin is not installed")
def test_blosc_is_read_with_its_plugin(tmp_path: Path) -> None:
    import hdf5plugin

    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("iq", data=GREY, chunks=(2, 12, 10), **hdf5plugin.Blosc())
    np.testing.assert_array_equal(open_acquisition(path, GIVEN).read(0, 6)[:, :, 0], GREY)


def test_unknown_tiff_codec(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, GREY, photometric="minisblack", metadata=None)
    with tifffile.TiffFile(path, mode="r+") as file:
        for page in file.pages:
            page.tags["Compression"].overwrite(34718)
    with pytest.raises((BackendError, InputError)) as error:
        open_acquisition(path, GIVEN).read(0, 1)
    assert "damaged" not in str(error.value)
    assert os.fspath(path) in str(error.value)
