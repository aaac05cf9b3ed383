"""The pages of a TIFF are indexed once, and never confused with those of another file."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

from napari_ulm3d.config import LoadConfig
from napari_ulm3d.io.formats.tiff import pages, reader
from napari_ulm3d.io.open.acquisition import open_acquisition

GIVEN = LoadConfig(voxel_um=(100.0, 150.0, 150.0), rate_hz=500.0)
MOVIE = np.random.default_rng(0).integers(0, 60000, (7, 5, 8, 6)).astype(np.uint16)
WAYS: dict[str, dict[str, Any]] = {
    "imagej": {"imagej": True, "metadata": {"axes": "TZYX"}},
    "ome": {"ome": True, "metadata": {"axes": "TZYX"}},
    "ome zlib": {"ome": True, "compression": "zlib", "metadata": {"axes": "TZYX"}},
    "ome big-endian": {"ome": True, "byteorder": ">", "metadata": {"axes": "TZYX"}},
    "tiled": {"ome": True, "tile": (16, 16), "metadata": {"axes": "TZYX"}},
}


@pytest.mark.parametrize("way", WAYS)
def test_every_frame_is_read_back(tmp_path: Path, way: str) -> None:
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, MOVIE, **WAYS[way])
    acquisition = open_acquisition(path, GIVEN)
    np.testing.assert_array_equal(acquisition.read(0, 7), MOVIE)
    for frame in (6, 0, 3):
        np.testing.assert_array_equal(acquisition.read(frame, frame + 1)[0], MOVIE[frame])
    again = pickle.loads(pickle.dumps(acquisition.sources[0]))
    np.testing.assert_array_equal(again.read(2, 4), MOVIE[2:4])


def test_pages_are_indexed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, MOVIE, **WAYS["ome zlib"])
    acquisition = open_acquisition(path, GIVEN)
    opened = []
    true = pages.opened_tiff

    def counted(where: Any) -> Any:
        opened.append(where)
        return true(where)

    monkeypatch.setattr(pages, "opened_tiff", counted)
    monkeypatch.setattr(reader, "opened_tiff", counted)
    for frame in range(7):
        acquisition.read(frame, frame + 1)
    assert not opened


def test_a_changed_file_is_indexed_again(tmp_path: Path) -> None:
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(path, MOVIE, **WAYS["ome zlib"])
    acquisition = open_acquisition(path, GIVEN)
    acquisition.read(0, 1)
    other = np.ascontiguousarray(MOVIE[::-1] // 3)
    tifffile.imwrite(path, other, **WAYS["ome"])
    os.utime(path, ns=(1, 1))
    np.testing.assert_array_equal(acquisition.read(0, 7), other)


def test_an_image_in_several_files(tmp_path: Path) -> None:
    names = ["a.ome.tif", "b.ome.tif"]
    data = "".join(
        f'<TiffData IFD="{k}" FirstT="{t}" FirstZ="{z}" PlaneCount="1">'
        f'<UUID FileName="{names[n]}">urn:uuid:{n}</UUID></TiffData>'
        for n in range(2)
        for k, (t, z) in enumerate((t, z) for t in range(n * 3, n * 3 + 3) for z in range(5))
    )
    for n, name in enumerate(names):
        xml = (
            '<?xml version="1.0" encoding="UTF-8"?>'
            '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
            f'UUID="urn:uuid:{n}"><Image ID="Image:0"><Pixels ID="Pixels:0" '
            'DimensionOrder="XYZCT" Type="uint16" SizeX="6" SizeY="8" SizeZ="5" SizeC="1" '
            f'SizeT="6"><Channel ID="Channel:0:0"/>{data}</Pixels></Image></OME>'
        )
        tifffile.imwrite(
            tmp_path / name, MOVIE[n * 3 : n * 3 + 3].reshape(15, 8, 6), description=xml,
            metadata=None, photometric="minisblack", compression="zlib",
        )  # fmt: skip
    acquisition = open_acquisition(tmp_path / names[0], GIVEN)
    assert acquisition.n_frames == 6
    np.testing.assert_array_equal(acquisition.read(0, 6), MOVIE[:6])
